"""Embeddings of a manifest's rows in a folder, bound by fingerprints to images and teacher.

The folder holds ``cache.json`` (what it belongs to and which views are finished) and one ``.npy``
file a view, (N,D) in the manifest's row order. While it is filled (:mod:`evenface.teachers.cache`),
``shards/`` holds blocks of rows with fixed boundaries, each a file that appears whole.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from evenface.errors import DataError
from evenface.files import read_json, write_json

VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "original": lambda images: images,
    "flip": lambda images: images[:, :, ::-1],
}
"""View name → the transformation of uint8 images (N,H,W,3) that the teacher sees."""

SHARD_ROWS = 512
"""Rows of a shard: what an interruption costs at most, in each process."""
RECORD_NAME = "cache.json"
SHARDS_NAME = "shards"
_VERSION = 1


def is_cache(folder: Path) -> bool:
    """Whether a cache was begun in ``folder``."""
    return (folder / RECORD_NAME).is_file()


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
        path = folder / RECORD_NAME
        if not path.is_file():
            raise DataError(
                f"{folder}: no embedding cache (it has no {RECORD_NAME}). Make one with "
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
        write_json(folder / RECORD_NAME, {"version": _VERSION, **asdict(self)})

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
    """Finished embeddings, memory-mapped. Open with :meth:`open`."""

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
        check_views([name])
        if name not in self.views:
            missing = missing_shards(self.folder, self.record, name)
            done = self.record.count - sum(
                len(shard_rows(self.record, number)) for number in missing
            )
            raise DataError(
                f"{self.folder}: the view '{name}' is not finished ({done:,} of "
                f"{self.record.count:,} rows). Run the same embedding again to complete it"
            )
        path = view_path(self.folder, name)
        try:
            embeddings = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{path}: missing or damaged ({error}). Delete {self.folder} and embed again"
            ) from None
        expected = (self.record.count, self.record.embedding_size)
        if embeddings.shape != expected or embeddings.dtype != np.dtype(self.record.dtype):
            raise DataError(
                f"{path}: holds {embeddings.dtype} {embeddings.shape}, {RECORD_NAME} says "
                f"{self.record.dtype} {expected}. Delete {self.folder} and embed again"
            )
        return embeddings


def missing_shards(folder: Path, record: CacheRecord, view: str) -> list[int]:
    """Numbers of the shards of a view that are still to be embedded."""
    if record.rows_done.get(view) == record.count:
        return []
    sizes = _sizes(folder)
    return [
        n for n in shard_numbers(record) if sizes.get(_shard_name(view, n)) != _bytes(record, n)
    ]


def check_views(views: Sequence[str]) -> None:
    for view in views:
        if view not in VIEWS:
            raise ValueError(f"unknown view {view!r}; known: {', '.join(VIEWS)}")


def view_path(folder: Path, view: str) -> Path:
    return folder / f"{view}.npy"


def _shard_name(view: str, number: int) -> str:
    return f"{view}-{number:06d}.npy"


def shard_path(folder: Path, view: str, number: int) -> Path:
    return folder / SHARDS_NAME / _shard_name(view, number)


def shard_numbers(record: CacheRecord) -> range:
    return range(-(-record.count // SHARD_ROWS))


def shard_rows(record: CacheRecord, number: int) -> np.ndarray:
    return np.arange(number * SHARD_ROWS, min((number + 1) * SHARD_ROWS, record.count))


def _sizes(folder: Path) -> dict[str, int]:
    """Name → bytes of the shards that are there."""
    shards = folder / SHARDS_NAME
    if not shards.is_dir():
        return {}
    with os.scandir(shards) as entries:
        return {entry.name: entry.stat().st_size for entry in entries}


def _bytes(record: CacheRecord, number: int) -> int:
    """Of a whole shard's file."""
    rows = len(shard_rows(record, number))
    values = rows * record.embedding_size * np.dtype(record.dtype).itemsize
    return len(npy_header(replace(record, count=rows))) + values


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
