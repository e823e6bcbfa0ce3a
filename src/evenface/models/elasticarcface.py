"""ElasticFace-Arc: an angular margin drawn anew for every sample (Boutros et al., CVPRW 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenface.models.margin import MarginHead, additive_angular_margin, check_margin
from evenface.models.registry import HEADS


@HEADS.register("elasticarcface")
class ElasticArcFace(MarginHead):
    """Target logit s · cos(θ + E(m, σ)), E normal; equation 5 of the paper.

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: mean margin in radians, in [0, π].
        std: standard deviation σ of the margin in radians, in [0, 1]. Draws are clamped to
            [0, π]; with the published 0.5 and 0.05 that is ten deviations away.
        generator: source of the margins where the call gives none; None for torch's global one.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m: float = 0.5,
        std: float = 0.05,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        self.m = check_margin("m", m, math.pi)
        self.std = check_margin("std", std, 1.0)
        self.generator = generator

    def margin(self, target: Tensor, norms: Tensor, generator: torch.Generator | None) -> Tensor:
        """cos(θ + m_i), one m_i a sample."""
        generator = generator or self.generator
        # Drawn where the generator lives, so that a CPU generator serves a GPU run.
        device = generator.device if generator is not None else target.device
        noise = torch.randn(len(target), generator=generator, device=device, dtype=torch.float32)
        margins = (self.m + self.std * noise).clamp(0.0, math.pi)
        return additive_angular_margin(target, margins.to(target))
