"""CurricularFace: hard negatives weigh more as training goes on (Huang et al., CVPR 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.margin import MarginHead, additive_angular_margin, check_margin
from evenface.models.registry import HEADS


@HEADS.register(
    "curricularface",
    title="CurricularFace",
    formula=(
        "s cos(θ + m), where another class j whose cosine exceeds cos(θ + m) gets s cos θ_j (t + "
        "cos θ_j), t a running mean of cos θ of rate t_alpha"
    ),
    works=("huang2020curricularface",),
)
class CurricularFace(MarginHead):
    """Target logit s · cos(θ + m); where another class's cosine exceeds that, its logit is
    s · cos θ_j (t + cos θ_j).

    t is a running mean of the target cosines, moved before it is used, in training mode only, and
    part of the state dict (equations 5 to 7 of the paper; it starts at 0).

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: margin in radians, in [0, π].
        t_alpha: weight of the newest batch in t, in (0, 1].
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m: float = 0.5,
        t_alpha: float = 0.01,
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        if not 0 < t_alpha <= 1:
            raise ValueError(f"t_alpha must be in (0, 1], got {t_alpha}")
        self.m = check_margin("m", m, math.pi)
        self.t_alpha = t_alpha
        self.t: Tensor
        self.register_buffer("t", torch.tensor(0.0))

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos(θ + m); moves t."""
        if self.training:
            self.t.lerp_(target.detach().mean().to(self.t), self.t_alpha)
        return additive_angular_margin(target, self.m)

    def others(self, cosines: Tensor, target: Tensor) -> Tensor:
        """cos θ_j (t + cos θ_j) where cos θ_j > cos(θ + m)."""
        # A copy: t moves in place before the gradient is asked for in a second forward pass.
        hard = cosines * (self.t.to(cosines.dtype, copy=True) + cosines)
        return torch.where(cosines > target.detach(), hard, cosines)
