"""What every exporter gets and gives."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evenface.console import progress
from evenface.data.formats.folder import CLUTTER
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError

_BATCH = 64  # images encoded at a time
_MOST_NAME_BYTES = 200


@dataclass(frozen=True)
class Encoding:
    """How images are written: PNG, which loses nothing, or JPEG."""

    kind: Literal["png", "jpg"] = "png"
    quality: int = 95
    """Of JPEG, 1 to 100."""

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise UsageError(f"the quality of JPEG is between 1 and 100, got {self.quality}")

    @property
    def suffix(self) -> str:
        """ ".png" or ".jpg"."""
        return f".{self.kind}"

    @property
    def description(self) -> str:
        """For reports."""
        return "PNG" if self.kind == "png" else f"JPEG, quality {self.quality}"

    def __call__(self, image: np.ndarray) -> bytes:
        """Encode uint8 (H, W, 3) RGB."""
        buffer = io.BytesIO()
        if self.kind == "png":
            # Level 1 takes less than half the time of Pillow's default for 5 % more bytes.
            Image.fromarray(image).save(buffer, "PNG", compress_level=1)
        else:  # colour in full resolution: faces are small
            Image.fromarray(image).save(buffer, "JPEG", quality=self.quality, subsampling=0)
        return buffer.getvalue()


PREDICTED = "predicted_"
"""Before the name of an attribute that is predicted."""


class GroupPairs(Protocol):
    """Pairs (a, b) of a manifest's rows, every array (P,); ``group`` counts from 0."""

    @property
    def a(self) -> NDArray[np.int64]: ...

    @property
    def b(self) -> NDArray[np.int64]: ...

    @property
    def genuine(self) -> NDArray[np.bool_]: ...

    @property
    def group(self) -> NDArray[Any]: ...

    def select(self, rows: NDArray[Any]) -> GroupPairs: ...


class PairProtocol(Protocol):
    """What is exported of a verification protocol, such as those of :mod:`evenface.evaluate`."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def manifest_fingerprint(self) -> str: ...

    @property
    def groups(self) -> tuple[str, ...]: ...

    @property
    def group_by(self) -> tuple[str, ...]: ...

    @property
    def folds(self) -> int: ...

    @property
    def fold_pairs(self) -> GroupPairs:
        """Fold by fold."""

    @property
    def pairs(self) -> str | None:
        """ "published" or "drawn"; None where that is not recorded."""

    @property
    def pairs_statement(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Job:
    """One export: what to write, where, and how."""

    manifest: Manifest
    folder: Path
    """Where to write; it becomes the folder that was asked for when all is written."""
    encoding: Encoding
    workers: int
    group_by: tuple[str, ...]
    """Attributes that make groups, where the format puts groups into paths or files."""
    shard_images: int
    protocol: PairProtocol | None

    def encoded(self, rows: NDArray[np.int64]) -> Generator[bytes, None, None]:
        """The images of these rows, encoded."""
        return encoded(self.manifest, rows, self.encoding, self.workers)


def encoded(
    manifest: Manifest, rows: NDArray[np.int64], encoding: Encoding, workers: int
) -> Generator[bytes, None, None]:
    """Images of a manifest's rows, encoded in threads, few of them in memory."""
    batches = (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
    with (
        ThreadPoolExecutor(workers) as pool,
        progress("export", len(rows), unit="images") as bar,
    ):
        ahead: Iterator[bytes] = iter(())
        for batch in batches:
            done, ahead = ahead, pool.map(encoding, manifest.images(batch))
            yield from done
            bar.advance(len(batch))
        yield from ahead


@dataclass(frozen=True)
class Exporter:
    """One format that data sets are written in."""

    name: str
    layout: str
    """The layout in one line, for messages."""
    write: Callable[[Job], list[str]] = field(repr=False)
    """Writes into the job's folder; returns what a person should know about the result."""
    loses: tuple[str, ...] = ()
    """Columns of the manifest that the format cannot carry."""
    uses: frozenset[str] = frozenset()
    """The fields of :class:`Job` after ``workers`` that mean something here."""
    names_attributes: bool = True
    """Whether attributes are written under their names (see :func:`written_name`)."""


def columns_of(manifest: Manifest, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns of a manifest by the names they are written under, each (N,) objects."""
    return {written_name(manifest, name): manifest.column(name) for name in names}


def has_predicted(manifest: Manifest, name: str) -> bool:
    """Whether ``name`` is an attribute with values that were predicted."""
    return name in manifest.attributes and "predicted" in manifest.codes(f"{name}_source")[0]


def written_name(manifest: Manifest, name: str) -> str:
    """The name of a column in an export.

    No format says of a value whether it was declared, and an import takes all as declared: an
    attribute that is predicted, in part or whole, is therefore called ``predicted_<name>``.

    Raises:
        DataError: another attribute is called so.
    """
    if not has_predicted(manifest, name) or name.startswith(PREDICTED):
        return name
    if (marked := f"{PREDICTED}{name}") in manifest.attributes:
        raise DataError(f"{name!r} is predicted and would be written as {marked!r}, which is there")
    return marked


def image_numbers(labels: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) from 1: each row's place among the rows of its identity."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    numbers = np.empty(len(labels), dtype=np.int64)
    numbers[order] = np.arange(1, len(labels) + 1) - np.repeat(starts, sizes)
    return numbers


def file_name(text: str) -> str:
    """A name as one component of a path: characters that cannot stand there become ``%XX``.

    Different names stay different.

    Raises:
        DataError: longer than file systems take.
    """
    safe = "".join(
        character if character.isprintable() and character not in '%/\\:*?"<>|' else _hex(character)
        for character in text
    )
    if safe[:1] in (".", "@", " ") or safe in CLUTTER:  # left out by those who read folders
        safe = _hex(safe[0]) + safe[1:]
    if safe[-1:] in (".", " "):  # not allowed everywhere
        safe = safe[:-1] + _hex(safe[-1])
    safe = safe or "%"
    if len(safe.encode()) > _MOST_NAME_BYTES:
        raise DataError(f"{text[:60]!r}… is too long to name a file or folder")
    return safe


def _hex(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
