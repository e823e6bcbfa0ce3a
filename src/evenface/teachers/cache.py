"""Teacher embeddings of a manifest, computed once, bound by fingerprints to both.

A cache is a folder: ``cache.json`` (what it belongs to and which views are finished) and one
``.npy`` file a view, (N,D) in the manifest's row order. Rows are embedded in shards of fixed
boundaries, each a file in ``shards/`` that appears whole, and joined at the end. A killed run is
continued, any number of processes may embed shards at once, and the bytes of the result depend
neither on how many nor on interruptions.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np

from evenface.console import progress
from evenface.errors import DataError
from evenface.files import atomic_path, read_json, write_json
from evenface.lock import FolderLock
from evenface.teachers.base import Teacher

VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "original": lambda images: images,
    "flip": lambda images: images[:, :, ::-1],
}
"""View name → the transformation of uint8 images (N,H,W,3) that the teacher sees."""

SHARD_ROWS = 512
"""Rows of a shard: what an interruption costs at most, in each process."""
_RECORD = "cache.json"
_SHARDS_NAME = "shards"
_VERSION = 1
_BLOCK_ROWS = 128
"""Rows that a teacher sees at once; a shard is a multiple of it."""


def is_cache(folder: Path) -> bool:
    """Whether a cache was begun in ``folder``."""
    return (folder / _RECORD).is_file()


class FaceRows(Protocol):
    """What the cache needs of a manifest."""

    def __len__(self) -> int: ...

    @property
    def image_fingerprint(self) -> str: ...

    def images(self, rows: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class CacheRecord:
    """Content of ``cache.json``. ``rows_done`` has the finished views, with their rows."""

    teacher: str
    teacher_fingerprint: str
    image_fingerprint: str
    count: int
    embedding_size: int
    dtype: str
    rows_done: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """DataError when the record is missing, damaged or of another version."""
        path = folder / _RECORD
        if not path.is_file():
            raise DataError(
                f"{folder}: no embedding cache (it has no {_RECORD}). Make one with "
                "'evenface teacher embed'"
            )
        content = read_json(path)
        try:
            version = content.pop("version")
            if version != _VERSION:
                raise DataError(
                    f"{path}: written in version {version} of the format, this evenface reads "
                    f"version {_VERSION}. Delete {folder} and embed again"
                )
            return cls(**content)
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: not a record of an embedding cache ({error}). Delete {folder} and "
                "embed again"
            ) from None

    def write(self, folder: Path) -> None:
        """Replace ``cache.json`` atomically."""
        write_json(folder / _RECORD, {"version": _VERSION, **asdict(self)})

    def check(
        self, folder: Path, teacher_fingerprint: str | None, image_fingerprint: str | None
    ) -> None:
        """DataError, naming both fingerprints, unless the cache belongs to those given."""
        for what, expected, found in (
            ("teacher", teacher_fingerprint, self.teacher_fingerprint),
            ("images", image_fingerprint, self.image_fingerprint),
        ):
            if expected is not None and expected != found:
                raise DataError(
                    f"{folder}: this embedding cache was made from other {what} (fingerprint "
                    f"{found}) than asked for ({expected}). Use another folder, or delete this "
                    "one to embed again"
                )


class EmbeddingCache:
    """Finished embeddings, memory-mapped. Open with :meth:`open` or :func:`cached_embeddings`."""

    def __init__(self, folder: Path, record: CacheRecord) -> None:
        self.folder = folder
        self.record = record

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        teacher_fingerprint: str | None = None,
        image_fingerprint: str | None = None,
    ) -> Self:
        """Open a cache, refusing one that belongs to another teacher or to other images.

        Raises:
            DataError: no cache there, a damaged one, or fingerprints that differ from those
                given.
        """
        folder = Path(folder)
        record = CacheRecord.read(folder)
        record.check(folder, teacher_fingerprint, image_fingerprint)
        return cls(folder, record)

    def __len__(self) -> int:
        return self.record.count

    @property
    def embedding_size(self) -> int:
        """Number of dimensions D."""
        return self.record.embedding_size

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the finished views."""
        done = self.record.rows_done
        return tuple(name for name in VIEWS if done.get(name) == self.record.count)

    def view(self, name: str = "original") -> np.ndarray:
        """Embeddings of one view, not normalised, (N,D) in the manifest's row order, read-only.

        Raises:
            ValueError: no view has this name.
            DataError: the view is not finished, or its file is missing or damaged.
        """
        _check_views([name])
        if name not in self.views:
            missing = missing_shards(self.folder, self.record, name)
            done = self.record.count - sum(len(_rows(self.record, number)) for number in missing)
            raise DataError(
                f"{self.folder}: the view '{name}' is not finished ({done:,} of "
                f"{self.record.count:,} rows). Run the same embedding again to complete it"
            )
        path = _view_path(self.folder, name)
        try:
            embeddings = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{path}: missing or damaged ({error}). Delete {self.folder} and embed again"
            ) from None
        expected = (self.record.count, self.record.embedding_size)
        if embeddings.shape != expected or embeddings.dtype != np.dtype(self.record.dtype):
            raise DataError(
                f"{path}: holds {embeddings.dtype} {embeddings.shape}, {_RECORD} says "
                f"{self.record.dtype} {expected}. Delete {self.folder} and embed again"
            )
        return embeddings


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
    if (folder / _RECORD).is_file():
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
    _check_views(views)
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16', got {dtype!r}")
    if (folder / _RECORD).exists():
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


