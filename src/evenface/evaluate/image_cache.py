"""Embeddings by image: what one set of images has in common with another is embedded once.

A file for each model, ``<fingerprint>.bin``, of records: SHA-256 of the pixels that the model saw,
then the embedding, float32. Records are only ever appended, a block at a time, and synced: a
killed run loses the block in work. What follows the last whole record is cut off by the next run.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.teachers.base import Teacher

_KEY_BYTES = 32


class ImageCache:
    """Embeddings of one model, looked for by image before the model is asked.

    One process at a time may fill it.

    Args:
        model: what embeds.
        folder: where the file lies or shall lie.
    """

    def __init__(self, model: Teacher, folder: Path) -> None:
        self._model = model
        self.path = folder / f"{model.fingerprint}.bin"
        self._record = np.dtype(
            [("key", f"V{_KEY_BYTES}"), ("embedding", "<f4", (model.embedding_size,))]
        )
        self._place: dict[bytes, int] = {}
        folder.mkdir(parents=True, exist_ok=True)
        whole = 0
        if self.path.is_file():
            whole = self.path.stat().st_size // self._record.itemsize
            os.truncate(self.path, whole * self._record.itemsize)
        if whole:
            keys = np.memmap(self.path, dtype=self._record, mode="r")["key"].tolist()
            self._place = {key: place for place, key in enumerate(keys)}
        self._count = whole

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, D) embeddings of images (n, 112, 112, 3); those not known are embedded and kept.

        Raises:
            DataError: the model gives NaN or infinity, or embeddings of another shape.
        """
        keys = [hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images]
        unknown = {key: i for i, key in enumerate(keys) if key not in self._place}
        if unknown:
            self._append(list(unknown), images[list(unknown.values())])
        kept = np.memmap(self.path, dtype=self._record, mode="r")["embedding"]
        return np.array(kept[[self._place[key] for key in keys]])

    def _append(self, keys: list[bytes], images: NDArray[np.uint8]) -> None:
        embedded = np.asarray(self._model.embed(images), dtype=np.float32)
        expected = (len(images), self._model.embedding_size)
        if embedded.shape != expected:
            raise DataError(
                f"{self._model.name} gave embeddings of shape {embedded.shape} for "
                f"{len(images)} images, expected {expected}"
            )
        if not np.isfinite(embedded).all():
            raise DataError(f"{self._model.name}: embeddings are NaN or infinite")
        records = np.empty(len(keys), dtype=self._record)
        records["key"] = np.array(keys, dtype=f"V{_KEY_BYTES}")
        records["embedding"] = embedded
        with open(self.path, "ab") as file:
            file.write(records.tobytes())
            file.flush()
            os.fsync(file.fileno())
        self._place |= {key: self._count + i for i, key in enumerate(keys)}
        self._count += len(keys)
