"""Stops a training that has left the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from evenface.errors import TrainingDivergedError

_REMEDY = (
    "The last good checkpoint is kept. Lower optimizer.lr, lengthen schedule.warmup_steps, or "
    "check the images and the teacher's embeddings"
)


def finite_values(
    parts: Mapping[str, Tensor], *, step: int, rate: float, before: Mapping[str, float]
) -> dict[str, float]:
    """The scalars as numbers. Reading them waits for the device.

    Args:
        parts: what :meth:`evenface.train.learner.Learner.step` gave; "loss" is among them.
        step: number of the step, from 1.
        rate: its learning rate.
        before: the last values read, empty if there are none.

    Raises:
        TrainingDivergedError: one of them is NaN or infinite.
    """
    values = {name: round(float(value), 6) for name, value in parts.items()}
    bad = [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]
    if bad:
        last = f"; the last finite loss was {before['loss']:.4g}" if before else ""
        raise TrainingDivergedError(
            f"training diverged at step {step} (learning rate {rate:.3g}): {', '.join(bad)}{last}. "
            f"{_REMEDY}"
        )
    return values


def check_weights(*modules: nn.Module, step: int, rate: float) -> None:
    """TrainingDivergedError if a weight or running statistic is NaN or infinite."""
    for module in modules:
        for name, value in module.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                raise TrainingDivergedError(
                    f"training diverged at step {step} (learning rate {rate:.3g}): the weights "
                    f"'{name}' became NaN or infinite. {_REMEDY}"
                )
