"""Relational knowledge distillation (Park et al., CVPR 2019): distances and angles in the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from evenface.distill.base import Distillation, safe_sqrt, squared_distances
from evenface.distill.registry import DISTILLATIONS

_CLOSE = 1e-5


@DISTILLATIONS.register(
    "rkd",
    title="relational distillation",
    formula=(
        "distance · Huber loss of the pairwise distances over their mean + angle · Huber loss of "
        "the cosines of all triangles' angles"
    ),
    works=("park2019rkd",),
)
class RelationalDistillation(Distillation):
    """distance · RKD-D + angle · RKD-A, equations 6 to 11 of the paper, as its authors average.

    RKD-D: Huber loss (δ = 1) of the pairwise distances, each divided by the mean of those that are
    not 0, over all B² pairs. RKD-A: Huber loss of the cosines of the angles at j in the triangles
    (i, j, k), over all B³ triples; it takes B³ numbers of memory.

    Args:
        weight: of both together.
        distance: of RKD-D, at least 0.
        angle: of RKD-A, at least 0.
    """

    source = "Park et al., CVPR 2019"

    def __init__(self, *, weight: float = 1.0, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__(weight)
        if distance < 0 or angle < 0 or not distance + angle > 0:
            raise ValueError(
                f"distance and angle must not be negative nor both 0, got {distance} and {angle}"
            )
        self.distance = distance
        self.angle = angle

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """The weighted sum of both."""
        total = student.new_zeros(())
        if self.distance:
            total = total + self.distance * F.smooth_l1_loss(_spread(student), _spread(teacher))
        if self.angle:
            total = total + self.angle * F.smooth_l1_loss(_angles(student), _angles(teacher))
        return total


def _spread(unit: Tensor) -> Tensor:
    """Pairwise distances over their mean."""
    distances = safe_sqrt(squared_distances(unit))
    present = (distances > 0).sum().clamp(min=1)
    return distances / (distances.sum() / present).clamp(min=1e-12)


def _angles(unit: Tensor) -> Tensor:
    """Cosines (B, B, B): of the angle at the first between the directions to the others."""
    apart = unit[None] - unit[:, None]
    distances = safe_sqrt(apart.square().sum(dim=2, keepdim=True))
    # Two embeddings that agree have no direction, and a tiny distance none to rely on.
    directions = torch.where(distances > _CLOSE, apart / distances.clamp(min=_CLOSE), 0.0)
    return torch.bmm(directions, directions.transpose(1, 2))
