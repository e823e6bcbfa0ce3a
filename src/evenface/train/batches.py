"""Batches as a pure function of the step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from evenface.data.manifest import Manifest
from evenface.seeds import derive_seed, hash_bits
from evenface.train.samplers import uniform
from evenface.train.targets import Targets

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What one step trains on: arrays, or tensors once they are on a device.

    Attributes:
        images: uint8 (B, 112, 112, 3), RGB, flips and augmentations applied.
        labels: int64 (B,).
        targets: teacher embeddings of the views before other augmentations than flips, float32
            (B, D), or None.
        rows: of the manifest, int64 (B,); always an array.
        epoch: that these rows are of.
        whole: rows of the whole batch, where these are the part of one process.
    """

    images: np.ndarray | Tensor
    labels: np.ndarray | Tensor
    targets: np.ndarray | Tensor | None
    rows: np.ndarray
    epoch: int
    whole: np.ndarray


class BatchSource:
    """Draws batches of a manifest: every row once an epoch, in a seeded order.

    Rows that do not fill the last batch of an epoch are left out of that epoch. A manifest smaller
    than a batch makes the batch smaller. Images are read as they are needed, never all at once.

    Args:
        manifest: the training set.
        cache: teacher embeddings of its rows; both views when ``flip`` and they follow it.
        batch_size: B.
        seed: of order and flips.
        flip: mirror a row in an epoch with probability ½; "real": rows of real origin only.
        target_view: "same" for embeddings of the view that is seen, "original" for those of the
            image as it is.
        order: epoch → its rows, as many in every epoch; None for each row once, shuffled.
        part: (index, count): only this one of ``count`` equal parts of every batch.
        prepare: what happens to a batch before it is used, in the thread that reads it.
    """

    def __init__(
        self,
        manifest: Manifest,
        cache: Targets | None,
        *,
        batch_size: int,
        seed: int,
        flip: bool | Literal["real"],
        target_view: Literal["same", "original"] = "same",
        order: Callable[[int], np.ndarray] | None = None,
        part: tuple[int, int] = (0, 1),
        prepare: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self._manifest = manifest
        self._labels = manifest.labels()
        self._seed = seed
        self._may_flip = (
            manifest.column("origin") == "real"
            if flip == "real"
            else np.full(len(manifest), bool(flip))
        )
        views = ("original", "flip") if flip and target_view == "same" else ("original",)
        self._targets = [cache.view(view) for view in views] if cache else None
        self._order = lru_cache(maxsize=2)(order or uniform(self._labels, self._labels, seed))
        self._part = part
        self._prepare = prepare
        rows = len(self._order(0))
        self.batch_size = min(batch_size, rows)
        self.batches_per_epoch = rows // self.batch_size

    def rows(self, step: int) -> np.ndarray:
        """The manifest's rows in the whole batch of a step (0-based)."""
        epoch, number = divmod(step, self.batches_per_epoch)
        return self._order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]

    def batch(self, step: int) -> Batch:
        """The batch of a step (0-based), or its part."""
        epoch = step // self.batches_per_epoch
        index, count = self._part
        size = self.batch_size // count
        whole = self.rows(step)
        rows = whole[index * size : (index + 1) * size]
        flipped = self._flipped(epoch, rows)
        images = self.images(rows, flipped)
        batch = Batch(images, self._labels[rows], self._views(rows, flipped), rows, epoch, whole)
        return self._prepare(batch) if self._prepare else batch

    def prefetch(self, steps: Iterable[int], threads: int = 1) -> Generator[Batch]:
        """The batches of ``steps``; ``threads`` next ones are read while one is in use."""
        with ThreadPoolExecutor(threads, thread_name_prefix="batches") as readers:
            ahead: deque[Future[Batch]] = deque()
            for step in steps:
                ahead.append(readers.submit(self.batch, step))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _flipped(self, epoch: int, rows: np.ndarray) -> np.ndarray:
        return self._may_flip[rows] & (
            (hash_bits(derive_seed(self._seed, "flip"), epoch, rows) & np.uint64(1)) == 1
        )

    def images(self, rows: np.ndarray, flipped: np.ndarray) -> np.ndarray | Tensor:
        """uint8 (B, 112, 112, 3) of rows of the manifest, mirrored where ``flipped`` (B,)."""
        images = self._manifest.images(rows)
        images[flipped] = images[flipped, :, ::-1]
        return images

    def _views(self, rows: np.ndarray, flipped: np.ndarray) -> np.ndarray | None:
        if self._targets is None:
            return None
        targets = np.array(self._targets[0][rows], dtype=np.float32)
        if len(self._targets) > 1 and flipped.any():
            targets[flipped] = self._targets[1][rows[flipped]]
        return targets
