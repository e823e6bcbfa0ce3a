"""MagFace: the embedding's magnitude learns to tell quality (Meng et al., CVPR 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenface.models.draws import Randomness
from evenface.models.margin import (
    MarginHead,
    additive_angular_margin,
    at_least_single,
    check_margin,
)
from evenface.models.registry import HEADS


@HEADS.register(
    "magface",
    title="MagFace",
    formula=(
        "s cos(θ + m(a)), with a the norm of the embedding in [l_a, u_a] and m(a) linear from l_m "
        "to u_m, and s cos θ where cos θ ≤ 0 (easy_margin); λ_g (1/a + a/u_a²) is added to the "
        "loss"
    ),
    works=("meng2021magface",),
)
class MagFace(MarginHead):
    """Target logit s · cos(θ + m(a)), and a penalty λ_g · mean g(a) on the magnitude a = ‖f‖.

    m(a) = (u_m − l_m) / (u_a − l_a) · (a − l_a) + l_m rises with the magnitude, which is clamped
    to [l_a, u_a]; g(a) = 1/a + a/u_a² falls up to u_a (sections 3.1 and 3.2). Gradients flow
    through a, as in the authors' code. By its default, ``easy_margin``, targets with cos θ ≤ 0,
    about half of them with a fresh head, get no margin; the paper has no such exception.

    Args:
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        s: scale.
        l_a, u_a: range of magnitudes, 0 < l_a < u_a.
        l_m, u_m: margins in radians at its ends, 0 ≤ l_m ≤ u_m ≤ π.
        lambda_g: weight of the penalty, at least 0.
        easy_margin: whether the margin is added only where cos θ > 0.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        num_identities: int,
        s: float = 64.0,
        l_a: float = 10.0,
        u_a: float = 110.0,
        l_m: float = 0.45,
        u_m: float = 0.8,
        lambda_g: float = 35.0,
        easy_margin: bool = True,
    ) -> None:
        super().__init__(embedding_size, num_identities, s)
        if not 0 < l_a < u_a:
            raise ValueError(f"magnitudes must be 0 < l_a < u_a, got {l_a} and {u_a}")
        if not lambda_g >= 0:
            raise ValueError(f"lambda_g must be at least 0, got {lambda_g}")
        self.l_a = l_a
        self.u_a = u_a
        self.u_m = check_margin("u_m", u_m, math.pi)
        self.l_m = check_margin("l_m", l_m, u_m)
        self.lambda_g = lambda_g
        self.easy_margin = easy_margin

    def margin(self, target: Tensor, norms: Tensor, generator: Randomness) -> Tensor:
        """cos(θ + m(a)); cos θ where it is not above 0, with ``easy_margin``."""
        slope = (self.u_m - self.l_m) / (self.u_a - self.l_a)
        margins = slope * (norms.clamp(self.l_a, self.u_a) - self.l_a) + self.l_m
        reduced = additive_angular_margin(target, margins)
        return torch.where(target > 0, reduced, target) if self.easy_margin else reduced

    def penalty(self, embeddings: Tensor) -> Tensor:
        """λ_g · mean(1/a + a/u_a²)."""
        magnitude = at_least_single(embeddings).norm(dim=1).clamp(self.l_a, self.u_a)
        return self.lambda_g * (1 / magnitude + magnitude / self.u_a**2).mean()
