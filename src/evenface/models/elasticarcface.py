"""ElasticFace-Arc: an angular margin drawn anew for every sample (Boutros et al., CVPRW 2022)."""

from __future__ import annotations

import math

from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.elasticface import Assignment, ElasticHead
from evenface.models.margin import ANGULAR_MARGINS, Angle
from evenface.models.registry import HEADS


@HEADS.register(
    "elasticarcface",
    title="ElasticFace-Arc",
    formula=(
        "s cos(θ + m_i), with m_i drawn for every image from a normal distribution of mean m and "
        "deviation std"
    ),
    works=("boutros2022elasticface",),
)
class ElasticArcFace(ElasticHead):
    """Target logit s · cos(θ + E(m, σ)), E normal; equation 5 of the paper.

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: mean margin in radians, in [0, π].
        std: standard deviation σ of the margin in radians, in [0, 1]. Draws are clamped to
            [0, π]; with the published 0.5 and 0.05 that is ten deviations away.
        angle: "safe", or "acos" as in published code (:func:`evenface.models.margin.acos_margin`).
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
        angle: Angle = "safe",
        generator: Randomness = None,
    ) -> None:
        super().__init__(
            embedding_size,
            num_identities,
            s=s,
            m=m,
            std=std,
            largest=math.pi,
            generator=generator,
        )
        self._shift = ANGULAR_MARGINS[angle]

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos(θ + m_i), one m_i a sample."""
        return self._shift(target, self.margins(target, generator))


@HEADS.register(
    "elasticarcface_plus",
    title="ElasticFace-Arc+",
    formula=(
        "s cos(θ + m_i), with a batch's m_i drawn from a normal distribution of mean m and "
        "deviation std and dealt by rank of cos θ"
    ),
    works=("boutros2022elasticface",),
)
class ElasticArcFacePlus(ElasticArcFace):
    """ElasticFace-Arc+: the batch's margins by rank, the smallest for the nearest.

    Args:
        embedding_size, num_identities, s, m, std, angle: as for ElasticFace-Arc; σ 0.0175.
        assign: "rank", or "published" for the inverse permutation of published code.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m: float = 0.5,
        std: float = 0.0175,
        angle: Angle = "safe",
        assign: Assignment = "rank",
    ) -> None:
        super().__init__(
            embedding_size=embedding_size,
            num_identities=num_identities,
            s=s,
            m=m,
            std=std,
            angle=angle,
        )
        self.assign = assign
