"""Batches as a pure function of the step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evenface.data.manifest import Manifest
from evenface.seeds import derive_seed, generator, hash_bits
from evenface.teachers.cache import EmbeddingCache


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    Attributes:
        images: uint8 (B, 112, 112, 3), RGB, flips applied.
        labels: int64 (B,).
        targets: teacher embeddings of the very same views, float32 (B, D), or None.
    """

    images: np.ndarray
    labels: np.ndarray
    targets: np.ndarray | None


class BatchSource:
    """Draws batches of a manifest: every row once an epoch, in a seeded order.

    Rows that do not fill the last batch of an epoch are left out of that epoch. A manifest smaller
    than a batch makes the batch smaller. Images are read as they are needed, never all at once.

    Args:
        manifest: the training set.
        cache: teacher embeddings of its rows; both views when ``flip``.
        batch_size: B.
        seed: of order and flips.
        flip: mirror a row in an epoch with probability ½.
    """

    def __init__(
        self,
        manifest: Manifest,
        cache: EmbeddingCache | None,
        *,
        batch_size: int,
        seed: int,
        flip: bool,
    ) -> None:
        self.batch_size = min(batch_size, len(manifest))
        self.batches_per_epoch = len(manifest) // self.batch_size
        self._manifest = manifest
        self._labels = manifest.labels()
        self._seed = seed
        self._flip = flip
        views = ("original", "flip") if flip else ("original",)
        self._targets = [cache.view(view) for view in views] if cache else None
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def batch(self, step: int) -> Batch:
        """The batch of a step (0-based)."""
        epoch, number = divmod(step, self.batches_per_epoch)
        rows = self._order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]
        images = self._manifest.images(rows)
        flipped = self._flipped(epoch, rows)
        images[flipped] = images[flipped, :, ::-1]
        return Batch(images, self._labels[rows], self._views(rows, flipped))

    def prefetch(self, steps: range) -> Generator[Batch]:
        """The batches of ``steps``; the next one is read while one is in use."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as reader:
            ahead = None
            for step in steps:
                batch = ahead.result() if ahead else self.batch(step)
                ahead = reader.submit(self.batch, step + 1) if step + 1 in steps else None
                yield batch

    def _shuffled(self, epoch: int) -> np.ndarray:
        return generator(self._seed, "order", epoch).permutation(len(self._manifest))

    def _flipped(self, epoch: int, rows: np.ndarray) -> np.ndarray:
        if not self._flip:
            return np.zeros(len(rows), dtype=bool)
        return (hash_bits(derive_seed(self._seed, "flip"), epoch, rows) & np.uint64(1)) == 1

    def _views(self, rows: np.ndarray, flipped: np.ndarray) -> np.ndarray | None:
        if self._targets is None:
            return None
        targets = np.array(self._targets[0][rows], dtype=np.float32)
        if flipped.any():
            targets[flipped] = self._targets[1][rows[flipped]]
        return targets
