"""Stops a training that has left the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from evenface.errors import TrainingDivergedError
from evenface.files import write_json
from evenface.train.run import DIVERGED_NAME

_REMEDY = (
    "The last good checkpoint is kept. Lower optimizer.lr, lengthen schedule.warmup_steps, check "
    "the images and the teacher's embeddings, or set recovery.attempts=3 to go on at a lower rate "
    "with other images"
)
_SMALLEST_SCALE = 2.0**-10
"""Of fp16's loss; it is halved at every overflow, and one that never fits is no overflow."""


class DivergenceCheck:
    """Looks at the scalars of steps, and remembers since when it has not.

    Args:
        out: the run folder, for the rows of the batches that ended it.
        rows: step (0-based) → rows of the manifest.
        start: the first step.

    Attributes:
        suspects: steps (0-based) of which one made the last values or weights bad: on a CPU the
            last one, on a GPU all since values were read.
        reason: what was bad.
    """

    def __init__(self, out: Path, rows: Callable[[int], np.ndarray], start: int) -> None:
        self.suspects = range(start, start)
        self.reason = ""
        self._out = out
        self._rows = rows
        self._looked = start
        self._loss: float | None = None

    def values(self, parts: Mapping[str, Tensor], *, step: int, rate: float) -> dict[str, float]:
        """The scalars as numbers. Reading them waits for the device.

        Args:
            parts: what :meth:`evenface.train.learner.Learner.step` gave; "loss" is among them.
            step: number of the step, from 1.
            rate: its learning rate.

        Raises:
            TrainingDivergedError: one of them is NaN or infinite.
        """
        self.suspects, self._looked = range(self._looked, step), step
        values = {name: round(float(value), 6) for name, value in parts.items()}
        bad = [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]
        if values.get("loss_scale", 1.0) < _SMALLEST_SCALE:
            bad.append("fp16's gradient overflows at any scale")
        if bad:
            last = "" if self._loss is None else f"; the last finite loss was {self._loss:.4g}"
            raise self._diverged(step, rate, f"{', '.join(bad)}{last}")
        self._loss = values["loss"]
        return values

    def weights(self, *modules: nn.Module, step: int, rate: float) -> None:
        """TrainingDivergedError if a weight or running statistic is NaN or infinite."""
        for module in modules:
            for name, value in module.state_dict().items():
                if not bool(torch.isfinite(value).all()):
                    reason = f"the weights '{name}' became NaN or infinite"
                    raise self._diverged(step, rate, reason)

    def _diverged(self, step: int, rate: float, reason: str) -> TrainingDivergedError:
        self.reason = reason
        path = self._out / DIVERGED_NAME
        record = {
            "step": step,
            "learning_rate": rate,
            "reason": reason,
            "rows": {number + 1: self._rows(number).tolist() for number in self.suspects},
        }
        write_json(path, record)
        return TrainingDivergedError(
            f"training diverged at step {step} (learning rate {rate:.3g}): {reason}. {path} has "
            f"the rows of its batch. {_REMEDY}"
        )
