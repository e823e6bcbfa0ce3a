"""AdaFace: a margin that follows image quality, read from the norm (Kim et al., CVPR 2022)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.margin import (
    MarginHead,
    additive_angular_margin,
    check_margin,
    safe_sine,
)
from evenface.models.registry import HEADS

_NORM_RANGE = (1e-3, 100.0)


@HEADS.register(
    "adaface",
    title="AdaFace",
    formula=(
        "s (cos(θ − m z) − (m z + m)), with z the norm of the embedding, standardised by running "
        "statistics of rate t_alpha, times h, clamped to [−1, 1]"
    ),
    works=("kim2022adaface",),
)
class AdaFace(MarginHead):
    """Target logit s · (cos(θ + g_angle) − g_add), equations 13 to 16 of the paper.

    With z the embedding's norm, standardised by running mean and deviation, times ``h`` and
    clamped to [−1, 1]: g_angle = −m · z, g_add = m · z + m. The norm is the one *before*
    normalisation and takes no gradient. Running statistics move in training mode only and are
    part of the state dict.

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: margin, in [0, 1].
        h: concentration of z, positive.
        t_alpha: weight of the newest batch in the running statistics, in (0, 1].
        norms: "features", or "unit" for norms read after normalisation, as published distillation
            code does by mistake: all are 1 then, and with ``t_alpha`` 1 the head is CosFace.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m: float = 0.4,
        h: float = 0.333,
        t_alpha: float = 0.01,
        norms: Literal["features", "unit"] = "features",
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        if not h > 0:
            raise ValueError(f"h must be positive, got {h}")
        if not 0 < t_alpha <= 1:
            raise ValueError(f"t_alpha must be in (0, 1], got {t_alpha}")
        self.m = check_margin("m", m, 1.0)
        self.h = h
        self.t_alpha = t_alpha
        self._unit = norms == "unit"
        self.batch_mean: Tensor
        self.batch_std: Tensor
        self.register_buffer("batch_mean", torch.tensor(20.0))
        self.register_buffer("batch_std", torch.tensor(100.0))

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos(θ − m·z) − (m·z + m)."""
        safe = torch.ones_like(norms) if self._unit else norms.detach().clamp(*_NORM_RANGE)
        if self.training and len(safe) > 1:  # one sample has no deviation
            self.batch_mean.lerp_(safe.mean().to(self.batch_mean), self.t_alpha)
            self.batch_std.lerp_(safe.std().to(self.batch_std), self.t_alpha)
        z = (safe - self.batch_mean) / (self.batch_std + 1e-3) * self.h
        z = z.clamp(-1.0, 1.0).to(target.dtype)
        angle = -self.m * z
        # A negative angle must not carry θ below 0, where the cosine would fall again.
        widened = torch.where(
            angle >= 0,
            additive_angular_margin(target, angle.clamp(min=0.0)),
            _narrow(target, -angle),
        )
        return widened - (self.m * z + self.m)


def _narrow(cosine: Tensor, by: Tensor) -> Tensor:
    """cos(max(θ − by, 0)) for by in [0, 1]."""
    shifted = cosine * torch.cos(by) + safe_sine(cosine) * torch.sin(by)
    inside = cosine < torch.cos(by)
    return torch.where(inside, shifted, torch.ones_like(shifted))
