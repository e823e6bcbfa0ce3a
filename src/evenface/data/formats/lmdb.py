"""Training sets in LMDB, as HSFace and VFace are published: index → MessagePack (image, label).

A database (a folder with ``data.mdb``, or the file alone) has a record for each image under its
number in ASCII, ``0``, ``1``, …: an array of the encoded image and its label. ``__len__`` is the
number of images, ``__classnum__`` that of people, ``__keys__`` the list of keys.

LMDB is read without its library. A file is cut into pages. The first two are meta pages, of which
the one with the higher transaction number counts. A page begins with its number (u64), 2 unused
bytes, flags (u16) and the end of the list of node offsets (u16); overflow pages hold large values
alone. A node is size or child (3 × u16), size of the key (u16), the key, and the value or the
number of its overflow page (lmdb 0.9, ``mdb.c``).
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evenface.console import progress
from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.folder import check_size, printable
from evenface.errors import DataError

LAYOUT = "an LMDB folder with data.mdb, index → MessagePack (image, label) (HSFace, VFace)"
FILE_NAME = "data.mdb"

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_META = struct.Struct("<16x2I16x48x48s8xQ")  # magic, version, main tree, transaction
_PAGE = struct.Struct("<8x2x3H")  # flags, end of the node offsets (lower), upper
_NODE = struct.Struct("<4H")
_PAGE_SIZE_AT = 40  # in the first meta page
_BRANCH, _LEAF, _OVERFLOW, _LEAF2 = 1, 2, 4, 32
_BIG, _NOT_PLAIN = 1, 2 | 4  # flags of a node: on overflow pages; a tree, or several values
_EMPTY = 2**64 - 1
_INTERNAL = b"__"


class _Damage(Exception):
    """The database cannot be read; the message is the reason."""


class LmdbSource:
    """The images of a database, in the order of their numbers. Made by :func:`open_lmdb`."""

    attributes: tuple[str, ...] = ()

    def __init__(
        self, file: Path, content: mmap.mmap, places: np.ndarray, labels: list[str], keys: list[str]
    ) -> None:
        self.remarks: tuple[str, ...] = ()
        self._file = file
        self._content = content
        self._places = places
        """int64 (N, 2): offset and size of each image."""
        self._labels = labels
        self._keys = keys

    @property
    def description(self) -> dict[str, Any]:
        digest = hashlib.sha256(self._places.tobytes())
        digest.update("\0".join(self._labels).encode())
        return {
            "format": "lmdb",
            "path": printable(str(self._file.resolve())),
            "bytes": len(self._content),
            "images": len(self),
            "identities": len(set(self._labels)),
            "listing": digest.hexdigest(),
        }

    def __len__(self) -> int:
        return len(self._labels)

    def record(self, number: int) -> Record:
        return Record(f"{self._file.name} key {self._keys[number]}", self._labels[number])

    def read(self, number: int) -> bytes:
        offset, size = self._places[number].tolist()
        check_size(size)
        return self._content[offset : offset + size]


def open_lmdb(path: Path, options: ReadOptions) -> LmdbSource:
    """List the images of a database.

    Raises:
        DataError: no database, a damaged one, a record that is no (image, label), or another number
            of images than it says. The message names the record.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: no such file; expected {LAYOUT}")
    with open(file, "rb") as handle:
        try:
            content = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise DataError(f"{file}: the file is empty") from None
    said: dict[bytes, Any] = {}
    keys: list[bytes] = []
    labels: list[str] = []
    places = array("q")
    key = b""
    try:
        tree = _Tree(content)
        with progress("read labels", tree.entries, unit="records") as bar:
            for key, offset, size in tree:
                bar.advance(1)
                if key.startswith(_INTERNAL):
                    if key != b"__keys__":
                        said[key] = _count(content, offset, size)
                    continue
                start, length, label = _image_and_label(content, offset, size)
                keys.append(key)
                places.extend((start, length))
                labels.append(label)
    except (_Damage, struct.error, IndexError) as error:
        where = f", after key {printable_key(key)}" if key else ""
        raise DataError(f"{file}{where}: {error or 'the file is damaged'}") from None
    if not keys:
        raise DataError(f"{file}: no images; expected {LAYOUT}")
    if said.get(b"__len__") not in (None, len(keys)):
        raise DataError(
            f"{file}: {len(keys):,} images, but __len__ is {said[b'__len__']:,}; the copy is not "
            "whole"
        )
    order = _order(keys)
    padded = _padded(labels)
    source = LmdbSource(
        file,
        content,
        np.array(places, dtype=np.int64).reshape(-1, 2)[order],
        [padded[number] for number in order],
        [printable_key(keys[number]) for number in order],
    )
    people = len(set(padded))
    if said.get(b"__classnum__") not in (None, people):
        source.remarks = (
            f"__classnum__ is {said[b'__classnum__']:,}, but the images have {people:,} labels",
        )
    return source


def printable_key(key: bytes) -> str:
    """A key as text."""
    return key.decode("utf-8", "backslashreplace")


def _order(keys: list[bytes]) -> list[int]:
    """Places of the keys by number; by text where one is no number."""
    if all(key.isdigit() for key in keys):
        return sorted(range(len(keys)), key=lambda place: int(keys[place]))
    return sorted(range(len(keys)), key=keys.__getitem__)


def _padded(labels: list[str]) -> list[str]:
    """Numbers with leading zeros, so that their order is that of texts."""
    if not all(label.isdecimal() for label in labels):
        return labels
    width = max(map(len, labels))
    return [label.zfill(width) for label in labels]


# --- LMDB ----------------------------------------------------------------------------------------


