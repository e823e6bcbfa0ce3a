"""Template distillation: the student's embedding shall point where the teacher's does.

The paper (arXiv 2408.17399) adds λ · MSE(f_t, f_s) of L2-normalised embeddings, the mean taken
over batch *and* dimensions. Since ‖f_t − f_s‖² = 2 (1 − cos), that equals

    2 λ / D · mean(1 − cos),

so that λ = 10,000 means 39.0625 for D = 512 and 156.25 for D = 128. Here the weight is that of
(1 − cos), which means the same for every embedding size.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evenface.distill.base import SampleDistillation
from evenface.distill.registry import DISTILLATIONS

PAPER_WEIGHT = 39.0625
"""2 · 10,000 / 512: the paper's λ at 512 dimensions in terms of 1 − cos."""


@DISTILLATIONS.register(
    "template",
    title="template distillation",
    formula="1 − cos(f, f_t)",
    works=("huber2021maskinv", "neto2024"),
)
class TemplateDistillation(SampleDistillation):
    """weight · mean(1 − cos(f_s, f_t)).

    Args:
        weight: of 1 − cos, positive.
    """

    same_size = True
    source = "arXiv 2408.17399; Huber et al., FG 2021"

    def __init__(self, *, weight: float = PAPER_WEIGHT) -> None:
        super().__init__(weight)

    def distances(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """1 − cos of every sample."""
        # Half the squared distance: equal to 1 − cos, but exact where the two almost agree.
        return (student - teacher).square().sum(dim=1) / 2


def mse_lambda(weight: float, embedding_size: int) -> float:
    """The λ of λ · MSE (mean over batch and dimensions) that equals ``weight`` · (1 − cos)."""
    return weight * embedding_size / 2


def weight_of_lambda(mse: float, embedding_size: int) -> float:
    """The weight of (1 − cos) that equals ``mse`` · MSE; inverse of :func:`mse_lambda`."""
    return 2 * mse / embedding_size
