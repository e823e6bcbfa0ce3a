"""What the margin heads share: class centres, cosines, and margins that are safe everywhere.

A margin softmax (Wang et al., CosFace, CVPR 2018; Deng et al., ArcFace, CVPR 2019) classifies by
the cosine between an embedding and the class centres, times a scale ``s``, after making the
target's cosine smaller.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Squared sine below which the square root is replaced by a ramp, to keep its slope finite.
_TINY = 1e-8


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


class MarginHead(nn.Module):
    """Class centres, and logits s · cos with a margin on the target; see :meth:`margin`.

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
        generator: torch.Generator | None = None,
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
            values = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
            norms = values.norm(dim=1, keepdim=True)
            cosines = F.linear(
                F.normalize(values), F.normalize(self.weight.to(values.dtype))
            ).clamp(-1.0, 1.0)
            if labels is None:
                return cosines * self.s
            target = cosines.gather(1, labels[:, None])
            target = self.margin(target[:, 0], norms[:, 0], generator)
            return cosines.scatter(1, labels[:, None], target[:, None].to(cosines.dtype)) * self.s

    def margin(self, target: Tensor, norms: Tensor, generator: torch.Generator | None) -> Tensor:
        """The target's cosines (B,) with the margin applied.

        Args:
            target: (B,) cosines between embeddings and their own class centres.
            norms: (B,) norms of the embeddings before normalisation.
            generator: source of random margins.
        """
        raise NotImplementedError

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
