"""Embeddings made elsewhere, by image name or in the set's own order.

Kinds, by suffix: ``.npy`` (M, D), in order; ``.npz`` with ``embeddings`` (M, D) and if wanted
``names`` (M,); ``.parquet`` with a list column ``embedding`` and if wanted ``name``; or a folder
with one ``.npy`` (D,) for each image, named as the image (``id/image.jpg.npy`` or
``id/image.npy``).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.pairs import Rows

COLUMN = "embedding"
_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError)


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Embeddings (M, D) float32, not normalised, with names or in order."""

    path: Path
    values: NDArray[np.float32]
    names: tuple[str, ...] | None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over values and names."""
        digest = hashlib.sha256(repr((self.values.shape, self.names)).encode())
        digest.update(np.ascontiguousarray(self.values, dtype="<f4").data)
        return digest.hexdigest()

    def of_rows(
        self, count: int, rows: Rows, order: Rows, names: Sequence[str] | None, what: str
    ) -> NDArray[np.float32]:
        """(count, D): the embeddings of a set's rows; those not asked for are zero.

        Args:
            count: rows of the set.
            rows: those that are needed; each is checked.
            order: (K,) row of each image in the set's own order, repeats included.
            names: (count,) of the rows; None where the set has none.
            what: what messages call the set.

        Raises:
            DataError: names on one side only, an image without embedding, another number than the
                set's, or an embedding that is NaN, infinite or of zero norm.
        """
        result = np.zeros((count, self.values.shape[1]), dtype=np.float32)
        if self.names is not None and names is not None:
            place = self._places([names[row] for row in rows], what)
            result[rows] = self.values[place]
            called = [repr(names[row]) for row in rows]
        elif self.names is not None:
            raise DataError(
                f"{self.path}: has names, but the images of {what} have none; give embeddings in "
                f"the order of its {len(order):,} images, without names"
            )
        else:
            if len(self.values) != len(order):
                raise DataError(
                    f"{self.path}: {len(self.values):,} embeddings for the {len(order):,} images "
                    f"of {what}: they do not belong together"
                )
            result[order[::-1]] = self.values[::-1]
            first = np.zeros(count, dtype=np.int64)
            first[order[::-1]] = np.arange(len(order))[::-1]
            called = [f"number {first[row]}" for row in rows]
        self._check(result[rows], called)
        return result

    def _places(self, wanted: Sequence[str], what: str) -> list[int]:
        assert self.names is not None
        exact = {name: place for place, name in enumerate(self.names)}
        bare: dict[str, int] = {}
        for name, place in exact.items():
            bare.setdefault(bare_name(name), place)
        found = [exact.get(name, bare.get(bare_name(name), -1)) for name in wanted]
        if -1 in found:
            first = wanted[found.index(-1)]
            raise DataError(
                f"{self.path}: no embedding of {first!r} ({found.count(-1):,} of {len(wanted):,} "
                f"images of {what} have none)"
            )
        return found

    def _check(self, values: NDArray[np.float32], called: Sequence[str]) -> None:
        norms = np.linalg.norm(values.astype(np.float64), axis=1)
        for bad, reason in (
            (~np.isfinite(norms), "holds NaN or infinite values"),
            (norms == 0, "has zero norm"),
        ):
            if bad.any():
                more = f" ({int(bad.sum()):,} such)" if bad.sum() > 1 else ""
                raise DataError(
                    f"{self.path}: embedding {called[int(bad.argmax())]} {reason}{more}"
                )


def read_embeddings(path: str | Path) -> EmbeddingTable:
    """Read a file or folder of embeddings (see the module's text); no pickles.

    Raises:
        DataError: nothing there, not readable, another shape or type, another number of names
            than of embeddings, a name twice; the message names the file.
    """
    path = Path(path)
    if path.is_dir():
        values, names = _read_folder(path)
    elif not path.is_file():
        raise DataError(f"{path}: no such file")
    else:
        readers = {".npy": _read_npy, ".npz": _read_npz, ".parquet": _read_parquet}
        try:
            values, names = readers[path.suffix.lower()](path)
        except (pa.ArrowException, *_DAMAGE) as error:
            raise DataError(f"{path}: not readable as embeddings ({error})") from None
    if values.ndim != 2 or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise DataError(
            f"{path}: expected numbers of shape (M, D), found {values.dtype} {values.shape}"
        )
    if names is not None and len(names) != len(values):
        raise DataError(f"{path}: {len(names):,} names for {len(values):,} embeddings")
    if names is not None and len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(f"{path}: the name {twice!r} occurs twice")
    # What is too large becomes infinite, and is refused where it is used.
    with np.errstate(over="ignore"):
        return EmbeddingTable(path, values.astype(np.float32), names)


def holds_embeddings(path: Path) -> bool:
    """Whether a file or folder is of one of the kinds; of Parquet by its columns."""
    if path.is_dir():
        return next(path.rglob("*.npy"), None) is not None
    suffix = path.suffix.lower()
    if suffix != ".parquet":
        return suffix in (".npy", ".npz")
    try:
        return COLUMN in pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False


_Content = tuple[NDArray[np.generic], tuple[str, ...] | None]


def bare_name(name: str) -> str:
    """An image's name without its suffix."""
    return PurePosixPath(name).with_suffix("").as_posix() if name else name


def _read_npy(path: Path) -> _Content:
    return np.load(path, allow_pickle=False), None


def _read_npz(path: Path) -> _Content:
    with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as archive:
        names = tuple(str(n) for n in archive["names"]) if "names" in archive else None
        return archive["embeddings"], names


def _read_parquet(path: Path) -> _Content:
    table = pq.read_table(path)
    column = table.column(COLUMN).combine_chunks()
    kind = column.type
    if not any(
        is_kind(kind)
        for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    ):
        raise ValueError(f"column {COLUMN!r} holds {kind}, not lists of numbers")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise ValueError(f"row {row} has no embedding")
    widths = np.array(column.value_lengths()) if len(column) else np.array([0])
    if (widths != widths[0]).any():
        row = int((widths != widths[0]).argmax())
        raise ValueError(f"row {row} has {widths[row]} values, the first has {widths[0]}")
    flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    names = (
        tuple(map(str, table.column("name").to_pylist())) if "name" in table.column_names else None
    )
    return flat.reshape(len(column), -1), names


def _read_folder(folder: Path) -> _Content:
    files = sorted(folder.rglob("*.npy"))
    if not files:
        raise DataError(f"{folder}: no .npy files here")
    rows: list[NDArray[np.generic]] = []
    for file in files:
        try:
            values = np.load(file, allow_pickle=False)
        except _DAMAGE as error:
            raise DataError(f"{file}: not readable ({error})") from None
        if values.ndim == 2 and len(values) == 1:
            values = values[0]
        if values.ndim != 1 or (rows and values.shape != rows[0].shape):
            expected = f"{rows[0].shape}" if rows else "(D,)"
            raise DataError(f"{file}: expected one embedding {expected}, found {values.shape}")
        rows.append(values)
    names = tuple(file.relative_to(folder).as_posix().removesuffix(".npy") for file in files)
    return np.stack(rows), names
