"""Teacher embeddings of a manifest's rows, read block by block from where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError

BLOCK_ROWS = 4096


@dataclass(frozen=True)
class EmbeddedRows:
    """Embeddings of some rows, not held in memory.

    ``values`` (M, D) of any float type, not normalised, may be memory-mapped; row i of the
    manifest has ``values[places[i]]``. Embeddings of different ``teacher`` (a fingerprint) are
    never compared.
    """

    values: np.ndarray
    places: np.ndarray
    teacher: str

    def __len__(self) -> int:
        return len(self.places)

    @property
    def size(self) -> int:
        """Number of dimensions D."""
        return int(self.values.shape[1])

    def select(self, rows: np.ndarray) -> Self:
        """Of these rows only."""
        return replace(self, places=self.places[rows])

    def unit(self, rows: np.ndarray | slice) -> np.ndarray:
        """float32 (n, D) of length 1.

        Raises:
            DataError: an embedding of length zero.
        """
        places = self.places[rows]
        # A memory map is read in ascending order, whatever the order asked for.
        order = np.argsort(places, kind="stable")
        found = np.empty((len(places), self.size), dtype=np.float32)
        found[order] = self.values[places[order]]
        return unit_length(found)


def match_caches(
    manifests: Sequence[Manifest], caches: Sequence[str | Path]
) -> list[EmbeddedRows | None]:
    """For each manifest its embeddings, told by the images that a cache was made of.

    Args:
        manifests: in the row order that was embedded.
        caches: folders made by ``evenface teacher embed``, in any order.

    Raises:
        DataError: an unfinished or damaged cache.
        UsageError: a cache of other images, or two of the same.
    """
    found: list[EmbeddedRows | None] = [None] * len(manifests)
    for folder in caches:
        cache = EmbeddingCache.open(folder)
        places = [
            place
            for place, manifest in enumerate(manifests)
            if manifest.image_fingerprint == cache.record.image_fingerprint
        ]
        if not places:
            raise UsageError(
                f"{folder}: these embeddings belong to none of the data sets given (they were made "
                "of other images, or of the same in another order)"
            )
        if found[places[0]] is not None:
            raise UsageError(f"{folder}: a second embedding cache of the same images")
        rows = EmbeddedRows(cache.view(), np.arange(len(cache)), cache.record.teacher_fingerprint)
        for place in places:
            found[place] = rows
    return found


def unit_length(values: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths. DataError for a row of length zero or that is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        if len(huge := np.flatnonzero(~np.isfinite(lengths[:, 0]))):  # a square may be too large
            values = values.copy()
            values[huge] /= np.abs(values[huge]).max(axis=1, keepdims=True)
            lengths[huge] = np.linalg.norm(values[huge], axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise DataError(
            "a teacher embedding, or the mean of an identity's, has length zero or is not finite"
        )
    return np.asarray(values / lengths)


def identity_means(
    embeddings: EmbeddedRows, rows: np.ndarray, first: np.ndarray, identities: np.ndarray
) -> np.ndarray:
    """Unit-length means of unit-length embeddings, float32 (len(identities), D).

    Args:
        embeddings: of all rows.
        rows: rows sorted by identity.
        first: (I + 1,) where each identity starts in ``rows``.
        identities: whose means, each with a row at least.

    Raises:
        DataError: an embedding, or a mean, of length zero.
    """
    means = np.empty((len(identities), embeddings.size), dtype=np.float32)
    sizes = first[identities + 1] - first[identities]
    block = np.cumsum(sizes) // BLOCK_ROWS
    for number in np.unique(block):
        chosen = np.flatnonzero(block == number)
        some = np.concatenate([rows[first[i] : first[i + 1]] for i in identities[chosen]])
        starts = np.cumsum(sizes[chosen]) - sizes[chosen]
        sums = np.add.reduceat(embeddings.unit(some).astype(np.float64), starts)
        means[chosen] = unit_length(sums)
    return means


def means_by_label(embeddings: EmbeddedRows, labels: np.ndarray) -> np.ndarray:
    """Means of the identities 0 … max(labels), each of which has a row; see
    :func:`identity_means`."""
    count = int(labels.max(initial=-1)) + 1
    order = np.argsort(labels, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=count))])
    return identity_means(embeddings, order, first, np.arange(count))
