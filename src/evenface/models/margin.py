"""What the margin heads share: class centres, cosines, and margins that are safe everywhere.

A margin softmax (Wang et al., CosFace, CVPR 2018; Deng et al., ArcFace, CVPR 2019) classifies by
the cosine between an embedding and the class centres, times a scale ``s``, after making the
target's cosine smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.models.draws import Randomness

# Squared sine below which the square root is replaced by a ramp, to keep its slope finite.
_TINY = 1e-8


def at_least_single(values: Tensor) -> Tensor:
    """``values`` as they are if float64, else as float32."""
    return values if values.dtype == torch.float64 else values.float()


def safe_sine(cosine: Tensor) -> Tensor:
    """sin θ ≥ 0 from cos θ in [−1, 1], with a finite gradient everywhere.

    Within 1e-4 rad of 0 and π the root is replaced by a ramp that is exact at both its ends and
    off by at most 2.5e-5 between them.
    """
    square = (1.0 - cosine * cosine).clamp(min=0.0)
    root = square.clamp(min=_TINY).sqrt()
    return torch.where(square > _TINY, root, square / math.sqrt(_TINY))


def additive_angular_margin(cosine: Tensor, margin: Tensor | float) -> Tensor:
    """cos(θ + m), continued so that it falls monotonically over all θ in [0, π].

    Past θ + m = π the cosine would rise again and reward the wrong direction. There −2 − cos(θ + m)
    is used, SphereFace's continuation (Liu et al., CVPR 2017, section 3.3): it meets the cosine at
    −1 with slope 0 and falls beyond. No acos is taken, so gradients are finite at |cos| = 1.

    Args:
        cosine: target cosines, any shape; values outside [−1, 1] by rounding are clamped.
        margin: m in radians, 0 ≤ m ≤ π, broadcast against ``cosine``.
    """
    m = torch.as_tensor(margin, dtype=cosine.dtype, device=cosine.device)
    cosine = cosine.clamp(-1.0, 1.0)
    shifted = cosine * torch.cos(m) - safe_sine(cosine) * torch.sin(m)
    return torch.where(cosine > torch.cos(math.pi - m), shifted, -2.0 - shifted)


def acos_margin(cosine: Tensor, margin: Tensor | float) -> Tensor:
    """cos(arccos(cos θ) + m) as published code computes it, faults included.

    The gradient is infinite at |cos θ| = 1, and past θ + m = π the cosine rises again. It is here
    to measure what these faults do; :func:`additive_angular_margin` has neither.
    """
    return torch.cos(torch.arccos(cosine.clamp(-1.0, 1.0)) + margin)


Angle = Literal["safe", "acos"]
"""How an angular margin is computed; see :data:`ANGULAR_MARGINS`."""

ANGULAR_MARGINS: dict[Angle, Callable[[Tensor, Tensor | float], Tensor]] = {
    "safe": additive_angular_margin,
    "acos": acos_margin,
}


class MarginHead(nn.Module):
    """Class centres, and logits s · cos with a margin on the target.

    A head of its own overrides :meth:`margin`; where its margin changes other classes' cosines too,
    :meth:`others`; where it adds a loss of its own, :meth:`penalty`.

    These, and :meth:`logits`, see whole batches of targets but need not see all classes, so a
    process that holds some of the class centres can use them: it passes the cosines with its own
    classes, and everybody's target cosines, norms and rows. State (AdaFace's and CurricularFace's
    running statistics) then moves alike in every process.

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale of the logits, positive.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(self, embedding_size: int, num_identities: int, s: float) -> None:
        super().__init__()
        if embedding_size < 1 or num_identities < 1:
            raise ValueError(
                "embedding_size and num_identities must be at least 1, "
                f"got {embedding_size} and {num_identities}"
            )
        if not s > 0:
            raise ValueError(f"the scale s must be positive, got {s}")
        self.embedding_size = embedding_size
        self.num_identities = num_identities
        self.s = s
        self.weight = nn.Parameter(torch.empty(num_identities, embedding_size))
        nn.init.normal_(self.weight, std=0.01)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        """Logits (B, C) float32 (float64 for float64 input), times ``s``.

        Args:
            embeddings: (B, D), not normalised.
            labels: (B,) int64 in [0, C), or None for no margin.
            generator: source of random margins, for heads that draw any.

        Raises:
            ValueError: another shape or type, or a label out of range. (Labels on a GPU are not
                looked at, because that would wait for the device in every step.)
        """
        self._check(embeddings, labels)
        # Half precision cannot tell cosines next to 1 apart.
        with torch.autocast(embeddings.device.type, enabled=False):
            values = at_least_single(embeddings)
            norms = values.norm(dim=1)
            cosines = F.linear(
                F.normalize(values), F.normalize(self.weight.to(values.dtype))
            ).clamp(-1.0, 1.0)
            if labels is None:
                return cosines * self.s
            target = cosines.gather(1, labels[:, None])[:, 0]
            return self.logits(cosines, labels, target, norms, generator)

    def logits(
        self,
        cosines: Tensor,
        columns: Tensor,
        target: Tensor,
        norms: Tensor,
        generator: Randomness = None,
    ) -> Tensor:
        """Logits (B, K), times ``s``, for K of the classes.

        Args:
            cosines: (B, K) between embeddings and the class centres at hand.
            columns: int64 (B,): where in ``cosines`` a sample's own class is, −1 where it is not
                among these classes.
            target: (B,) cosine between an embedding and its own class centre, wherever that is.
            norms: (B,) of the embeddings before normalisation.
            generator: source of random margins.
        """
        reduced = self.margin(target, norms, generator).to(cosines.dtype)[:, None]
        others = self.others(cosines, reduced)
        column = columns.clamp(min=0)[:, None]
        own = torch.where(columns[:, None] >= 0, reduced, others.gather(1, column))
        return others.scatter(1, column, own) * self.s

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """The target's cosines (B,) with the margin applied.

        Args:
            target: (B,) cosines between embeddings and their own class centres.
            norms: (B,) norms of the embeddings before normalisation.
            generator: source of random margins.
        """
        raise NotImplementedError

    def others(self, cosines: Tensor, target: Tensor) -> Tensor:
        """Cosines (B, K) with classes that are not the sample's own; as they are by default.

        Args:
            cosines: (B, K).
            target: (B, 1) the target's cosine, margin applied; called after :meth:`margin`.
        """
        return cosines

    def penalty(self, embeddings: Tensor) -> Tensor | None:
        """Scalar loss to add to the cross-entropy, for heads that have one.

        Args:
            embeddings: (B, D), not normalised.
        """
        return None

    def _check(self, embeddings: Tensor, labels: Tensor | None) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embedding_size:
            raise ValueError(
                f"embeddings must be (B, {self.embedding_size}), got {tuple(embeddings.shape)}"
            )
        if labels is None:
            return
        if labels.shape != embeddings.shape[:1] or labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be int64 of shape ({len(embeddings)},), "
                f"got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        if labels.device.type == "cpu" and labels.numel():
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= self.num_identities:
                raise ValueError(
                    f"labels run from {low} to {high}, but the head has {self.num_identities} "
                    f"classes (0 to {self.num_identities - 1})"
                )


def check_margin(name: str, value: float, largest: float) -> float:
    """``value`` if it lies in [0, largest]; else ValueError."""
    if not 0 <= value <= largest:
        raise ValueError(f"{name} must be in [0, {largest:.4g}], got {value}")
    return value
