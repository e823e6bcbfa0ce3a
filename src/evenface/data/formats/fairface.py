"""FairFace: images with age, gender and race as annotators saw them, and no identity.

``fairface_label_train.csv`` and ``fairface_label_val.csv`` have the columns ``file`` (relative to
their folder), ``age``, ``gender``, ``race`` and ``service_test`` (Kärkkäinen & Joo, WACV 2021).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.columns import Texts, absolute, inside, require
from evenface.data.formats.folder import printable, read_image_file
from evenface.data.formats.table import read_csv
from evenface.errors import DataError
from evenface.files import sha256_file

LAYOUT = "fairface_label_train.csv and fairface_label_val.csv beside train/ and val/ (FairFace)"
ATTRIBUTES = ("race", "gender", "age", "service_test")

_FILE = "file"
_TABLE = re.compile(r"fairface_label_(train|val)\.csv")
_SPLITS = {"train": "train", "val": "validation"}


class FairFaceSource:
    """The images of FairFace's tables, in their order. Made by :func:`open_fairface`."""

    def __init__(self, tables: list[Path], root: Path, attributes: tuple[str, ...]) -> None:
        self.attributes = attributes
        self.remarks: tuple[str, ...] = ()
        self._tables = tables
        self._root = root
        self._paths, self._splits = Texts(), Texts()
        self._values = {name: Texts() for name in attributes}
        for path in tables:
            self._read(path)

    def _read(self, path: Path) -> None:
        table = read_csv(path)
        for name in (_FILE, *self.attributes):
            if name not in table.column_names:
                raise DataError(
                    f"{path}: no column {name!r}; it has {', '.join(table.column_names)}"
                )
        paths = Texts.of(table.column(_FILE), f"{path}, column {_FILE!r}")
        require(paths, f"{path}, column {_FILE!r}")
        match = _TABLE.fullmatch(path.name)
        for row, file in enumerate(paths, start=1):
            try:
                inside(absolute(self._root), str(file))
            except ValueError as error:
                raise DataError(f"{path}, column {_FILE!r}, row {row:,}: {error}") from None
            self._paths.append(file)
            self._splits.append(_SPLITS[match[1]] if match else "")
        for name, column in self._values.items():
            for value in Texts.of(table.column(name), f"{path}, column {name!r}"):
                column.append(value)

    @property
    def description(self) -> dict[str, Any]:
        return {
            "format": "fairface",
            "path": printable(str(self._root.resolve())),
            "attributes": list(self.attributes),
            "images": len(self),
            "sha256": [sha256_file(path) for path in self._tables],
        }

    def __len__(self) -> int:
        return len(self._paths)

    def record(self, number: int) -> Record:
        return Record(
            str(self._paths[number]),
            "",
            tuple(column[number] for column in self._values.values()),
            split=self._splits[number] or "",
        )

    def read(self, number: int) -> bytes:
        return read_image_file(inside(absolute(self._root), str(self._paths[number])))


def open_fairface(path: Path, options: ReadOptions) -> FairFaceSource:
    """List one of FairFace's tables, or those in a folder.

    Raises:
        DataError: no such table, a column missing, an empty path, or one that leads out.
    """
    tables = [path] if path.is_file() else _tables(path)
    if not tables:
        raise DataError(f"{path}: no table of FairFace; expected {LAYOUT}")
    root = options.root or tables[0].parent
    return FairFaceSource(tables, root, options.attributes or ATTRIBUTES)


def _tables(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.csv")) if _TABLE.fullmatch(path.name)]


def _recognises(path: Path) -> bool:
    if path.is_dir():
        return bool(_tables(path))
    return path.is_file() and bool(_TABLE.fullmatch(path.name))


FORMAT = Format(
    "fairface",
    LAYOUT,
    recognises=_recognises,
    open=open_fairface,
    heeds=frozenset({"attributes", "root"}),
)
