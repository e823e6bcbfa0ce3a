"""What ElasticFace's heads share (Boutros et al., CVPRW 2022): a margin drawn for every sample.

ElasticFace+ sorts a batch's margins and gives the smallest to the sample nearest to its class
centre (section 3.2 of the paper). Published code indexes the sorted margins by the sort order
where the rank is meant, the inverse of that permutation: cosines [.1, .9, .5] and margins
[1, 2, 3] get [2, 3, 1] instead of [3, 1, 2].
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from evenface.models.draws import Randomness, standard_normal
from evenface.models.margin import MarginHead, check_margin

Assignment = Literal["rank", "published"]


class ElasticHead(MarginHead):
    """Draws margins m + σ · N(0, 1), clamped to [0, largest].

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        m: mean margin, in [0, largest].
        std: standard deviation σ of the margin, in [0, 1].
        largest: margin allowed.
        generator: source of the margins where the call gives none; None for torch's global one.

    Attributes:
        assign: None for margins as they are drawn; "rank" for ElasticFace+ as it is meant,
            "published" as its code does.
    """

    def __init__(
        self,
        embedding_size: int,
        num_identities: int,
        *,
        s: float,
        m: float,
        std: float,
        largest: float,
        generator: Randomness = None,
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        self.m = check_margin("m", m, largest)
        self.std = check_margin("std", std, 1.0)
        self.generator = generator
        self._largest = largest
        self.assign: Assignment | None = None

    def margins(self, target: Tensor, generator: Randomness) -> Tensor:
        """One margin a sample, (B,); with "rank" and "published" they depend on the batch.

        Args:
            target: (B,) cosines to the own class centres.
            generator: source of the draws.
        """
        noise = standard_normal(self.generator if generator is None else generator, target)
        margins = (self.m + self.std * noise).clamp(0.0, self._largest)
        return margins if self.assign is None else assigned(margins, target, self.assign)


def assigned(margins: Tensor, target: Tensor, how: Assignment) -> Tensor:
    """The margins (B,), given to samples by their target cosines (B,)."""
    order = target.detach().argsort(descending=True, stable=True)
    rising = margins.sort().values
    return rising[order.argsort() if how == "rank" else order]
