"""MarginDistillation (Svitov and Alyamkin, arXiv 2003.02586): margins from the teacher's trust."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from evenface.distill.base import SampleDistillation
from evenface.distill.centres import check_scale, margin_cross_entropy, unit_centres
from evenface.distill.registry import DISTILLATIONS
from evenface.models.margin import check_margin


@DISTILLATIONS.register(
    "margindistillation",
    title="MarginDistillation",
    formula=(
        "ArcFace softmax over centres that start as the teacher's, with the margin (m_max − "
        "m_min)/D_max · cos(f_t, W_y) + m_min"
    ),
    works=("svitov2020margindistillation",),
)
class MarginDistillation(SampleDistillation):
    """ArcFace softmax over class centres that start as the teacher's, with a margin a sample:

        m_i = (m_max − m_min) / D_max · cos(f_t, W_y) + m_min,

    D_max being the batch's largest such cosine, so the surer the teacher, the larger the margin.
    Margins take no gradient and are clamped to [0, m_max]; where no cosine is positive all are
    m_min.

    Args:
        centres: the teacher's class centres (C, D).
        weight: of the cross-entropy.
        s: scale.
        m_min, m_max: margins in radians, 0 ≤ m_min ≤ m_max ≤ π.
        learn: whether the centres are learned on, as published, or stay the teacher's.
    """

    needs = frozenset({"labels", "centres"})
    same_size = True
    source = "Svitov and Alyamkin, arXiv 2003.02586"

    def __init__(
        self,
        *,
        centres: Tensor,
        weight: float = 1.0,
        s: float = 64.0,
        m_min: float = 0.2,
        m_max: float = 0.5,
        learn: bool = True,
    ) -> None:
        super().__init__(weight)
        self.s = check_scale(s)
        self.m_max = check_margin("m_max", m_max, math.pi)
        self.m_min = check_margin("m_min", m_min, m_max)
        self.centres = torch.nn.Parameter(unit_centres(centres), requires_grad=learn)

    def distances(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Cross-entropy of every sample."""
        labels: Tensor = extra["labels"]
        margins = self.margins(teacher, labels)
        return margin_cross_entropy(student, self.centres, labels, s=self.s, margins=margins)

    @torch.no_grad()
    def margins(self, teacher: Tensor, labels: Tensor) -> Tensor:
        """m_i of every sample (B,), from the teacher's normalised embeddings (B, D)."""
        own = F.normalize(self.centres[labels].to(teacher.dtype))
        trust = (teacher * own).sum(dim=1)
        largest = trust.max()
        share = torch.where(largest > 0, trust / largest.clamp(min=1e-6), 0.0)
        return ((self.m_max - self.m_min) * share + self.m_min).clamp(0.0, self.m_max)
