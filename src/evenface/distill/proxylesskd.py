"""ProxylessKD (Shi et al., arXiv 2011.00265): the student must please the teacher's classifier."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from evenface.distill.base import SampleDistillation
from evenface.distill.centres import Kind, check_scale, margin_cross_entropy, unit_centres
from evenface.distill.registry import DISTILLATIONS
from evenface.models.margin import check_margin


@DISTILLATIONS.register(
    "proxylesskd",
    title="ProxylessKD",
    formula="margin softmax over the teacher's class centres, which stay",
    works=("shi2020proxylesskd",),
)
class ProxylessDistillation(SampleDistillation):
    """Margin softmax over the teacher's class centres, which stay as they are.

    Args:
        centres: the teacher's class centres (C, D).
        weight: of the cross-entropy.
        s: scale.
        m: margin, in [0, π].
        kind: "arc" for cos(θ + m), "cos" for cos θ − m.
    """

    needs = frozenset({"labels", "centres"})
    same_size = True
    source = "Shi et al., arXiv 2011.00265"

    def __init__(
        self,
        *,
        centres: Tensor,
        weight: float = 1.0,
        s: float = 64.0,
        m: float = 0.5,
        kind: Kind = "arc",
    ) -> None:
        super().__init__(weight)
        self.s = check_scale(s)
        self.m = check_margin("m", m, math.pi)
        self.kind = kind
        self.centres: Tensor
        self.register_buffer("centres", unit_centres(centres))

    def distances(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Cross-entropy of every sample."""
        return margin_cross_entropy(
            student, self.centres, extra["labels"], s=self.s, margins=self.m, kind=self.kind
        )
