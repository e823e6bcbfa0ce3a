"""Probabilistic knowledge transfer (Passalis and Tefas, ECCV 2018)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evenface.distill.base import Distillation
from evenface.distill.registry import DISTILLATIONS

_EPS = 1e-7


@DISTILLATIONS.register(
    "pkt",
    title="probabilistic knowledge transfer",
    formula="mean over pairs of p_t log(p_t / p), p = (cos + 1)/2 over its row's sum",
    works=("passalis2018pkt",),
)
class ProbabilisticDistillation(Distillation):
    """KL divergence of each sample's neighbours, (cos + 1)/2 over its sum in the row.

    Divergences are averaged over all B² pairs and guarded by ε = 1e-7, as the authors' code does.

    Args:
        weight: of the loss; 30,000 is what comparisons of the field use.
    """

    source = "Passalis and Tefas, ECCV 2018"

    def __init__(self, *, weight: float = 30_000.0) -> None:
        super().__init__(weight)

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Mean of p_t · log((p_t + ε) / (p_s + ε))."""
        p_s, p_t = (_probabilities(unit) for unit in (student, teacher))
        return (p_t * ((p_t + _EPS) / (p_s + _EPS)).log()).mean()


def _probabilities(unit: Tensor) -> Tensor:
    similarity = (unit @ unit.T + 1) / 2
    return similarity / similarity.sum(dim=1, keepdim=True)
