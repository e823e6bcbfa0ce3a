"""Weights of backbones from files: safetensors, or what PyTorch programs of the field save."""

from __future__ import annotations

import argparse
import pathlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import safetensors
import torch
from torch import Tensor

from evenface.errors import DataError

Order = Literal["RGB", "BGR"]

_SHOWN_KEYS = 5
_WRAPPERS = ("state_dict", "state_dict_backbone", "model_state_dict", "model", "backbone", "net")
"""Where training programs (Lightning, arcface_torch, …) keep a backbone's state dict."""
_LIGHTNING = "model."
_CVLFACE = "net."
_OWNERS = (_LIGHTNING, _CVLFACE, "backbone.")
"""Prefixes of a network inside a larger one."""
_PREFIXES = ("module.", "_orig_mod.", *_OWNERS)
"""Those, and of DataParallel and torch.compile; in any order, repeated."""
_HEAD = "head."
_TRANSPOSED = "kernel"
"""Class centres of this name are (D, C); called "weight" they are (C, D)."""


class _Callback:
    """Stands for a class of Lightning that is a key in old checkpoints."""


class _PassedOver:
    """Stands for what NumPy saves: scalars, arrays and their types, of which nothing is read."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# What checkpoints name besides tensors. None of it runs code of the file: a mapping, two plain
# containers, a class that is only named, and stand-ins.
_KNOWN_GLOBALS: list[Any] = [
    *(
        (_PassedOver, name)
        for name in (
            "numpy.dtype",
            "numpy.ndarray",
            "numpy.core.multiarray.scalar",
            "numpy._core.multiarray.scalar",
            "numpy.core.multiarray._reconstruct",
            "numpy._core.multiarray._reconstruct",
        )
    ),
    argparse.Namespace,
    (pathlib.PurePosixPath, "pathlib.PosixPath"),
    (pathlib.PurePosixPath, "pathlib._local.PosixPath"),
    (dict, "pytorch_lightning.utilities.parsing.AttributeDict"),
    (dict, "lightning_fabric.utilities.data.AttributeDict"),
    (dict, "lightning.fabric.utilities.data.AttributeDict"),
    (_Callback, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
]


@dataclass(frozen=True)
class Weights:
    """A backbone's weights, and what their file says of them.

    Attributes:
        state: without the prefixes of the program that saved them.
        order: channel order of the images that they were trained with; None where neither the file
            nor its form tells.
        backbone: as declared by the file (by ``evenface teacher import``), or None.
        centres: the classifier's class centres, float (C, D), or None.
    """

    state: dict[str, Tensor] = field(repr=False)
    order: Order | None = None
    backbone: str | None = None
    centres: Tensor | None = field(default=None, repr=False)


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict alone of :func:`read_weights`."""
    return read_weights(path).state


def read_weights(path: Path) -> Weights:
    """Read weights as they are published.

    Known are bare state dicts; those under "state_dict" (Lightning, AdaFace: the backbone under
    "model.", its head beside it, channels BGR), "state_dict_backbone" (arcface_torch) and other
    usual names; the prefixes of DataParallel, torch.compile, CVLface ("net.", channels RGB) and
    "backbone.", in any order. Numbers and NumPy's scalars beside the tensors are passed over.

    Raises:
        DataError: the file is missing or holds anything but tensors by name.
    """
    content, metadata = _read(path)
    lightning = isinstance(content, dict) and isinstance(content.get("state_dict"), dict)
    classifier = content.get("state_dict_softmax_fc") if isinstance(content, dict) else None
    if isinstance(content, dict):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), dict):
                content = content[wrapper]
                break
    state, owners = _tensors(content, path)
    order: Order | None = None
    head: dict[str, Tensor] = _tensors(classifier, path)[0] if classifier else {}
    if owners:
        head = {k.removeprefix(_HEAD): v for k, v in state.items() if k.startswith(_HEAD)} or head
        state = {key: value for key, value in state.items() if not key.startswith(_HEAD)}
    if _LIGHTNING in owners and lightning:
        order = "BGR" if any(key.startswith("input_layer.") for key in state) else None
    if _CVLFACE in owners:
        order = "RGB"
    if metadata.get("order") in ("RGB", "BGR"):
        order = metadata["order"]  # type: ignore[assignment]
    return Weights(state, order, metadata.get("backbone"), _centres(head))


