"""FitNets (Romero et al., ICLR 2015): feature maps within the networks shall agree."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.distill.base import SampleDistillation
from evenface.distill.registry import DISTILLATIONS
from evenface.models.margin import at_least_single


@DISTILLATIONS.register(
    "fitnet",
    title="hints of feature maps",
    formula="distance of feature maps, the student's through a learned 1 × 1 convolution",
    works=("romero2015fitnets",),
)
class FeatureDistillation(SampleDistillation):
    """Distance between the teacher's feature map and the student's through a learned projection.

    The projection is a 1 × 1 convolution to the teacher's channels. Where the maps have other
    numbers of places, the student's is averaged over areas to the teacher's.

    Args:
        channels: of the student's and the teacher's map.
        student_layer, teacher_layer: names of the modules whose outputs are the maps, e.g.
            "layer3".
        weight: of the loss.
        distance: "mse" over channels and places (FitNets), or "cosine" for 1 − cos of the maps
            (ShrinkTeaNet; Duong et al., arXiv 1905.10620).
    """

    needs = frozenset({"maps"})
    source = "Romero et al., ICLR 2015"

    def __init__(
        self,
        *,
        channels: tuple[int, int],
        student_layer: str,
        teacher_layer: str,
        weight: float = 1.0,
        distance: Literal["mse", "cosine"] = "mse",
    ) -> None:
        super().__init__(weight)
        self.student_layer = student_layer
        self.teacher_layer = teacher_layer
        self.distance = distance
        self.projection = nn.Conv2d(*channels, 1, bias=False)

    def distances(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """The distance of every sample's maps."""
        maps: tuple[Tensor, Tensor] = extra["maps"]
        projected = self.projection(at_least_single(maps[0]).to(self.projection.weight.dtype))
        target = maps[1].detach().to(projected.dtype)
        if len(projected) != len(target) or len(target) != len(student):
            raise ValueError(
                f"feature maps of {len(projected)} and {len(target)} images for a batch of "
                f"{len(student)}: micro-batches cannot be used with feature maps"
            )
        if projected.shape[2:] != target.shape[2:]:
            projected = F.adaptive_avg_pool2d(projected, (target.shape[2], target.shape[3]))
        if self.distance == "mse":
            return (projected - target).square().mean(dim=(1, 2, 3))
        return 1 - torch.cosine_similarity(projected.flatten(1), target.flatten(1))
