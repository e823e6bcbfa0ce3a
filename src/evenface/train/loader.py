"""Where batches come from: read from disk as they are needed, or gathered on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenface.data.store import IMAGE_BYTES
from evenface.train.augment import create_augmenter
from evenface.train.batches import Batch, BatchSource
from evenface.train.device import to_device
from evenface.train.job import Job

_FILL_ROWS = 1024
_LARGEST_SHARE = 0.5
"""Of a GPU's free memory that images may take where the loader is chosen."""


def open_source(
    job: Job,
    device: torch.device,
    *,
    order: Callable[[int], np.ndarray] | None = None,
    part: tuple[int, int] = (0, 1),
) -> BatchSource:
    """The batches of a job, on ``device``, augmented.

    Args:
        job: recipe and training set.
        device: where the step is computed.
        order, part: see :class:`evenface.train.batches.BatchSource`.
    """
    recipe = job.recipe
    augmenter = create_augmenter(recipe.augment, recipe.seed)

    def prepare(batch: Batch) -> Batch:
        images = augmenter.mix(
            batch.images, batch.epoch, batch.rows, count=len(job.manifest), read=source.images
        )
        if isinstance(images, np.ndarray):
            images = augmenter.on_cpu(images, batch.epoch, batch.rows)
        return replace(
            batch,
            images=augmenter.on_device(to_device(images, device), batch.epoch, batch.rows),
            labels=to_device(batch.labels, device),
            targets=None if batch.targets is None else to_device(batch.targets, device),
        )

    options: dict[str, Any] = {
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "flip": recipe.flip,
        "target_view": recipe.target_view,
        "order": order or job.order(),
        "part": part,
        "prepare": prepare,
    }
    if _resident(job, device):
        source: BatchSource = ResidentSource(job.manifest, job.cache, device=device, **options)
    else:
        source = BatchSource(job.manifest, job.cache, **options)
    return source


class ResidentSource(BatchSource):
    """All images lie on the device, uint8; only row numbers travel."""

    def __init__(self, *arguments: Any, device: torch.device, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._device = device
        self._all  # noqa: B018 (filled now: too large a set fails before the first step)

    @cached_property
    def _all(self) -> Tensor:
        count = len(self._manifest)
        images = torch.empty((count, 112, 112, 3), dtype=torch.uint8, device=self._device)
        for start in range(0, count, _FILL_ROWS):
            rows = np.arange(start, min(start + _FILL_ROWS, count))
            images[start : start + len(rows)] = to_device(self._manifest.images(rows), self._device)
        return images

    def images(self, rows: np.ndarray, flipped: np.ndarray) -> Tensor:
        """uint8 (B, 112, 112, 3) on the device."""
        images = self._all.index_select(0, to_device(rows, self._device))
        mirrored = to_device(flipped, self._device)[:, None, None, None]
        return torch.where(mirrored, images.flip(2), images)


def _resident(job: Job, device: torch.device) -> bool:
    if job.recipe.loader != "auto":
        return job.recipe.loader == "resident"
    if device.type != "cuda" or "jpeg" in job.recipe.augment:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(job.manifest) * IMAGE_BYTES <= _LARGEST_SHARE * free
