"""NormFace: normalised softmax without a margin, the baseline (Wang et al., ACM MM 2017)."""

from __future__ import annotations

from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.margin import MarginHead
from evenface.models.registry import HEADS


@HEADS.register(
    "normface",
    title="NormFace",
    formula="s cos θ",
    works=("wang2017normface",),
)
class NormFace(MarginHead):
    """Target logit s · cos θ, as that of every other class.

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale, fixed.
    """

    def __init__(self, *, embedding_size: int, num_identities: int, s: float = 64.0) -> None:
        super().__init__(embedding_size, num_identities, s)

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos θ."""
        return target
