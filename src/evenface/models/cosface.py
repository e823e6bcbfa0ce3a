"""CosFace: additive cosine margin (Wang et al., CVPR 2018, equation 4)."""

from __future__ import annotations

from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.margin import MarginHead, check_margin
from evenface.models.registry import HEADS


@HEADS.register(
    "cosface",
    title="CosFace",
    formula="s (cos θ − m)",
    works=("wang2018cosface",),
)
class CosFace(MarginHead):
    """Target logit s · (cos θ − m).

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: margin, in [0, 2].
    """

    def __init__(
        self, *, embedding_size: int, num_identities: int, s: float = 64.0, m: float = 0.35
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        self.m = check_margin("m", m, 2.0)

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos θ − m."""
        return target - self.m
