"""Embedding the images of a protocol."""

from __future__ import annotations

import numpy as np
import pytest

from evenface.errors import DataError
from evenface.evaluate.model import embed_views


class Noise:
    """Faces of noise."""

    def __len__(self) -> int:
        return 7

    def images(self, rows: np.ndarray) -> np.ndarray:
        return np.stack(
            [np.random.default_rng(r).integers(0, 256, (112, 112, 3), np.uint8) for r in rows]
        )


class Model:
    """Means of colours, or their sign: one embedding for all images."""

    def __init__(self, collapsed: bool) -> None:
        self.name = "mine"
        self.fingerprint = "f"
        self.embedding_size = 3
        self.collapsed = collapsed

    def embed(self, images: np.ndarray) -> np.ndarray:
        means = images.mean(axis=(1, 2)).astype(np.float32)
        return np.sign(means) if self.collapsed else means


@pytest.mark.parametrize("batch", [2, 128])
def test_one_embedding_for_all_images_is_refused(batch) -> None:
    rows = np.arange(1, 7)
    with pytest.raises(DataError, match="mine: gives one embedding for all 6 images"):
        embed_views(Model(collapsed=True), Noise(), rows, batch=batch)
    embedded = embed_views(Model(collapsed=False), Noise(), rows, batch=batch)
    expected = 2 * Noise().images(rows).mean(axis=(1, 2))
    np.testing.assert_allclose(embedded[rows], expected, rtol=1e-5)
    assert embed_views(Model(collapsed=True), Noise(), rows[:1]).shape == (7, 3)
