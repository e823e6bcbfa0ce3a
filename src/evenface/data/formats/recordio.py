"""MXNet's RecordIO, read and written without MXNet: frames, record headers, index.

A ``.rec`` file is a row of records. A record is cut into parts where the magic word lies in it at a
place that is a multiple of four bytes; that word is left out between parts. A part is framed by the
magic word and a word whose upper 3 bits tell its role (0 whole, 1 first, 2 middle, 3 last) and
whose lower 29 bits its length, and padded with zeros to four bytes (dmlc-core, ``recordio.h``). An
image record begins with the header ``IfQQ`` (flag, label, id, id2) and, when flag > 0, that many
float32 labels (``mxnet/recordio.py``). The ``.idx`` file has lines ``key<TAB>offset``.
"""

from __future__ import annotations

import os
import re
import struct
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from evenface.errors import DataError

MAX_EXACT = 2**24
"""Labels are float32, which holds every integer below this and not every one beyond."""

_MAGIC = struct.pack("<I", 0xCED7230A)
_FRAME = struct.Struct("<4sI")
_HEADER = struct.Struct("<IfQQ")
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_MOST_LABELS = 2**16


class RecordError(Exception):
    """A record cannot be read; the message is the reason, without file and record."""


class ImageRecord(NamedTuple):
    """Content of one record."""

    labels: tuple[float, ...]
    """The label, or the labels, as float32 holds them."""
    key: int
    """The field ``id``."""
    image: bytes
    """The encoded image; empty in records that describe others."""


# --- content -------------------------------------------------------------------------------------


def pack(labels: float | Sequence[float], key: int, image: bytes) -> bytes:
    """Content of a record as MXNet's ``recordio.pack`` makes it.

    Args:
        labels: a single label (kept in the header) or several (kept behind it).
        key: the field ``id``.
        image: encoded image.
    """
    if isinstance(labels, int | float):
        return _HEADER.pack(0, labels, key, 0) + image
    flag = len(labels)
    return _HEADER.pack(flag, 0.0, key, 0) + struct.pack(f"<{flag}f", *labels) + image


def unpack(content: bytes) -> ImageRecord:
    """The inverse of :func:`pack`.

    Raises:
        RecordError: too short for what its header promises.
    """
    if len(content) < _HEADER.size:
        raise RecordError(f"{len(content)} bytes are too few for a record's header")
    flag, label, key, _ = _HEADER.unpack_from(content)
    if not flag:
        return ImageRecord((label,), key, content[_HEADER.size :])
    end = _HEADER.size + 4 * flag
    if flag > _MOST_LABELS or len(content) < end:
        raise RecordError(f"its header promises {flag:,} labels, which are not there")
    labels = struct.unpack_from(f"<{flag}f", content, _HEADER.size)
    return ImageRecord(labels, key, content[end:])


def exact_label(value: float) -> int:
    """A label as a class number.

    Raises:
        RecordError: negative, not whole, or so large that float32 may have rounded it.
    """
    if not 0 <= value < MAX_EXACT or value != int(value):
        why = (
            "beyond 2^24, where float32 cannot tell neighbours apart"
            if value >= MAX_EXACT
            else "no class number"
        )
        raise RecordError(f"its label {value:.10g} is {why}")
    return int(value)


# --- frames --------------------------------------------------------------------------------------


def frames(content: bytes) -> bytes:
    """A record as it stands in the file.

    Raises:
        ValueError: 2^29 bytes or more.
    """
    if len(content) >> _LENGTH_BITS:
        raise ValueError(f"a record of {len(content):,} bytes; the format ends at 2^29 − 1")
    parts, start = [], 0
    place = content.find(_MAGIC)
    while place >= 0:
        if place % 4 == 0:
            parts.append(content[start:place])
            start = place + 4
            place = content.find(_MAGIC, start)
        else:
            place = content.find(_MAGIC, place + 1)
    parts.append(content[start:])
    last = len(parts) - 1
    roles = [_FIRST, *[_MIDDLE] * (last - 1), _LAST] if last else [_WHOLE]
    framed = []
    for role, part in zip(roles, parts, strict=True):
        framed += [_FRAME.pack(_MAGIC, role << _LENGTH_BITS | len(part)), part]
    framed.append(bytes(-len(parts[-1]) % 4))
    return b"".join(framed)


