"""The list beside a ``.rec``: which file and which labels each image came from.

Tabs divide the cells of a line. The place of the path decides which of three kinds it is:

- ``path label [more]``: line i describes image i;
- ``number path [label more]``: the number is the image's key (lists of DCFace's kind) where all
  numbers are keys of the ``.rec``, else insightface's flag "aligned", and line i describes image i;
- ``key label [more] path``: as MXNet's ``im2rec.py`` writes it.

What the numbers behind the label are, :mod:`.insightface` tells from how many there are and what
they hold.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError

_INTEGER = re.compile(rb"-?[0-9]{1,9}(\.0*)?")
_EXPECTED = (
    "aligned<TAB>path<TAB>label, path<TAB>label, key<TAB>path<TAB>label or key<TAB>label<TAB>path, "
    "and as many numbers in all lines"
)


class ImageList(NamedTuple):
    """What lists say of N images, in the order of the images."""

    folders: list[tuple[str, ...]]
    """The distinct folders of the paths, as their components."""
    folder: NDArray[np.int32]
    """(N,) index into :attr:`folders`."""
    numbers: NDArray[np.int32]
    """(N, k) label and what else stands there; k may be 0."""
    files: tuple[Path, ...]
    file: NDArray[np.int32]
    """(N,) index into :attr:`files`."""
    line: NDArray[np.int32]
    """(N,) line in that file, from 1."""
    keyed: bool
    """Whether lines begin with keys, so that the first number is certainly the label."""

    def where(self, number: int) -> str:
        """File and line of an image, for messages."""
        return f"{self.files[self.file[number]]}: line {self.line[number]}"


class _Layout(NamedTuple):
    path: int
    """Cell of the path."""
    keyed: bool
    """Whether the first cell is certainly a key."""
    width: int


def read_lst(path: Path, keys: NDArray[np.int64], records: str) -> ImageList:
    """Read a list.

    Args:
        path: the file.
        keys: (N,) of the images, ascending.
        records: name of the ``.rec`` file, for messages.

    Raises:
        DataError: no lines, one that is laid out differently or holds no whole number, another
            number of lines than images, or other keys; the message names the line.
    """
    folders: dict[bytes, int] = {}
    folder, first, numbers = array("i"), array("q"), array("i")
    layout = None
    with open(path, "rb") as lines:
        for count, line in enumerate(lines, start=1):
            cells = [cell.strip() for cell in line.rstrip(b"\r\n").split(b"\t")]
            layout = layout or _layout(cells)
            head, values = _cells(cells, layout) if layout else (b"", [])
            if layout is None or not all(map(_INTEGER.fullmatch, values)) or not cells[layout.path]:
                raise DataError(f"{path}: line {count} is {line.rstrip()[:80]!r}, expected "
                                f"{_EXPECTED}")  # fmt: skip
            parent = cells[layout.path].replace(b"\\", b"/").rpartition(b"/")[0]
            folder.append(folders.setdefault(parent, len(folders)))
            first.append(int(float(head)) if head else 0)
            numbers.extend(int(float(value)) for value in values)
    if layout is None:
        raise DataError(f"{path}: no lines with a path and a label")
    if len(folder) != len(keys):
        raise DataError(
            f"{path}: {len(folder):,} lines for {len(keys):,} images of {records}. If it "
            "belongs to another file, rename it"
        )
    order, keyed = _order(path, np.array(first), keys, layout, records)
    rows = np.array(numbers, dtype=np.int32).reshape(len(folder), -1)
    return ImageList(
        [_components(name) for name in folders],
        np.array(folder, dtype=np.int32)[order],
        rows[order],
        (path,),
        np.zeros(len(folder), dtype=np.int32),
        order.astype(np.int32) + 1,
        keyed,
    )


def join_lists(lists: Sequence[ImageList]) -> ImageList:
    """Lists of several files, one after the other.

    Raises:
        DataError: they have not as many numbers in all lines.
    """
    if len(lists) == 1:
        return lists[0]
    folders: dict[tuple[str, ...], int] = {}
    places = []
    for part in lists:
        if part.numbers.shape[1] != lists[0].numbers.shape[1]:
            raise DataError(
                f"{part.files[0]}: lines of {part.numbers.shape[1]} numbers, those of "
                f"{lists[0].files[0].name} have {lists[0].numbers.shape[1]}"
            )
        codes = [folders.setdefault(name, len(folders)) for name in part.folders]
        places.append(np.array(codes, dtype=np.int32)[part.folder])
    return ImageList(
        list(folders),
        np.concatenate(places),
        np.concatenate([part.numbers for part in lists]),
        tuple(part.files[0] for part in lists),
        np.repeat(np.arange(len(lists), dtype=np.int32), [len(part.line) for part in lists]),
        np.concatenate([part.line for part in lists]),
        all(part.keyed for part in lists),
    )


def write_line(path: str, label: int, groups: list[int]) -> str:
    """One line ``aligned path label [groups]`` of a list."""
    return "\t".join(["1", path, *map(str, [label, *groups])]) + "\n"


def _layout(cells: list[bytes]) -> _Layout | None:
    """Of the first line; None where it is of no known kind."""
    numeric = [_INTEGER.fullmatch(cell) is not None for cell in cells]
    if len(cells) < 2:
        return None
    if not numeric[0]:
        return _Layout(0, False, len(cells))
    if not numeric[1]:
        return _Layout(1, False, len(cells))
    return _Layout(len(cells) - 1, True, len(cells)) if not numeric[-1] else None


def _cells(cells: list[bytes], layout: _Layout) -> tuple[bytes, list[bytes]]:
    """The number before a path, and the others; none where the line has another layout."""
    if len(cells) != layout.width:
        return b"", [b""]
    if layout.path == 0:
        return b"", cells[1:]
    head, others = cells[0], cells[1 : layout.path] + cells[layout.path + 1 :]
    return (head, others) if _INTEGER.fullmatch(head) else (b"", [b""])


def _order(
    path: Path, first: NDArray[np.int64], keys: NDArray[np.int64], layout: _Layout, records: str
) -> tuple[NDArray[np.int64], bool]:
    """The line, from 0, of each image, and whether the first numbers are keys."""
    order = np.argsort(first, kind="stable")
    if layout.path > 0 and np.array_equal(first[order], keys):
        return order, True
    if layout.keyed:
        odd = ~np.isin(first, keys)
        odd[order[1:]] |= first[order[1:]] == first[order[:-1]]  # a key that occurs twice
        line = int(np.argmax(odd))
        raise DataError(
            f"{path}: line {line + 1}: its key {first[line]} is not that of one image of "
            f"{records}. If the list belongs to another file, rename it"
        )
    return np.arange(len(first)), False


def _components(folder: bytes) -> tuple[str, ...]:
    text = folder.decode("utf-8", "backslashreplace")
    return tuple(part for part in text.split("/") if part not in ("", "."))
