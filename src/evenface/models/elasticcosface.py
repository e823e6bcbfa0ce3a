"""ElasticFace-Cos: a cosine margin drawn anew for every sample (Boutros et al., CVPRW 2022)."""

from __future__ import annotations

from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.elasticface import Assignment, ElasticHead
from evenface.models.registry import HEADS


@HEADS.register(
    "elasticcosface",
    title="ElasticFace-Cos",
    formula=(
        "s (cos θ − m_i), with m_i drawn for every image from a normal distribution of mean m and "
        "deviation std"
    ),
    works=("boutros2022elasticface",),
)
class ElasticCosFace(ElasticHead):
    """Target logit s · (cos θ − E(m, σ)), E normal; equation 6 of the paper.

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: mean margin, in [0, 2].
        std: standard deviation σ of the margin, in [0, 1]. Draws are clamped to [0, 2].
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m: float = 0.35,
        std: float = 0.05,
    ) -> None:
        super().__init__(embedding_size, num_identities, s=s, m=m, std=std, largest=2.0)

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos θ − m_i, one m_i a sample."""
        return target - self.margins(target, generator)


@HEADS.register(
    "elasticcosface_plus",
    title="ElasticFace-Cos+",
    formula=(
        "s (cos θ − m_i), with a batch's m_i drawn from a normal distribution of mean m and "
        "deviation std and dealt by rank of cos θ"
    ),
    works=("boutros2022elasticface",),
)
class ElasticCosFacePlus(ElasticCosFace):
    """ElasticFace-Cos+: the batch's margins by rank, the smallest for the nearest.

    Args:
        embedding_size, num_identities, s, m, std: as for ElasticFace-Cos; σ 0.02.
        assign: "rank", or "published" for the inverse permutation of published code.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        m: float = 0.35,
        std: float = 0.02,
        assign: Assignment = "rank",
    ) -> None:
        super().__init__(
            embedding_size=embedding_size, num_identities=num_identities, s=s, m=m, std=std
        )
        self.assign = assign