def missing_shards(folder: Path, record: CacheRecord, view: str) -> list[int]:
    """Numbers of the shards of a view that are still to be embedded."""
    if record.rows_done.get(view) == record.count:
        return []
    sizes = _sizes(folder)
    return [n for n in _numbers(record) if sizes.get(_shard_name(view, n)) != _bytes(record, n)]


def embed_shards(
    teacher: Teacher, manifest: FaceRows, folder: Path, view: str, numbers: Sequence[int]
) -> None:
    """Embed some shards of a view of a cache that was begun; several processes may do so.

    Raises:
        DataError: the cache is not that of the teacher and the images, or the teacher gave NaN.
    """
    record = CacheRecord.read(folder)
    record.check(folder, teacher.fingerprint, manifest.image_fingerprint)
    rows = [_rows(record, number) for number in numbers]
    done = record.count - sum(map(len, rows))
    with progress(f"embed {view}", record.count, unit="images", done=done) as ticker:
        for number, of_shard in zip(numbers, rows, strict=True):
            found = np.empty((len(of_shard), record.embedding_size), dtype=record.dtype)
            for start in range(0, len(of_shard), _BLOCK_ROWS):
                block = of_shard[start : start + _BLOCK_ROWS]
                images = VIEWS[view](manifest.images(block))
                found[start : start + len(block)] = _embed(teacher, images, record)
                ticker.advance(len(block))
            with atomic_path(_shard_path(folder, view, number)) as temporary:
                np.save(temporary, found)


def join_shards(folder: Path, views: Sequence[str]) -> EmbeddingCache:
    """Make each view's file of its shards, and remove them.

    Raises:
        DataError: a shard is missing.
    """
    record = CacheRecord.read(folder)
    for view in dict.fromkeys(views):
        if record.rows_done.get(view) == record.count and _view_path(folder, view).is_file():
            continue
        if missing := missing_shards(folder, record, view):
            raise DataError(
                f"{_shard_path(folder, view, missing[0])}: missing or damaged. Run the same "
                "embedding again to complete it"
            )
        with atomic_path(_view_path(folder, view)) as temporary, open(temporary, "wb") as file:
            file.write(npy_header(record))
            for number in _numbers(record):
                file.write(np.load(_shard_path(folder, view, number), allow_pickle=False).data)
        record = replace(record, rows_done=record.rows_done | {view: record.count})
        record.write(folder)
        for number in _numbers(record):
            _shard_path(folder, view, number).unlink(missing_ok=True)
    shards = folder / _SHARDS_NAME
    if shards.is_dir() and not any(shards.iterdir()):
        shards.rmdir()
    return EmbeddingCache(folder, record)


def _check_views(views: Sequence[str]) -> None:
    for view in views:
        if view not in VIEWS:
            raise ValueError(f"unknown view {view!r}; known: {', '.join(VIEWS)}")


def _view_path(folder: Path, view: str) -> Path:
    return folder / f"{view}.npy"


def _shard_name(view: str, number: int) -> str:
    return f"{view}-{number:06d}.npy"


def _shard_path(folder: Path, view: str, number: int) -> Path:
    return folder / _SHARDS_NAME / _shard_name(view, number)


def _numbers(record: CacheRecord) -> range:
    return range(-(-record.count // SHARD_ROWS))


def _rows(record: CacheRecord, number: int) -> np.ndarray:
    return np.arange(number * SHARD_ROWS, min((number + 1) * SHARD_ROWS, record.count))


def _sizes(folder: Path) -> dict[str, int]:
    """Name → bytes of the shards that are there."""
    shards = folder / _SHARDS_NAME
    if not shards.is_dir():
        return {}
    with os.scandir(shards) as entries:
        return {entry.name: entry.stat().st_size for entry in entries}


def _bytes(record: CacheRecord, number: int) -> int:
    """Of a whole shard's file."""
    rows = len(_rows(record, number))
    values = rows * record.embedding_size * np.dtype(record.dtype).itemsize
    return len(npy_header(replace(record, count=rows))) + values


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


def npy_header(record: CacheRecord) -> bytes:
    """Header of the finished .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {
            "descr": np.lib.format.dtype_to_descr(np.dtype(record.dtype)),
            "fortran_order": False,
            "shape": (record.count, record.embedding_size),
        },
    )
    return buffer.getvalue()