class _Tree:
    """The main database of an LMDB file: (key, offset, size) of its values, in order of keys."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        (self._page_size,) = struct.unpack_from("<I", content, _PAGE_SIZE_AT)
        if _META.unpack_from(content)[0] != _MAGIC:
            raise _Damage("no LMDB database")
        if self._page_size < 256 or self._page_size & (self._page_size - 1):
            raise _Damage(f"a page size of {self._page_size:,} bytes; the file is damaged")
        metas = [_META.unpack_from(content, page * self._page_size) for page in (0, 1)]
        _, version, main, _ = max(
            (meta for meta in metas if meta[0] == _MAGIC), key=lambda meta: meta[3]
        )
        if version != _VERSION:
            raise _Damage(f"version {version} of LMDB's format; version {_VERSION} is read")
        flags, self.entries, self._root = struct.unpack("<4xH2x24x2Q", main)
        if flags & ~8:  # 8: keys are native integers
            raise _Damage("a database with several values a key, or in another order")

    def __iter__(self) -> Iterator[tuple[bytes, int, int]]:
        if self._root == _EMPTY:
            return
        pages, most = [self._root], len(self._content) // self._page_size
        for _ in range(most):  # no page occurs twice in a tree
            if not pages:
                return
            start = self._page(pages.pop())
            flags, lower, _ = _PAGE.unpack_from(self._content, start)
            count = (lower - 16) // 2
            if flags & (_OVERFLOW | _LEAF2) or not flags & (_BRANCH | _LEAF) or count < 1:
                raise _Damage(f"no tree page at byte {start:,}; the file is damaged")
            nodes = struct.unpack_from(f"<{count}H", self._content, start + 16)
            if flags & _BRANCH:
                pages += [self._child(start + node) for node in reversed(nodes)]
            else:
                for node in nodes:
                    yield self._value(start + node)
        if pages:
            raise _Damage("its pages lead in circles; the file is damaged")

    def _page(self, number: int) -> int:
        start: int = number * self._page_size
        if start + self._page_size > len(self._content):
            raise _Damage(
                f"page {number:,} lies beyond the end ({len(self._content):,} bytes); the file is "
                "truncated"
            )
        return start

    def _child(self, node: int) -> int:
        low, middle, high, _ = _NODE.unpack_from(self._content, node)
        return int(low | middle << 16 | high << 32)

    def _value(self, node: int) -> tuple[bytes, int, int]:
        low, high, flags, key_size = _NODE.unpack_from(self._content, node)
        key_start = node + _NODE.size
        key = self._content[key_start : key_start + key_size]
        start, size = key_start + key_size, low | high << 16
        if flags & _NOT_PLAIN:
            raise _Damage(f"key {printable_key(key)} holds another database or several values")
        if flags & _BIG:
            (page,) = struct.unpack_from("<Q", self._content, start)
            start = self._page(page) + 16
        if start + size > len(self._content):
            raise _Damage(f"the value of key {printable_key(key)} is cut off")
        return key, start, size


# --- MessagePack ---------------------------------------------------------------------------------

# First byte → format of the length that follows, for texts and bytes.
_LENGTHS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_NUMBERS = {
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
    0xCA: ">f",
    0xCB: ">d",
}
_ARRAYS = {0xDC: ">H", 0xDD: ">I"}


def _image_and_label(content: mmap.mmap, offset: int, size: int) -> tuple[int, int, str]:
    """Offset and size of the image, and the label, of a record."""
    end = offset + size
    first = content[offset]
    if first in _ARRAYS:
        start = offset + 1 + struct.calcsize(_ARRAYS[first])
        (parts,) = struct.unpack_from(_ARRAYS[first], content, offset + 1)
    else:
        start, parts = offset + 1, first - 0x90
    if not 2 <= parts <= 15:
        what = "a pickle, which is not opened" if first == 0x80 else f"it begins with {first:#x}"
        raise _Damage(f"the next record is no MessagePack array of image and label: {what}")
    image, length = _bytes(content, start)
    label = image + length
    if label >= end:
        raise _Damage("the next record is cut off, or has no label")
    return image, length, _label(content, label)


def _bytes(content: mmap.mmap, offset: int) -> tuple[int, int]:
    """Offset and size of bytes, or of a text."""
    first = content[offset]
    if 0xA0 <= first <= 0xBF:
        return offset + 1, first - 0xA0
    if first not in _LENGTHS:
        raise _Damage(f"bytes were expected in the next record, found type {first:#x}")
    (length,) = struct.unpack_from(_LENGTHS[first], content, offset + 1)
    return offset + 1 + struct.calcsize(_LENGTHS[first]), length


def _number(content: mmap.mmap, offset: int) -> float | None:
    first = content[offset]
    if first < 0x80:
        return first
    if first in _NUMBERS:
        return float(struct.unpack_from(_NUMBERS[first], content, offset + 1)[0])
    return None


def _label(content: mmap.mmap, offset: int) -> str:
    number = _number(content, offset)
    if number is None:
        start, length = _bytes(content, offset)
        return printable_key(content[start : start + length])
    if number < 0 or number != int(number):
        raise _Damage(f"the label {number:g} of the next record is no class number")
    return str(int(number))


def _count(content: mmap.mmap, offset: int, size: int) -> int | None:
    """A number, in MessagePack or as text; None for anything else."""
    text = content[offset : offset + size]
    if text.isdigit() and size > 1:
        return int(text)
    number = _number(content, offset) if size else None
    return None if number is None else int(number)


def _recognises(path: Path) -> bool:
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        return False
    with open(file, "rb") as handle:
        return handle.read(20)[16:] == struct.pack("<I", _MAGIC)


FORMAT = Format("lmdb", LAYOUT, recognises=_recognises, open=open_lmdb, heeds=frozenset())
