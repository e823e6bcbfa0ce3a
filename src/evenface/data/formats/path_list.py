"""Lists of images without a header: ``path label`` on each line, as many training programs read.

Tabs, commas, semicolons or spaces divide path and label; the label, a number or a name, is the
person. A path may hold spaces where tabs, commas or semicolons divide.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.columns import Texts, absolute, inside
from evenface.data.formats.folder import SUFFIXES, printable, read_image_file
from evenface.errors import DataError
from evenface.files import sha256_file

LAYOUT = "a .txt, .lst or .list file with lines 'path label'"
FILE_SUFFIXES = (".txt", ".lst", ".list")


class ListSource:
    """The images that a list names, in its order. Made by :func:`open_list`."""

    attributes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __init__(self, path: Path, root: str, paths: Texts, people: Texts) -> None:
        self._path = path
        self._root = root
        self._paths = paths
        self._people = people

    @property
    def description(self) -> dict[str, Any]:
        return {
            "format": "list",
            "path": printable(str(self._path.resolve())),
            "root": printable(self._root),
            "images": len(self),
            "sha256": sha256_file(self._path),
            "people": hashlib.sha256(self._people.digest()).hexdigest(),
        }

    def __len__(self) -> int:
        return len(self._paths)

    def record(self, number: int) -> Record:
        name = f"{self._paths[number]} (line {number + 1})"
        return Record(name, str(self._people[number]))

    def read(self, number: int) -> bytes:
        return read_image_file(inside(self._root, str(self._paths[number])))


def open_list(path: Path, options: ReadOptions) -> ListSource:
    """Read a list; paths are relative to ``options.root``, else to its folder.

    Raises:
        DataError: no such file, not UTF-8, a line that is not a path and a label, or a path that
            leads out. The message names the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected {LAYOUT}")
    root = absolute(options.root or path.parent)
    paths, people = Texts(), Texts()
    try:
        with open(path, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    raise DataError(f"{path}: line {number} is empty")
                found = _parsed(line)
                if found is None:
                    raise DataError(
                        f"{path}: line {number} is {line.strip()!r:.80}, expected 'path label'"
                    )
                inside(root, found[0])
                paths.append(found[0])
                people.append(found[1])
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8") from None
    except ValueError as error:
        raise DataError(f"{path}: line {number}: {error}") from None
    if not len(paths):
        raise DataError(f"{path}: no lines")
    return ListSource(path, root, paths, people)


def _parsed(line: str) -> tuple[str, str] | None:
    """Path and label; None for what is no such line."""
    divider = next((divider for divider in "\t,;" if divider in line), None)
    cells = [cell.strip() for cell in line.strip().split(divider)]
    if len(cells) != 2 or not all(cells):
        return None
    path = cells[0].replace("\\", "/")
    return (path, cells[1]) if PurePosixPath(path).suffix.lower() in SUFFIXES else None


def _recognises(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() not in FILE_SUFFIXES:
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as lines:
        return _parsed(lines.readline(4096)) is not None


FORMAT = Format("list", LAYOUT, recognises=_recognises, open=open_list, heeds=frozenset({"root"}))
