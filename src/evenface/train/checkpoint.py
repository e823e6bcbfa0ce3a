"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evenface.errors import DataError
from evenface.files import atomic_path
from evenface.train.run import CHECKPOINT_NAME, another_run


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two steps.

    Random numbers need no state: those of a step are seeded by its number.

    Attributes:
        fingerprint: of the recipe, data and teacher.
        step: steps done.
        seconds: time they took.
        log_bytes: length of the log.
        learner: weights of backbone and head (with AdaFace's running statistics), and momenta.
    """

    fingerprint: str
    step: int
    seconds: float
    log_bytes: int
    learner: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write ``checkpoint.pt`` atomically; the one before stays until this one is whole."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        with atomic_path(folder / CHECKPOINT_NAME) as temporary:
            torch.save(fields, temporary)


def load_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint of a run with this fingerprint, on the CPU; None where there is none.

    Raises:
        UsageError: it belongs to another recipe, other data or another teacher.
        DataError: the file is damaged.
    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return None
    try:
        checkpoint = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    # Damaged files make the reader raise almost anything.
    except Exception as error:
        raise DataError(
            f"{path}: damaged checkpoint ({type(error).__name__}). Delete it to train from the "
            "start"
        ) from error
    if checkpoint.fingerprint != fingerprint:
        raise another_run(path, checkpoint.fingerprint, fingerprint)
    return checkpoint