def read_centres(path: Path) -> Tensor:
    """Class centres, float32 (C, D), of a classifier saved with its backbone or in a file alone.

    AdaFace's and ElasticFace's ``kernel`` (D, C) is transposed.

    Raises:
        DataError: there are none, or the file cannot be read.
    """
    centres = read_weights(path).centres
    if centres is None:
        content, _ = _read(path)
        centres = _centres(_tensors(content, path)[0])
    if centres is None:
        raise DataError(
            f"{path}: no class centres in it (a matrix called kernel, weight, head.kernel or "
            "head.weight)"
        )
    return centres


def _read(path: Path) -> tuple[Any, dict[str, str]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, file.metadata() or {}
        with torch.serialization.safe_globals(_KNOWN_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True), {}
    # Damaged files make both readers raise almost anything (KeyError, struct.error, …).
    except Exception as error:
        raise DataError(
            f"{path}: not a readable state dict: {_why(path, error)}. Only plain weights are read, "
            "as saved by torch.save(model.state_dict(), path) or in safetensors format"
        ) from error


_BEGINNINGS = (
    (b"version https://git-lfs", "only a pointer of Git LFS; fetch the file with 'git lfs pull'"),
    (b"<", "a web page, as a failed download leaves it; download the file again"),
)
_REFUSED = re.compile(r"Unsupported (?:global: GLOBAL|class) ([\w.]+)")


def _why(path: Path, error: Exception) -> str:
    """Why a file cannot be read, without PyTorch's advice to read it unsafely."""
    with open(path, "rb") as file:
        beginning = file.read(64).lstrip()
    if not beginning:
        return "the file is empty"
    for start, meaning in _BEGINNINGS:
        if beginning.startswith(start):
            return f"this is {meaning}"
    if refused := _REFUSED.search(str(error)):
        return (
            f"it holds the object {refused[1]}, which is not read, because that may run code of "
            "the file"
        )
    return "the file is damaged or of another format"


def _tensors(content: Any, path: Path) -> tuple[dict[str, Tensor], set[str]]:
    """Tensors by name without prefixes, and which of :data:`_OWNERS` were removed."""
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: a state dict is expected, found {type(content).__name__}")
    state: dict[str, Tensor] = {}
    owners: set[str] = set()
    for key, value in content.items():
        if isinstance(value, int | float | _PassedOver):
            continue
        if not isinstance(value, Tensor):
            raise DataError(f"{path}: '{key}' is no tensor but {type(value).__name__}")
        name = str(key)
        while prefix := next((p for p in _PREFIXES if name.startswith(p)), None):
            name = name.removeprefix(prefix)
            owners |= {prefix} & {*_OWNERS}
        if name in state:
            raise DataError(
                f"{path}: holds two networks, both with '{name}' once prefixes are removed, one as "
                f"'{key}'. Save the one that is meant by itself"
            )
        state[name] = value
    if not state:
        raise DataError(f"{path}: a state dict is expected, there is no tensor in it")
    return state, owners


def _centres(head: dict[str, Tensor]) -> Tensor | None:
    for name in (_TRANSPOSED, "weight"):
        matrix = head.get(name)
        if matrix is not None and matrix.ndim == 2:
            return (matrix.T if name == _TRANSPOSED else matrix).float().contiguous()
    return None


def load_state(model: torch.nn.Module, state: dict[str, Tensor], path: Path, backbone: str) -> None:
    """Give ``model`` the weights read from ``path``; ``backbone`` is its name in messages.

    Raises:
        DataError: weights of another network; names what is missing, too much or misshapen.
    """
    expected = model.state_dict()
    # A counter that inference does not use; weights saved by old PyTorch lack it.
    needed = {key for key in expected if not key.endswith("num_batches_tracked")}
    problems = [
        _list("missing", sorted(needed - set(state))),
        _list("unexpected", sorted(set(state) - set(expected))),
        _list(
            "of another shape",
            [
                f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
                for key in sorted(set(state) & set(expected))
                if state[key].shape != expected[key].shape
            ],
        ),
    ]
    if any(problems):
        raise DataError(
            f"{path}: these weights are not of the backbone '{backbone}': "
            + "; ".join(filter(None, problems))
        )
    model.load_state_dict(state, strict=False)


def _list(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"{len(keys)} {what} ({', '.join(keys[:_SHOWN_KEYS])}{more})"
