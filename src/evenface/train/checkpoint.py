"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is one safetensors file, named by its step: tensors by the path of their place in the
state, and in the header's metadata the rest of the state as JSON with a SHA-256 over all of it.
Nothing in it is executed on reading.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from evenface.console import warn
from evenface.errors import DataError
from evenface.files import atomic_path
from evenface.train.run import CHECKPOINTS_NAME, another_run

_FORMAT = "evenface-checkpoint-1"
_TENSOR = "tensor"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Setback:
    """A divergence that a run went on from, see :class:`evenface.train.recipe.RecoveryRecipe`.

    Attributes:
        first, last: steps (0-based) whose batches are replaced.
    """

    first: int
    last: int


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Random numbers need no state: those of a step are seeded by its number, and so are the order of
    the rows, flips and augmentations by the epoch.

    Attributes:
        step: steps done.
        seconds: time they took.
        log_bytes: length of the log.
        setbacks: divergences so far.
    """

    step: int = 0
    seconds: float = 0.0
    log_bytes: int = 0
    setbacks: tuple[Setback, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two steps.

    Attributes:
        progress: how far it has come.
        environment: what it ran on.
        learner: weights of backbone and head (with AdaFace's running statistics), momenta, the
            scale of fp16 and the average of the weights.
    """

    progress: Progress
    environment: dict[str, Any]
    learner: dict[str, Any] = field(repr=False)


class Checkpoints:
    """The newest checkpoints of a run, in a folder of their own.

    Args:
        out: the run folder.
        fingerprint: of recipe, data and teacher.
        keep: how many to keep.
    """

    def __init__(self, out: Path, fingerprint: str, *, keep: int) -> None:
        self.folder = out / CHECKPOINTS_NAME
        self._fingerprint = fingerprint
        self._keep = keep

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one atomically, then delete the oldest; those before stay until it is whole."""
        tensors: dict[str, Tensor] = {}
        state = {
            "format": _FORMAT,
            "fingerprint": self._fingerprint,
            "progress": asdict(checkpoint.progress),
            "environment": checkpoint.environment,
            "learner": _split(checkpoint.learner, "learner", tensors),
        }
        text = json.dumps(state)
        metadata = {"state": text, "sha256": _digest(text, tensors)}
        path = self._path(checkpoint.progress.step)
        with atomic_path(path) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors, metadata))
        for old in self.paths()[: -self._keep]:
            old.unlink()

    def paths(self) -> list[Path]:
        """The files, oldest first."""
        return sorted(self.folder.glob(f"step-*{_SUFFIX}"))

    def newest(self) -> Checkpoint | None:
        """The newest one that is whole, on the CPU; None where there are none.

        A damaged one is named in a warning, passed over and deleted, as is what a killed process
        left half written: call this only while the run is locked.

        Raises:
            UsageError: it belongs to another recipe, other data or another teacher.
            DataError: all are damaged.
        """
        for remains in self.folder.glob(f".step-*.tmp{_SUFFIX}"):
            remains.unlink()
        damaged: list[Path] = []
        for path in reversed(self.paths()):
            try:
                checkpoint = self._read(path)
            except DataError as error:
                warn(f"{error}. Going back to the one before")
                damaged.append(path)
                continue
            for useless in damaged:  # it would be kept in place of a whole one
                useless.unlink()
            return checkpoint
        if damaged:
            raise DataError(
                f"{self.folder}: every checkpoint is damaged. Delete {self.folder} to train from "
                "the start"
            )
        return None

    def at(self, step: int) -> Checkpoint:
        """The one of this step, which another process has found whole."""
        return self._read(self._path(step))

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}{_SUFFIX}"

    def _read(self, path: Path) -> Checkpoint:
        try:
            with safetensors.safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            whole = metadata["sha256"] == _digest(metadata["state"], tensors)
            state = json.loads(metadata["state"])
            fingerprint = state["fingerprint"]
            progress = state["progress"]
            setbacks = tuple(Setback(**setback) for setback in progress.pop("setbacks"))
            checkpoint = Checkpoint(
                Progress(**progress, setbacks=setbacks),
                state["environment"],
                _join(state["learner"], tensors),
            )
        # Damaged files make the reader raise almost anything.
        except Exception as error:
            raise DataError(f"{path}: damaged checkpoint ({type(error).__name__})") from error
        if not whole:
            raise DataError(f"{path}: damaged checkpoint (it does not match its checksum)")
        if state["format"] != _FORMAT:
            raise DataError(f"{path}: not a checkpoint of this version ({state['format']!r})")
        if fingerprint != self._fingerprint:
            raise another_run(path.parent, fingerprint, self._fingerprint)
        return checkpoint


def _split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON, its tensors moved to ``tensors``. Keys that are numbers stay so."""
    if isinstance(value, Tensor):
        while path in tensors:  # the keys 3 and "3", or "a/b"
            path += "'"
        # A copy: parts of one storage cannot be saved.
        tensors[path] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {_TENSOR: path}
    if isinstance(value, dict):
        items = [[key, _split(item, f"{path}/{key}", tensors)] for key, item in value.items()]
        return {"items": items}
    if isinstance(value, list | tuple):
        return [_split(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
    return value


def _join(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Inverse of :func:`_split`."""
    if isinstance(value, list):
        return [_join(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    return {key: _join(item, tensors) for key, item in value["items"]}


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the state: its JSON, and names, types, shapes and bytes of its tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
