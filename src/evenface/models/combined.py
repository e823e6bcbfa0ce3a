"""The combined margin of ArcFace's paper: multiplied, added angle and added cosine at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.margin import MarginHead, additive_angular_margin, check_margin, safe_sine
from evenface.models.registry import HEADS

_MOST_TURNS = 8.0


@HEADS.register(
    "combined",
    title="the combined margin",
    formula="s (cos(m1 θ + m2) − m3)",
    works=("deng2019arcface",),
)
class Combined(MarginHead):
    """Target logit s · (cos(m1 · θ + m2) − m3); Deng et al., CVPR 2019, equation 4.

    (m1, 0, 0) is SphereFace, (1, m2, 0) ArcFace and (1, 0, m3) CosFace. Defaults are the paper's
    CM1; its CM2 is (0.9, 0.4, 0.15).

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m1: factor of the angle, in (0, 8].
        m2: margin added to the angle in radians, in [0, π].
        m3: margin taken from the cosine, in [0, 2].
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m1: float = 1.0,
        m2: float = 0.3,
        m3: float = 0.2,
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        if not 0 < m1 <= _MOST_TURNS:
            raise ValueError(f"m1 must be in (0, {_MOST_TURNS:g}], got {m1}")
        self.m1 = m1
        self.m2 = check_margin("m2", m2, math.pi)
        self.m3 = check_margin("m3", m3, 2.0)

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos(m1 · θ + m2) − m3, falling over all θ."""
        if self.m1 == 1:
            return additive_angular_margin(target, self.m2) - self.m3
        return falling_cosine(self.m1 * safe_angle(target) + self.m2) - self.m3


def safe_angle(cosine: Tensor) -> Tensor:
    """θ in [0, π] from cos θ, with a finite gradient everywhere; see ``safe_sine``."""
    cosine = cosine.clamp(-1.0, 1.0)
    return torch.atan2(safe_sine(cosine), cosine)


def falling_cosine(angle: Tensor) -> Tensor:
    """cos φ, continued past π so that it falls for ever: (−1)^k cos φ − 2k for φ in [kπ, (k+1)π].

    Liu et al., SphereFace (CVPR 2017), section 3.3.
    """
    turns = torch.floor(angle.detach() / math.pi)
    return (1 - 2 * (turns % 2)) * torch.cos(angle) - 2 * turns
