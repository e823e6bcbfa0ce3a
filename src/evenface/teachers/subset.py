"""Embeddings of a subset or mix, or shuffled, taken from a cache that holds them already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evenface.data.embedding_cache import CacheRecord, EmbeddingCache, npy_header
from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.files import atomic_path, fingerprint
from evenface.seeds import generator

_BITS = 40
"""Of an image's index in its store."""
_BLOCK_ROWS = 16_384


def subset_cache(
    sources: Sequence[tuple[Manifest, EmbeddingCache]], manifest: Manifest, folder: Path
) -> EmbeddingCache:
    """A cache for ``manifest`` gathered from caches of manifests that hold its images.

    An image is recognised by its store's fingerprint and its index there; nothing is embedded.

    Args:
        sources: manifests with their caches, all by one teacher and of one dtype.
        manifest: the rows wanted, in its order.
        folder: where the new cache is written.

    Raises:
        ValueError: no sources, or caches of different teachers or dtypes.
        DataError: an image of ``manifest`` is in none of the sources.
    """
    records = [cache.record for _, cache in sources]
    kinds = {(r.teacher_fingerprint, r.dtype, r.embedding_size) for r in records}
    if len(kinds) != 1:
        raise ValueError(f"caches must be of one teacher and dtype, got {len(kinds)} kinds")
    number, row = _places([source for source, _ in sources], manifest)
    views = set.intersection(*(set(cache.views) for _, cache in sources))
    folder.mkdir(parents=True, exist_ok=True)
    record: CacheRecord = replace(
        records[0],
        image_fingerprint=manifest.image_fingerprint,
        count=len(manifest),
        rows_done={view: len(manifest) for view in sorted(views)},
    )
    for view in sorted(views):
        values = [cache.view(view) for _, cache in sources]
        with atomic_path(folder / f"{view}.npy") as temporary, open(temporary, "wb") as file:
            file.write(npy_header(record))
            for start in range(0, len(manifest), _BLOCK_ROWS):
                block = slice(start, start + _BLOCK_ROWS)
                gathered = np.empty((len(row[block]), record.embedding_size), dtype=record.dtype)
                for source, of_source in enumerate(values):
                    chosen = number[block] == source
                    gathered[chosen] = of_source[row[block][chosen]]
                file.write(gathered.data)
    record.write(folder)
    return EmbeddingCache.open(folder, image_fingerprint=manifest.image_fingerprint)


def shuffle_cache(cache: EmbeddingCache, folder: Path, *, seed: int = 0) -> EmbeddingCache:
    """A cache whose embeddings belong to the wrong images: a control for distillation.

    Embeddings keep their distribution and lose all that they say about an image. Both views of an
    image move together.

    Args:
        cache: finished.
        folder: where the new cache is written.
        seed: of the permutation.
    """
    order = generator(seed, "shuffled teacher").permutation(len(cache))
    folder.mkdir(parents=True, exist_ok=True)
    for view in cache.views:
        with atomic_path(folder / f"{view}.npy") as temporary:
            np.save(temporary, cache.view(view)[order])
    whose = fingerprint({"shuffled": cache.record.teacher_fingerprint, "seed": seed})
    record: CacheRecord = replace(
        cache.record, teacher=f"{cache.record.teacher}, shuffled", teacher_fingerprint=whose
    )
    record.write(folder)
    return EmbeddingCache.open(folder)


def _places(sources: Sequence[Manifest], manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
    """(N,) number of the source that has each image of ``manifest``, and (N,) its row there."""
    prints: dict[str, int] = {}
    wanted = _keys(manifest, prints)
    number = np.full(len(manifest), -1, dtype=np.int64)
    row = np.zeros(len(manifest), dtype=np.int64)
    for source, of_source in enumerate(sources):
        keys = _keys(of_source, prints)
        order = np.argsort(keys, kind="stable")
        place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        there = keys[order[place]] == wanted
        number[there], row[there] = source, order[place[there]]
    if (number < 0).any():
        lacking = int(np.argmax(number < 0))
        store = {place: digest for digest, place in prints.items()}[int(wanted[lacking] >> _BITS)]
        index = int(wanted[lacking] & (2**_BITS - 1))
        raise DataError(
            f"image {index:,} of the store with fingerprint {store[:12]}… has not been "
            "embedded: it is in none of the given caches"
        )
    return number, row


def _keys(manifest: Manifest, prints: dict[str, int]) -> np.ndarray:
    """(N,) int64 that tells images apart by their store's fingerprint and index; the stores'
    numbers are kept in ``prints``."""
    names, codes = manifest.codes("store")
    stores = [prints.setdefault(manifest.stores[name].fingerprint, len(prints)) for name in names]
    return (np.array(stores, dtype=np.int64)[codes] << _BITS) + manifest.column("index")
