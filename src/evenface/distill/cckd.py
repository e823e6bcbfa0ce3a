"""Correlation congruence (Peng et al., ICCV 2019): the batch's correlations shall agree."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from evenface.distill.base import Distillation
from evenface.distill.registry import DISTILLATIONS


@DISTILLATIONS.register(
    "cckd",
    title="correlation congruence",
    formula=(
        "mean squared difference of the matrices k(x, y) = Σ_{p ≤ order} e^(−2 gamma) (2 gamma)^p "
        "/ p! · (x · y)^p"
    ),
    works=("peng2019cckd",),
)
class CorrelationDistillation(Distillation):
    """Mean squared difference of the correlation matrices (equation 7).

    The correlation is a Gaussian kernel of normalised embeddings, expanded into a Taylor series
    (equation 11): k(x, y) = Σ_{p ≤ order} exp(−2γ) (2γ)^p / p! · (x·y)^p.

    Args:
        weight: of the loss.
        gamma: γ of the kernel, positive.
        order: last power of the series, the P of equation 11, an integer of at least 1. TFace's
            ``P_order`` counts terms from power 0: its 2 is an order of 1 here.
    """

    source = "Peng et al., ICCV 2019"

    def __init__(self, *, weight: float = 1.0, gamma: float = 0.4, order: int = 2) -> None:
        super().__init__(weight)
        if not gamma > 0 or order < 1:
            raise ValueError(f"gamma must be positive and order at least 1, got {gamma}, {order}")
        self.gamma = gamma
        self.order = order

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Mean over all B² pairs."""
        return (self._correlations(student) - self._correlations(teacher)).square().mean()

    def _correlations(self, unit: Tensor) -> Tensor:
        cosines = unit @ unit.T
        result = torch.ones_like(cosines)
        power = result
        for p in range(1, self.order + 1):
            power = power * cosines
            result = result + (2 * self.gamma) ** p / math.factorial(p) * power
        return math.exp(-2 * self.gamma) * result
