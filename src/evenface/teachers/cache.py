"""Teacher embeddings of a manifest, computed once.

Rows are embedded in shards of fixed boundaries, each a file that appears whole, and joined at the
end. A killed run is continued, any number of processes may embed shards at once, and the bytes of
the result depend neither on how many nor on interruptions. The folder's layout:
:mod:`evenface.data.embedding_cache`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from evenface.console import progress
from evenface.data.embedding_cache import (
    RECORD_NAME,
    SHARDS_NAME,
    VIEWS,
    CacheRecord,
    EmbeddingCache,
    check_views,
    missing_shards,
    npy_header,
    shard_numbers,
    shard_path,
    shard_rows,
    view_path,
)
from evenface.errors import DataError
from evenface.files import atomic_path
from evenface.lock import FolderLock
from evenface.teachers.base import Teacher

_BLOCK_ROWS = 128
"""Rows that a teacher sees at once; a shard is a multiple of it."""


class FaceRows(Protocol):
    """What the cache needs of a manifest."""

    def __len__(self) -> int: ...

    @property
    def image_fingerprint(self) -> str: ...

    def images(self, rows: np.ndarray) -> np.ndarray: ...


def cached_embeddings(
    teacher: Teacher,
    manifest: FaceRows,
    folder: str | Path,
    *,
    views: Sequence[str] = ("original", "flip"),
    dtype: Literal["float32", "float16"] = "float32",
) -> EmbeddingCache:
    """Embed what is missing in ``folder`` and open it.

    An interrupted call loses at most the shard in work; the next call continues.

    Args:
        teacher: what embeds.
        manifest: which images, in which order.
        folder: where the cache lies or shall lie.
        views: any of ``"original"`` and ``"flip"`` (mirrored left to right).
        dtype: how embeddings are stored; float16 keeps cosines to about 1e-3.

    Raises:
        ValueError: an unknown view or dtype.
        DataError: the folder holds the cache of another teacher, of other images, or of
            another dtype; or the teacher gave NaN.
    """
    folder = Path(folder)
    with sole_embedding(folder, views):
        record = begin_cache(teacher, manifest, folder, views=views, dtype=dtype)
        for view in dict.fromkeys(views):
            embed_shards(teacher, manifest, folder, view, missing_shards(folder, record, view))
        return join_shards(folder, views)


@contextmanager
def sole_embedding(folder: Path, views: Iterable[str]) -> Iterator[None]:
    """Hold the lock of a cache's folder, unless the cache is complete and will only be read.

    Raises:
        UsageError: another process is at it.
    """
    if (folder / RECORD_NAME).is_file():
        record = CacheRecord.read(folder)
        if all(record.rows_done.get(view) == record.count for view in views):
            yield
            return
    with FolderLock(folder, doing="is embedding there. Wait for it, or choose another folder"):
        yield


def begin_cache(
    teacher: Teacher,
    manifest: FaceRows,
    folder: Path,
    *,
    views: Sequence[str] = ("original", "flip"),
    dtype: Literal["float32", "float16"] = "float32",
) -> CacheRecord:
    """Write the cache's record, or check the one that is there; see :func:`cached_embeddings`."""
    check_views(views)
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16', got {dtype!r}")
    if (folder / RECORD_NAME).exists():
        record = CacheRecord.read(folder)
        record.check(folder, teacher.fingerprint, manifest.image_fingerprint)
        if record.dtype != dtype:
            raise DataError(
                f"{folder}: this embedding cache holds {record.dtype}, not {dtype}. Use another "
                "folder, or delete this one to embed again"
            )
        return record
    record = CacheRecord(
        teacher=teacher.name,
        teacher_fingerprint=teacher.fingerprint,
        image_fingerprint=manifest.image_fingerprint,
        count=len(manifest),
        embedding_size=teacher.embedding_size,
        dtype=dtype,
    )
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder)
    return record


def embed_shards(
    teacher: Teacher, manifest: FaceRows, folder: Path, view: str, numbers: Sequence[int]
) -> None:
    """Embed some shards of a view of a cache that was begun; several processes may do so.

    Raises:
        DataError: the cache is not that of the teacher and the images, or the teacher gave NaN.
    """
    record = CacheRecord.read(folder)
    record.check(folder, teacher.fingerprint, manifest.image_fingerprint)
    rows = [shard_rows(record, number) for number in numbers]
    done = record.count - sum(map(len, rows))
    with progress(f"embed {view}", record.count, unit="images", done=done) as ticker:
        for number, of_shard in zip(numbers, rows, strict=True):
            found = np.empty((len(of_shard), record.embedding_size), dtype=record.dtype)
            for start in range(0, len(of_shard), _BLOCK_ROWS):
                block = of_shard[start : start + _BLOCK_ROWS]
                images = VIEWS[view](manifest.images(block))
                found[start : start + len(block)] = _embed(teacher, images, record)
                ticker.advance(len(block))
            with atomic_path(shard_path(folder, view, number)) as temporary:
                np.save(temporary, found)


def join_shards(folder: Path, views: Sequence[str]) -> EmbeddingCache:
    """Make each view's file of its shards, and remove them.

    Raises:
        DataError: a shard is missing.
    """
    record = CacheRecord.read(folder)
    for view in dict.fromkeys(views):
        if record.rows_done.get(view) == record.count and view_path(folder, view).is_file():
            continue
        if missing := missing_shards(folder, record, view):
            raise DataError(
                f"{shard_path(folder, view, missing[0])}: missing or damaged. Run the same "
                "embedding again to complete it"
            )
        with atomic_path(view_path(folder, view)) as temporary, open(temporary, "wb") as file:
            file.write(npy_header(record))
            for number in shard_numbers(record):
                file.write(np.load(shard_path(folder, view, number), allow_pickle=False).data)
        record = replace(record, rows_done=record.rows_done | {view: record.count})
        record.write(folder)
        for number in shard_numbers(record):
            shard_path(folder, view, number).unlink(missing_ok=True)
    shards = folder / SHARDS_NAME
    if shards.is_dir() and not any(shards.iterdir()):
        shards.rmdir()
    return EmbeddingCache(folder, record)


def _embed(teacher: Teacher, images: np.ndarray, record: CacheRecord) -> np.ndarray:
    embeddings = teacher.embed(images)
    with np.errstate(over="ignore"):
        stored = embeddings.astype(record.dtype)
    if not np.isfinite(stored).all():
        raise DataError(
            f"teacher '{teacher.name}': embeddings are NaN, infinite or too large for "
            f"{record.dtype} (largest magnitude {np.abs(embeddings).max():.3g})"
        )
    return stored
