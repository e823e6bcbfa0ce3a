"""ArcFace: additive angular margin (Deng et al., CVPR 2019, equation 3)."""

from __future__ import annotations

import math

from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.margin import ANGULAR_MARGINS, Angle, MarginHead, check_margin
from evenface.models.registry import HEADS


@HEADS.register(
    "arcface",
    title="ArcFace",
    formula="s cos(θ + m)",
    works=("deng2019arcface",),
)
class ArcFace(MarginHead):
    """Target logit s · cos(θ + m).

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: margin in radians, in [0, π].
        angle: "safe", or "acos" as in published code (:func:`evenface.models.margin.acos_margin`).
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m: float = 0.5,
        angle: Angle = "safe",
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        self.m = check_margin("m", m, math.pi)
        self._shift = ANGULAR_MARGINS[angle]

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos(θ + m)."""
        return self._shift(target, self.m)
