"""ArcFace: additive angular margin (Deng et al., CVPR 2019, equation 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenface.models.margin import MarginHead, additive_angular_margin, check_margin
from evenface.models.registry import HEADS


@HEADS.register("arcface")
class ArcFace(MarginHead):
    """Target logit s · cos(θ + m).

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: margin in radians, in [0, π].
    """

    def __init__(
        self, *, embedding_size: int, num_identities: int, s: float = 64.0, m: float = 0.5
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        self.m = check_margin("m", m, math.pi)

    def margin(self, target: Tensor, norms: Tensor, generator: torch.Generator | None) -> Tensor:
        """cos(θ + m)."""
        return additive_angular_margin(target, self.m)
