"""Training sets with groups, and teachers, for the tests of what a training minimises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tiny_training import EACH, PEOPLE, PixelTeacher, write_dataset

from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.teachers.cache import cached_embeddings
from evenface.train.batches import Batch


class OtherTeacher(PixelTeacher):
    """Reads another row of pixels."""

    name = "others"
    fingerprint = "others-1"

    def embed(self, images: np.ndarray) -> np.ndarray:
        return images[:, 20, :8, 1].astype(np.float32) - 127.5


class WideTeacher(PixelTeacher):
    """Twelve dimensions."""

    name = "wide"
    fingerprint = "wide-1"
    embedding_size = 12

    def embed(self, images: np.ndarray) -> np.ndarray:
        return images[:, 30, :12, 2].astype(np.float32) - 127.5


def grouped_dataset(folder: Path) -> Path:
    """The tiny set; its first two people are of group "a", the others of "b"."""
    write_dataset(folder)
    count = PEOPLE * EACH
    Manifest.from_columns(
        folder,
        index=np.arange(count),
        identity=[f"person-{i // EACH}" for i in range(count)],
        origin="synthetic",
        dataset="squares",
        licence="CC0-1.0",
        attributes={"skin": ["a" if i // EACH < 2 else "b" for i in range(count)]},
    ).write(folder / "manifest.parquet")
    return folder


def embeddings_of(teacher: PixelTeacher, data: Path, folder: Path) -> EmbeddingCache:
    """A cache of both views."""
    return cached_embeddings(teacher, Manifest.read(data), folder)


def noise_batch(size: int = 8, classes: int = 4, dimensions: int = 8, seed: int = 0) -> Batch:
    """Images, labels and targets without a meaning."""
    random = np.random.default_rng(seed)
    return Batch(
        images=random.integers(0, 256, (size, 112, 112, 3), dtype=np.uint8),
        labels=np.arange(size) % classes,
        targets=random.normal(size=(size, dimensions)).astype(np.float32),
        rows=np.arange(size),
        epoch=0,
        whole=np.arange(size),
    )


def unit(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """L2-normalised rows."""
    values = np.asarray(values, dtype=np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True)
