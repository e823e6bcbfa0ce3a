"""Embeddings of a subset or mix, or shuffled, taken from a cache that holds them already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.files import atomic_path, fingerprint
from evenface.seeds import generator
from evenface.teachers.cache import CacheRecord, EmbeddingCache


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
    place = {
        image: (number, row)
        for number, (source, _) in enumerate(sources)
        for row, image in enumerate(_images(source))
    }
    try:
        found = np.array([place[image] for image in _images(manifest)], dtype=np.int64)
    except KeyError as error:
        fingerprint, index = error.args[0]
        raise DataError(
            f"image {index:,} of the store with fingerprint {fingerprint[:12]}… has not been "
            "embedded: it is in none of the given caches"
        ) from None
    views = set.intersection(*(set(cache.views) for _, cache in sources))
    folder.mkdir(parents=True, exist_ok=True)
    for view in sorted(views):
        gathered = np.empty((len(manifest), records[0].embedding_size), dtype=records[0].dtype)
        for number, (_, cache) in enumerate(sources):
            rows = found[:, 0] == number
            gathered[rows] = cache.view(view)[found[rows, 1]]
        with atomic_path(folder / f"{view}.npy") as temporary:
            np.save(temporary, gathered)
    record: CacheRecord = replace(
        records[0],
        image_fingerprint=manifest.image_fingerprint,
        count=len(manifest),
        rows_done={view: len(manifest) for view in sorted(views)},
    )
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


def _images(manifest: Manifest) -> list[tuple[str, int]]:
    prints = {name: store.fingerprint for name, store in manifest.stores.items()}
    stores = (prints[name] for name in manifest.column("store"))
    return list(zip(stores, manifest.column("index").tolist(), strict=True))
