"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from evenface.errors import DataError
from evenface.files import atomic_path

CHECKPOINT_NAME = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``checkpoint.pt`` atomically; the one before stays until this one is whole."""
    with atomic_path(folder / CHECKPOINT_NAME) as temporary:
        torch.save(state, temporary)


def load_checkpoint(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The state saved by a run with this fingerprint; None where there is none.

    Raises:
        DataError: the file is damaged, or belongs to another recipe or other data.
    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state["fingerprint"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as e:
        raise DataError(
            f"{path}: damaged checkpoint ({type(e).__name__}). Delete it to train from the start"
        ) from None
    if found != fingerprint:
        raise DataError(
            f"{path}: belongs to another recipe or to other data (fingerprint {found[:12]}…, this "
            f"run has {fingerprint[:12]}…). Choose another --out or delete {folder}"
        )
    return state
