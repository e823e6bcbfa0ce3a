"""Weights of groups in a distillation, which may move towards the group that is served worst.

Ours, after group DRO (Sagawa et al., ICLR 2020), with the teacher–student distance in the place of
the classification loss. Experimental.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GroupWeighting(nn.Module):
    """Σ_g q_g λ_g d_g, where d_g is the mean distance of group g in the batch.

    The weights q start equal. With a step size η they move at every batch, before they are used:
    q_g ← q_g · exp(η · d_g) for the groups in the batch, then all are divided by their sum. Of
    groups that are not in the batch q keeps its share, and the loss divides by the weight of those
    that are; with equal weights it is the plain mean over groups. q is part of the state dict, so
    a resumed training goes on exactly; it moves in training mode only.

    Args:
        factors: λ_g of every group, positive.
        step: η, positive, or None for weights that stay equal.

    Raises:
        ValueError: no group, or a number out of range.
    """

    def __init__(self, factors: Sequence[float], *, step: float | None = None) -> None:
        super().__init__()
        if not factors or not all(factor > 0 for factor in factors):
            raise ValueError(f"the groups' factors must be positive, got {list(factors)}")
        if step is not None and not step > 0:
            raise ValueError(f"the step size must be positive, got {step}")
        self.step = step
        self.factors: Tensor
        self.log_weights: Tensor
        self.register_buffer("factors", torch.tensor(factors), persistent=False)
        equal = torch.full((len(factors),), 1 / len(factors))
        self.register_buffer("log_weights", equal.log())

    @property
    def weights(self) -> Tensor:
        """q, (G,), summing to 1."""
        return self.log_weights.exp()

    def forward(self, distances: Tensor, groups: Tensor) -> Tensor:
        """The weighted distance, a scalar.

        Args:
            distances: (B,), of each sample.
            groups: int64 (B,): the samples' groups, in [0, G).
        """
        codes = torch.arange(len(self.factors), device=groups.device)
        # A product, because adding up by index is not repeatable on GPUs.
        belongs = (codes[:, None] == groups).to(distances.dtype)
        counts = belongs.sum(dim=1)
        means = (belongs @ distances) / counts.clamp(min=1)
        if self.training and self.step is not None:
            moved = self.log_weights + self.step * means.detach().to(self.log_weights)
            self.log_weights.copy_(moved.log_softmax(dim=0))
        shares = self.weights.to(distances.dtype) * (counts > 0)
        factors = self.factors.to(distances.dtype)
        return (shares / shares.sum() * factors * means).sum()
