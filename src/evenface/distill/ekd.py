"""Evaluation-oriented distillation (Huang et al., CVPR 2022): agree where errors are counted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evenface.distill.base import Distillation
from evenface.distill.registry import DISTILLATIONS

_RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""False accept rates whose thresholds are the anchors."""


@DISTILLATIONS.register(
    "ekd",
    title="evaluation-oriented distillation",
    formula=(
        "positive · MSE of soft ranks over pairs of one person + negative · the same over the "
        "hardest pairs of different people"
    ),
    works=("huang2022ekd",),
)
class EvaluationDistillation(Distillation):
    """Pairs shall stand between the student's thresholds as they do between the teacher's.

    Anchors are the similarities of pairs of different people at false accept rates of 1e-1 to
    1e-6, for student and teacher each, as running means over batches. The soft rank of a
    similarity x is r(x) = Σ_k sigmoid((x − a_k) / temperature), and the loss

        positive · MSE(r_s, r_t) over pairs of one person
        + negative · MSE(r_s, r_t) over the ``hardest`` pairs of different people,

    those that the student finds most similar. Which terms have no pair in a batch are 0. The
    anchors start at the first batch's (the authors' code starts at 0); they move in training mode
    only and are part of the state dict.

    Args:
        weight: of both terms together.
        positive, negative: weights of the terms, at least 0.
        hardest: number of hard pairs, at least 1.
        temperature: of the sigmoid, positive.
        momentum: weight of the newest batch in the anchors, in (0, 1].
    """

    needs = frozenset({"labels"})
    source = "Huang et al., CVPR 2022"

    def __init__(
        self,
        *,
        weight: float = 1.0,
        positive: float = 0.02,
        negative: float = 0.01,
        hardest: int = 2000,
        temperature: float = 0.01,
        momentum: float = 0.01,
    ) -> None:
        super().__init__(weight)
        if positive < 0 or negative < 0 or not positive + negative > 0:
            raise ValueError("positive and negative must not be negative nor both 0")
        if hardest < 1 or not temperature > 0 or not 0 < momentum <= 1:
            raise ValueError(
                "hardest must be at least 1, temperature positive, momentum in (0, 1], "
                f"got {hardest}, {temperature} and {momentum}"
            )
        self.positive = positive
        self.negative = negative
        self.hardest = hardest
        self.temperature = temperature
        self.momentum = momentum
        self.student_anchors: Tensor
        self.teacher_anchors: Tensor
        self.batches: Tensor
        self.register_buffer("student_anchors", torch.zeros(len(_RATES)))
        self.register_buffer("teacher_anchors", torch.zeros(len(_RATES)))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """The weighted sum of both terms."""
        labels: Tensor = extra["labels"]
        rows, columns = torch.triu_indices(len(labels), len(labels), offset=1, device=labels.device)
        same = labels[rows] == labels[columns]
        s, t = ((unit @ unit.T)[rows, columns] for unit in (student, teacher))
        s_negative = s.masked_fill(same, -torch.inf)
        s_sorted, hard = s_negative.detach().sort(descending=True, stable=True)
        t_sorted = t.masked_fill(same, -torch.inf).sort(descending=True).values
        different = (~same).sum()
        if self.training:
            self._move(s_sorted, t_sorted, different)
        gap = (self._rank(s, self.student_anchors) - self._rank(t, self.teacher_anchors)).square()
        positive = torch.where(same, gap, 0.0).sum() / same.sum().clamp(min=1)
        # Pairs of one person, if any, are the last of the sorted.
        hard = hard[: self.hardest]
        hard_gap = torch.where(same[hard], 0.0, gap[hard])
        hardest = hard_gap.sum() / different.clamp(min=1, max=self.hardest)
        return self.positive * positive + self.negative * hardest

    def _rank(self, similarity: Tensor, anchors: Tensor) -> Tensor:
        distance = similarity[:, None] - anchors.to(similarity.dtype, copy=True)
        return (distance / self.temperature).sigmoid().sum(dim=1)

    @torch.no_grad()
    def _move(self, s_sorted: Tensor, t_sorted: Tensor, different: Tensor) -> None:
        if not len(s_sorted):
            return
        rates = torch.tensor(_RATES, dtype=torch.float64, device=s_sorted.device)
        # Past 1/rate pairs the anchor is the most similar pair.
        places = (different * rates + 1e-9).long()
        first = self.batches == 0
        for anchors, similarities in (
            (self.student_anchors, s_sorted),
            (self.teacher_anchors, t_sorted),
        ):
            newest = similarities[places].to(anchors)
            moved = torch.where(first, newest, anchors.lerp(newest, self.momentum))
            anchors.copy_(torch.where(different > 0, moved, anchors))
        self.batches += different > 0