class RecordFile:
    """Reads records of a ``.rec`` file at given offsets. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self.size = os.fstat(self._descriptor).st_size

    def content(self, offset: int) -> bytes:
        """The record at ``offset``, its parts joined.

        Raises:
            RecordError: beyond the end, truncated, or no record there.
        """
        parts = [self._read(start, length) for start, length in self._parts(offset)]
        return parts[0] if len(parts) == 1 else _MAGIC.join(parts)

    def head(self, offset: int) -> ImageRecord:
        """Labels and key of the record at ``offset``; its image is left empty.

        Raises:
            RecordError: as :meth:`content`.
        """
        ((start, length), *more) = self._parts(offset)
        if more:
            return unpack(self.content(offset))._replace(image=b"")
        flag = struct.unpack("<I", self._read(start, 4))[0] if length >= _HEADER.size else 0
        head = self._read(start, min(length, _HEADER.size + 4 * min(flag, _MOST_LABELS)))
        return unpack(head)

    def end(self, offset: int) -> int:
        """Where the record after the one at ``offset`` begins.

        Raises:
            RecordError: as :meth:`content`.
        """
        *_, (start, length) = self._parts(offset)
        return start + length + -length % 4

    def _parts(self, offset: int) -> Iterator[tuple[int, int]]:
        """(offset, length) of each part of a record."""
        expected = (_WHOLE, _FIRST)
        while True:
            magic, word = _FRAME.unpack(self._read(offset, _FRAME.size))
            role, length = divmod(word, 1 << _LENGTH_BITS)
            if magic != _MAGIC or role not in expected:
                raise RecordError(f"no record begins at byte {offset:,}")
            if (end := offset + 8 + length) > self.size:
                raise RecordError(f"it goes on to byte {end:,}, the file ends at {self.size:,}")
            yield offset + 8, length
            if role in (_WHOLE, _LAST):
                return
            expected = (_MIDDLE, _LAST)
            offset = end + -length % 4

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset) if length else b""
        if len(data) < length:
            raise RecordError(f"byte {offset + length:,} is beyond the end ({self.size:,} bytes)")
        return data


# --- the index -----------------------------------------------------------------------------------


class Index(NamedTuple):
    """Keys and byte offsets, both int64 (K,), sorted by key."""

    keys: NDArray[np.int64]
    offsets: NDArray[np.int64]


def read_index(path: Path, file: RecordFile) -> Index:
    """Read an ``.idx`` file and check it against its ``.rec`` file.

    Raises:
        DataError: a line that is no ``key<TAB>offset``, a key that occurs twice, an offset beyond
            the end of the file, or records behind the last one of the index.
    """
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty")
    try:
        table = pcsv.read_csv(
            path,
            read_options=pcsv.ReadOptions(column_names=["key", "offset"]),
            parse_options=pcsv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pcsv.ConvertOptions(
                column_types={"key": pa.int64(), "offset": pa.int64()}, null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {_bad_line(path) or error}") from None
    keys, offsets = (table.column(name).to_numpy() for name in ("key", "offset"))
    if len(keys) and (keys.min() < 0 or offsets.min() < 0):
        raise DataError(f"{path}: line {int(np.argmax((keys < 0) | (offsets < 0))) + 1}: negative")
    if (beyond := offsets >= file.size).any():
        line = int(np.argmax(beyond))
        raise DataError(
            f"{path}: line {line + 1}: key {keys[line]} lies at byte {offsets[line]:,}, but "
            f"{file.path.name} has {file.size:,} bytes. It is truncated, or the two files do not "
            "belong together"
        )
    order = np.argsort(keys, kind="stable")
    keys, offsets = keys[order], offsets[order]
    if (twice := keys[1:] == keys[:-1]).any():
        raise DataError(f"{path}: key {keys[int(np.argmax(twice))]} occurs twice")
    _refuse_short_index(path, file, int(offsets.max()))
    return Index(keys, offsets)


def _refuse_short_index(path: Path, file: RecordFile, last: int) -> None:
    try:
        end = file.end(last)
    except RecordError as error:
        raise DataError(
            f"{file.path}: the last record of {path.name} (byte {last:,}) cannot be read: {error}. "
            "One of the two files is truncated, or they do not belong together"
        ) from None
    if end != file.size:
        raise DataError(
            f"{path}: {file.size - end:,} bytes of {file.path.name} follow the last record of the "
            "index, which is truncated or belongs to another file. Remove it to have the records "
            "read one after the other"
        )


def _bad_line(path: Path) -> str:
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip() and not re.fullmatch(rb"-?[0-9]{1,18}\t-?[0-9]{1,18}\r?\n?", line):
                return f"line {number} is {line.rstrip()[:60]!r}, expected key<TAB>offset"
    return ""


def scan(file: RecordFile) -> Iterator[tuple[int, ImageRecord]]:
    """(offset, record without its image) of all records, in the order of the file.

    Raises:
        DataError: names the record that cannot be read.
    """
    offset, number = 0, 0
    while offset < file.size:
        try:
            yield offset, file.head(offset)
            offset = file.end(offset)
        except RecordError as error:
            raise DataError(
                f"{file.path}: record {number:,} (byte {offset:,}) cannot be read: {error}. The "
                "file is damaged or no RecordIO file"
            ) from None
        number += 1


# --- writing -------------------------------------------------------------------------------------


class RecordWriter:
    """Writes ``<stem>.rec`` and ``<stem>.idx`` record by record; a context manager.

    Not atomic by itself: write into a folder that appears as a whole.
    """

    def __init__(self, folder: Path, stem: str = "train") -> None:
        self._path = str(folder / stem)

    def __enter__(self) -> Self:
        self._records = open(f"{self._path}.rec", "wb")
        self._index = open(f"{self._path}.idx", "w", encoding="ascii", newline="\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._records, self._index:
            for handle in (self._records, self._index):
                handle.flush()
                os.fsync(handle.fileno())

    def write(self, key: int, content: bytes) -> None:
        """Append a record (see :func:`pack`) under a key that has not been used."""
        self._index.write(f"{key}\t{self._records.tell()}\n")
        self._records.write(frames(content))
