"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math

from evenface.train.recipe import OptimizerRecipe, ScheduleRecipe

_POWER = 2
"""Of polynomial schedules, as in arcface_torch's PolynomialLRWarmup."""


def peak_rate(optimizer: OptimizerRecipe, batch_size: int) -> float:
    """Learning rate before any decay."""
    if optimizer.lr_batch is None:
        return optimizer.lr
    return optimizer.lr * batch_size / optimizer.lr_batch


class Schedule:
    """Length of a training and its learning rate at every step.

    Args:
        schedule, optimizer: from the recipe.
        batch_size: for the linear scaling of the rate.
        batches_per_epoch: turns epochs into steps, unless ``schedule.epoch_steps`` does.
    """

    def __init__(
        self,
        schedule: ScheduleRecipe,
        optimizer: OptimizerRecipe,
        *,
        batch_size: int,
        batches_per_epoch: int,
    ) -> None:
        self._schedule = schedule
        self._epoch_steps = schedule.epoch_steps or batches_per_epoch
        self.peak = peak_rate(optimizer, batch_size)
        self._whole = schedule.whole_steps(batches_per_epoch)
        self.steps = schedule.trained_steps(batches_per_epoch)

    def rate(self, step: int) -> float:
        """Learning rate of a step (0-based)."""
        warmup = self._schedule.warmup_steps
        if step < warmup:
            return self.peak * (step + 1) / warmup
        if self._schedule.kind == "cosine":
            progress = (step - warmup) / max(1, self._whole - warmup)
            return self.peak * (1 + math.cos(math.pi * progress)) / 2
        if self._schedule.kind == "polynomial":
            left = (self._whole - step) / max(1, self._whole - warmup)
            return self.peak * left**_POWER
        if self._schedule.kind == "constant":
            return self.peak
        epoch = step // self._epoch_steps
        passed = sum(epoch >= milestone for milestone in self._schedule.milestones)
        return self.peak * self._schedule.gamma**passed
