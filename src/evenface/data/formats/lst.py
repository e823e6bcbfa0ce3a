"""The list beside an insightface ``.rec``: which file and which labels each image came from.

Line i describes image i, with tabs between: ``aligned path label [more]``, or ``path label`` as
some sets are published. What the numbers behind the path are, :mod:`.insightface` tells from how
many there are and what they hold.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError

_INTEGER = re.compile(rb"-?[0-9]{1,9}(\.0*)?")


class ImageList(NamedTuple):
    """Content of a ``.lst`` file of N lines."""

    folders: list[tuple[str, ...]]
    """The distinct folders of the paths, as their components."""
    folder: NDArray[np.int32]
    """(N,) index into :attr:`folders`."""
    numbers: NDArray[np.int32]
    """(N, k) the numbers behind the path."""


def read_lst(path: Path) -> ImageList:
    """Read a list.

    Raises:
        DataError: no lines, or one that is laid out differently or holds no whole number; the
            message names it.
    """
    folders: dict[bytes, int] = {}
    folder, numbers = array("i"), array("i")
    width = 0
    with open(path, "rb") as lines:
        for count, line in enumerate(lines, start=1):
            cells = [cell.strip() for cell in line.rstrip(b"\r\n").split(b"\t")]
            if len(cells) > 2 and _INTEGER.fullmatch(cells[0]):
                del cells[0]  # whether the image is aligned: import looks for itself
            values = cells[1:]
            width = width or len(values)
            whole = values and all(map(_INTEGER.fullmatch, values))
            if not cells[0] or not whole or len(values) != width:
                raise DataError(
                    f"{path}: line {count} is {line.rstrip()[:80]!r}, expected "
                    "aligned<TAB>path<TAB>label or path<TAB>label, and as many numbers in all lines"
                )
            parent = cells[0].replace(b"\\", b"/").rpartition(b"/")[0]
            folder.append(folders.setdefault(parent, len(folders)))
            numbers.extend(int(float(value)) for value in values)
    if not width:
        raise DataError(f"{path}: no lines with a path and a label")
    return ImageList(
        [_components(name) for name in folders],
        np.array(folder, dtype=np.int32),
        np.array(numbers, dtype=np.int32).reshape(-1, width),
    )


def write_line(path: str, label: int, groups: list[int]) -> str:
    """One line ``aligned path label [groups]`` of a list."""
    return "\t".join(["1", path, *map(str, [label, *groups])]) + "\n"


def _components(folder: bytes) -> tuple[str, ...]:
    text = folder.decode("utf-8", "backslashreplace")
    return tuple(part for part in text.split("/") if part not in ("", "."))
