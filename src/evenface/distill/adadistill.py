"""AdaDistill (Boutros et al., ECCV 2024): class centres follow the teacher's embeddings."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from evenface.distill.base import SampleDistillation
from evenface.distill.centres import Kind, check_scale, margin_cross_entropy
from evenface.distill.registry import DISTILLATIONS
from evenface.models.margin import check_margin


@DISTILLATIONS.register(
    "adadistill",
    title="AdaDistill",
    formula=(
        "margin softmax over centres that follow the teacher: W_y ← α W_y + (1 − α) f_t, α = "
        "cos(f, f_t) · cos(W_y, f_t), clamped"
    ),
    works=("boutros2024adadistill",),
)
class AdaDistillation(SampleDistillation):
    """Margin softmax of the student over centres that are not learned (equations 6 to 9):

        α = clamp(cos(f_s, f_t) · clamp(cos(W_y, f_t), 1e-6, 1), 1e-6, 1)
        W_y ← α W_y + (1 − α) f_t,

    moved before they are used, in training mode only, and part of the state dict. **Where an
    identity has several images in a batch**, its centre becomes the mean of what each of them
    alone would make of the old one, whatever their order. (In the authors' code one of them, no
    matter which, wins.)

    Args:
        embedding_size: the teacher's number of dimensions D.
        num_identities: number of classes C.
        weight: of the cross-entropy.
        s: scale.
        m: margin, in [0, π].
        kind: "arc" for cos(θ + m), "cos" for cos θ − m.
    """

    needs = frozenset({"labels"})
    same_size = True
    source = "Boutros et al., ECCV 2024"

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        weight: float = 1.0,
        s: float = 64.0,
        m: float = 0.45,
        kind: Kind = "arc",
    ) -> None:
        super().__init__(weight)
        self.s = check_scale(s)
        self.m = check_margin("m", m, math.pi)
        self.kind = kind
        self.centres: Tensor
        centres = torch.empty(num_identities, embedding_size)
        self.register_buffer("centres", torch.nn.init.normal_(centres, std=0.01))

    def distances(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Cross-entropy of every sample."""
        labels: Tensor = extra["labels"]
        if self.training:
            self._follow(student.detach(), teacher, labels)
        # A copy: the centres move in place before the gradient is asked for.
        centres = self.centres.to(student.dtype, copy=True)
        return margin_cross_entropy(
            student, centres, labels, s=self.s, margins=self.m, kind=self.kind
        )

    @torch.no_grad()
    def _follow(self, student: Tensor, teacher: Tensor, labels: Tensor) -> None:
        old = self.centres[labels].to(teacher.dtype)
        trust = F.cosine_similarity(old, teacher).clamp(1e-6, 1.0)
        alpha = ((student * teacher).sum(dim=1) * trust).clamp(1e-6, 1.0)[:, None]
        wishes = alpha * old + (1 - alpha) * teacher
        same = labels[:, None] == labels
        means = same.to(wishes.dtype) @ wishes / same.sum(dim=1, keepdim=True)
        # All images of an identity write the first one's mean: equal bits, so no race.
        place = torch.arange(len(labels), device=labels.device)
        first = torch.where(same, place, len(labels)).min(dim=1).values
        self.centres[labels] = means[first].to(self.centres)
