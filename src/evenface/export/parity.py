"""Whether a shipped model still gives the embeddings of the network that was trained."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel

from evenface.errors import DataError
from evenface.teachers.record import Precision

BOUNDS: dict[Precision, tuple[float, float]] = {
    "fp32": (1e-5, 1e-5),
    "fp16": (1e-3, 1e-3),
    "int8": (0.02, 0.08),
}
"""Largest mean and largest single difference 1 − cos that are let through."""


class Parity(BaseModel):
    """Differences 1 − cos between the embeddings of two forms of one network."""

    images: int
    mean: float
    max: float
    mean_bound: float
    max_bound: float

    @property
    def holds(self) -> bool:
        """Both within their bounds."""
        return self.mean <= self.mean_bound and self.max <= self.max_bound

    @property
    def summary(self) -> str:
        """One line for people."""
        return (
            f"1 − cos of {self.images:,} images: mean {self.mean:.1e} (bound "
            f"{self.mean_bound:g}), max {self.max:.1e} (bound {self.max_bound:g})"
        )


def compare_embeddings(
    reference: np.ndarray, shipped: np.ndarray, bounds: tuple[float, float]
) -> Parity:
    """Compare embeddings (N, D), N ≥ 1, of the same images; neither need be normalised.

    Raises:
        DataError: an embedding is zero, NaN or infinite.
    """
    cosines = np.sum(_unit(reference) * _unit(shipped), axis=1)
    difference = np.maximum(1.0 - cosines, 0.0)
    mean_bound, max_bound = bounds
    return Parity(
        images=len(difference),
        mean=float(difference.mean()),
        max=float(difference.max()),
        mean_bound=mean_bound,
        max_bound=max_bound,
    )


def _unit(embeddings: np.ndarray) -> np.ndarray:
    values = embeddings.astype(np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(bad):
        raise DataError(f"the embedding of image {bad[0]} is zero, NaN or infinite")
    return values / norms
