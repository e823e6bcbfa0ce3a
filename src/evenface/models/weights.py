"""Weights of backbones from files: safetensors, or state dicts saved by PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from evenface.errors import DataError

_SHOWN_KEYS = 5


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict, bare or under "state_dict"; DataParallel's "module." is removed.

    Raises:
        DataError: the file is missing or holds anything but tensors by name.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    content: Any
    try:
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged files make both readers raise almost anything (KeyError, struct.error, …).
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise DataError(
            f"{path}: not a readable state dict ({reason}). Only plain weights are read, as "
            "saved by torch.save(model.state_dict(), path) or in safetensors format"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: a state dict is expected, found {type(content).__name__}")
    state = {}
    for key, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise DataError(f"{path}: '{key}' is no tensor but {type(value).__name__}")
        state[str(key).removeprefix("module.")] = value
    return state


def load_state(
    model: torch.nn.Module, state: dict[str, torch.Tensor], path: Path, backbone: str
) -> None:
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
