"""Template distillation: the student's embedding shall point where the teacher's does.

The paper (arXiv 2408.17399) adds λ · MSE(f_t, f_s) of L2-normalised embeddings, the mean taken
over batch *and* dimensions. Since ‖f_t − f_s‖² = 2 (1 − cos), that equals

    2 λ / D · mean(1 − cos),

so that λ = 10,000 means 39.06 for D = 512 and 156.25 for D = 128. Here the weight is that of
(1 − cos), which means the same for every embedding size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.distill.registry import DISTILLATIONS

PAPER_WEIGHT = 39.06
"""2 · 10,000 / 512: the paper's λ in terms of 1 − cos."""


@DISTILLATIONS.register("template")
class TemplateDistillation(nn.Module):
    """weight · mean(1 − cos(f_s, f_t)); no gradient flows to the teacher.

    Args:
        weight: of 1 − cos, positive.
    """

    def __init__(self, weight: float = PAPER_WEIGHT) -> None:
        super().__init__()
        if not weight > 0:
            raise ValueError(f"the weight must be positive, got {weight}")
        self.weight = weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Scalar loss from embeddings (B, D), neither of them normalised.

        Raises:
            ValueError: the shapes differ or are not two-dimensional.
        """
        if student.ndim != 2 or student.shape != teacher.shape:
            raise ValueError(
                "student and teacher embeddings must be (B, D) of one shape, "
                f"got {tuple(student.shape)} and {tuple(teacher.shape)}"
            )
        with torch.autocast(student.device.type, enabled=False):
            f_s = F.normalize(student if student.dtype == torch.float64 else student.float())
            f_t = F.normalize(teacher.detach().to(f_s.dtype))
            # Half the squared distance: equal to 1 − cos, but exact where the two almost agree.
            return self.weight * (f_s - f_t).square().sum(dim=1).mean() / 2


def mse_lambda(weight: float, embedding_size: int) -> float:
    """The λ of λ · MSE (mean over batch and dimensions) that equals ``weight`` · (1 − cos)."""
    return weight * embedding_size / 2


def weight_of_lambda(mse: float, embedding_size: int) -> float:
    """The weight of (1 − cos) that equals ``mse`` · MSE; inverse of :func:`mse_lambda`."""
    return 2 * mse / embedding_size
