"""Teacher embeddings of a manifest, computed once, bound by fingerprints to both.

A cache is a folder: ``cache.json`` (what it belongs to and how far it has come) and one ``.npy``
file a view, (N,D) in the manifest's row order. Rows are written block by block and counted in
``cache.json`` only after they have reached the disk, so a killed run is continued, not repeated.
One process at a time may fill a cache; any number may read it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np

from evenface.console import progress
from evenface.errors import DataError
from evenface.files import read_json, write_json
from evenface.teachers.base import Teacher

VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "original": lambda images: images,
    "flip": lambda images: images[:, :, ::-1],
}
"""View name → the transformation of uint8 images (N,H,W,3) that the teacher sees."""

_RECORD = "cache.json"
_VERSION = 1
_BLOCK_ROWS = 128


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
    """Content of ``cache.json``. ``rows_done`` counts the finished rows of each view."""

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
            done = self.record.rows_done.get(name, 0)
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

    An interrupted call loses at most the block in work; the next call continues.

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
    _check_views(views)
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16', got {dtype!r}")
    record = _start_or_continue(teacher, manifest, folder, dtype)
    for view in dict.fromkeys(views):
        record = _fill(teacher, manifest, folder, record, view)
    return EmbeddingCache(folder, record)


def _check_views(views: Sequence[str]) -> None:
    for view in views:
        if view not in VIEWS:
            raise ValueError(f"unknown view {view!r}; known: {', '.join(VIEWS)}")


def _view_path(folder: Path, view: str) -> Path:
    return folder / f"{view}.npy"


def _start_or_continue(
    teacher: Teacher, manifest: FaceRows, folder: Path, dtype: str
) -> CacheRecord:
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


def _fill(
    teacher: Teacher, manifest: FaceRows, folder: Path, record: CacheRecord, view: str
) -> CacheRecord:
    """Embed the rows of ``view`` that are missing; return the updated record."""
    path = _view_path(folder, view)
    header = _header(record)
    done = _usable_rows(path, header, record, view)
    if done == record.count:
        return record
    # A plain file, no memory map: writing through a map to a full disk kills the process by a
    # signal, here it is an error that can be told.
    with (
        open(path, "r+b" if done else "wb") as file,
        progress(f"embed {view}", record.count, unit="images", done=done) as ticker,
    ):
        file.write(header)
        file.seek(len(header) + done * _row_bytes(record))
        while done < record.count:
            rows = np.arange(done, min(done + _BLOCK_ROWS, record.count))
            file.write(_embed(teacher, VIEWS[view](manifest.images(rows)), record).tobytes())
            file.flush()
            os.fsync(file.fileno())
            done += len(rows)
            record = replace(record, rows_done=record.rows_done | {view: done})
            record.write(folder)
            ticker.advance(len(rows))
    return record


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


def _row_bytes(record: CacheRecord) -> int:
    return record.embedding_size * np.dtype(record.dtype).itemsize


def _header(record: CacheRecord) -> bytes:
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


def _usable_rows(path: Path, header: bytes, record: CacheRecord, view: str) -> int:
    """Rows that need not be embedded again: none when the file is not what was recorded."""
    done = record.rows_done.get(view, 0)
    if not done or not path.is_file():
        return 0
    with open(path, "rb") as file:
        if file.read(len(header)) != header:
            return 0
    return done if path.stat().st_size >= len(header) + done * _row_bytes(record) else 0
