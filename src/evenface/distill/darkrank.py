"""DarkRank (Chen et al., AAAI 2018), the hard variant: the teacher's ranking shall be likely."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evenface.distill.base import Distillation, safe_sqrt, squared_distances
from evenface.distill.registry import DISTILLATIONS


@DISTILLATIONS.register(
    "darkrank",
    title="DarkRank",
    formula=(
        "−log likelihood, under scores −alpha · distance^beta, of the teacher's order of each "
        "image's nearest"
    ),
    works=("chen2018darkrank",),
)
class DarkRankDistillation(Distillation):
    """−log likelihood of the teacher's order of each sample's nearest others (equations 5 and 8).

    Scores are −α · distance^β; the likelihood of an order is Plackett and Luce's over the listed
    ones. Mean over the samples.

    Args:
        weight: of the loss.
        alpha, beta: of the score, positive.
        length: of the list, at least 2: implementations take 3 or 4. A batch of so few images
            has shorter ones.
    """

    source = "Chen et al., AAAI 2018"

    def __init__(
        self, *, weight: float = 1.0, alpha: float = 3.0, beta: float = 3.0, length: int = 4
    ) -> None:
        super().__init__(weight)
        if not (alpha > 0 and beta > 0) or length < 2:
            raise ValueError(
                "alpha and beta must be positive and length at least 2, "
                f"got {alpha}, {beta} and {length}"
            )
        self.alpha = alpha
        self.beta = beta
        self.length = length

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Mean over the B lists."""
        length = min(self.length, len(student) - 1)
        nearness = self._scores(teacher).fill_diagonal_(-torch.inf)
        order = nearness.argsort(dim=1, descending=True, stable=True)[:, :length]
        listed = self._scores(student).gather(1, order)
        # log Σ_{j ≥ i} exp(s_j) for every place i of the list.
        remaining = listed.flip(1).logcumsumexp(dim=1).flip(1)
        return (remaining - listed).sum(dim=1).mean()

    def _scores(self, unit: Tensor) -> Tensor:
        return -self.alpha * safe_sqrt(squared_distances(unit)) ** self.beta
