"""Class centres that a head begins with: the mean embedding of each identity."""

from __future__ import annotations

import numpy as np
from torch import nn

from evenface.data.manifest import Manifest
from evenface.models import embed
from evenface.train.targets import normalised

_ROWS = 1024


def own_centres(backbone: nn.Module, manifest: Manifest) -> np.ndarray:
    """Mean normalised embedding of each identity by a backbone, normalised, float32 (C, D).

    Args:
        backbone: embeds the images as they are, in evaluation mode.
        manifest: its identities, sorted, are the classes.
    """
    labels = manifest.labels()
    sums: np.ndarray | None = None
    for start in range(0, len(labels), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(labels)))
        embeddings = normalised(embed(backbone, manifest.images(rows))).astype(np.float64)
        if sums is None:
            sums = np.zeros((int(labels.max()) + 1, embeddings.shape[1]))
        np.add.at(sums, labels[rows], embeddings)
    assert sums is not None
    return normalised(sums).astype(np.float32)
