"""Embeddings that behave like faces'."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenface.data.manifest import Manifest


def faces(
    manifest: Manifest, noise: float = 0.8, seed: int = 0, dimensions: int = 24
) -> NDArray[np.float32]:
    """A centre for each identity plus noise: (N, dimensions)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(manifest.identities()), dimensions))
    labels = manifest.labels()
    return (centres[labels] + noise * rng.normal(size=(len(labels), dimensions))).astype(np.float32)
