"""Similarity-preserving distillation (Tung and Mori, ICCV 2019)."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from evenface.distill.base import Distillation
from evenface.distill.registry import DISTILLATIONS


@DISTILLATIONS.register(
    "sp",
    title="similarity-preserving distillation",
    formula="‖G − G_t‖²_F / B², with G = F Fᵀ of a batch of B, its rows L2-normalised",
    works=("tung2019sp",),
)
class SimilarityDistillation(Distillation):
    """‖G_s − G_t‖²_F / B², G the batch's similarities with L2-normalised rows (equations 1 to 4).

    Args:
        weight: of the loss; 3000 is the paper's γ.
    """

    source = "Tung and Mori, ICCV 2019"

    def __init__(self, *, weight: float = 3000.0) -> None:
        super().__init__(weight)

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Mean over all B² pairs."""
        g_s, g_t = (F.normalize(unit @ unit.T) for unit in (student, teacher))
        return (g_s - g_t).square().mean()
