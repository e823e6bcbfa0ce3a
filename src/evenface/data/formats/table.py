"""Tables of image paths: CSV, TSV or Parquet with the columns ``path`` and ``identity``.

Further columns may be ``landmarks`` (ten numbers x1 y1 … x5 y5), ``origin`` and ``split``; all
others are attributes, except those of measurements, such as scores and ages.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from evenface.data.formats import hf_parquet
from evenface.data.formats.base import NONE, Format, ReadOptions, Record
from evenface.data.formats.columns import (
    ARROW_ERRORS,
    LANDMARKS_FIELD,
    ORIGIN_FIELD,
    SPLIT_FIELD,
    Texts,
    absolute,
    check_origins,
    choose_fields,
    distinct_values,
    find_field,
    inside,
    is_measurement,
    landmark_table,
    person_finder,
    require,
    row_landmarks,
)
from evenface.data.formats.folder import printable, read_image_file
from evenface.errors import DataError
from evenface.files import sha256_file

LAYOUT = "a .csv, .tsv or .parquet file with the columns path and identity"
PATH_FIELDS = ("path", "file_name", "filename")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


class TableSource:
    """The images that a table names, in its order. Made by :func:`open_table`."""

    def __init__(
        self,
        path: Path,
        root: str,
        identity: str,
        paths: pa.Array,
        identities: Texts,
        attributes: dict[str, Texts],
        landmarks: np.ndarray | None,
        origins: Texts | None,
        splits: Texts | None,
        remarks: tuple[str, ...],
    ) -> None:
        self.attributes = tuple(attributes)
        self.remarks = remarks
        self._path = path
        self._identity = identity
        self._root = root
        self._paths = paths
        self._identities = identities
        self._values = tuple(attributes.values())
        self._landmarks = landmarks
        self._origins = origins
        self._splits = splits

    @property
    def description(self) -> dict[str, Any]:
        return {
            "format": "table",
            "path": printable(str(self._path.resolve())),
            "root": printable(self._root),
            "identity": self._identity,
            "attributes": list(self.attributes),
            "images": len(self),
            "sha256": sha256_file(self._path),
        }

    def __len__(self) -> int:
        return len(self._paths)

    def record(self, number: int) -> Record:
        return Record(
            f"{self._paths[number].as_py()} (row {number + 1})",
            str(self._identities[number]),
            tuple(column[number] for column in self._values),
            landmarks=row_landmarks(self._landmarks, number),
            origin=(self._origins and self._origins[number]) or "",
            split=(self._splits and self._splits[number]) or "",
        )

    def read(self, number: int) -> bytes:
        return read_image_file(inside(self._root, self._paths[number].as_py()))


def open_table(path: Path, options: ReadOptions) -> TableSource:
    """Read a table; the images are read when they are asked for.

    Relative paths are relative to ``options.root``, else to the table's folder, and every path must
    lie there.

    Raises:
        DataError: unreadable, a column is missing, an empty path or identity, a path that leads
            out, malformed landmarks or origin. The message names the row, from 1 after the header.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected {LAYOUT}")
    table = _read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    names = table.column_names
    where = str(path)
    path_field = find_field(PATH_FIELDS, names)
    if not path_field:
        raise DataError(f"{path}: no column 'path'; it has {', '.join(map(repr, names))}")
    own = {
        name: find_field((name,), names) for name in (LANDMARKS_FIELD, ORIGIN_FIELD, SPLIT_FIELD)
    }
    simple = [name for name in names if not pa.types.is_nested(table.schema.field(name).type)]
    chosen = choose_fields(
        simple,
        {path_field, *own.values()},
        identity=NONE if options.identity_from else options.identity,
        attributes=options.attributes,
        measured=lambda name: is_measurement(distinct_values(table.column(name))),
        where=where,
    )
    if not table.num_rows:
        raise DataError(f"{path}: no rows")

    def texts(name: str) -> Texts:
        return Texts.of(table.column(name), f"{where}, column {name!r}")

    root = absolute(options.root or path.parent)
    paths = _paths(table.column(path_field), root, f"{where}, column {path_field!r}")
    if chosen.identity:
        label = f"{where}, column {chosen.identity!r}"
        identities = texts(chosen.identity).stripped_names(label)
        require(identities, label)
    else:
        identities = _people(paths, options.identity_from, where)
    return TableSource(
        path,
        root,
        options.identity_from or chosen.identity,
        paths,
        identities,
        {name: texts(field).stripped() for field, name in chosen.attributes},
        _landmarks(table, own[LANDMARKS_FIELD], where),
        _origins(texts(own[ORIGIN_FIELD]).stripped(), where) if own[ORIGIN_FIELD] else None,
        texts(own[SPLIT_FIELD]).stripped() if own[SPLIT_FIELD] else None,
        chosen.remarks,
    )


def _people(paths: pa.Array, pattern: str, where: str) -> Texts:
    """The person of each path as a pattern finds it; nobody without a pattern."""
    find = person_finder(pattern) if pattern else lambda path, where: ""
    people = Texts()
    for row, path in enumerate(paths.to_pylist(), start=1):
        people.append(find(path, f"{where}, row {row:,}"))
    return people


def _read_parquet(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
        table.column_names  # noqa: B018 (decodes them, which may fail)
    except ARROW_ERRORS as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from None
    return table


def read_csv(path: Path) -> pa.Table:
    """All columns of a CSV or TSV file with a header, as text; missing cells are null.

    Raises:
        DataError: empty, not UTF-8, two columns of one name, or rows of several lengths.
    """
    delimiter = _DELIMITERS.get(path.suffix.lower(), ",")
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            first = handle.readline()
            if delimiter not in first:  # as programs of some languages write CSV
                delimiter = ";" if ";" in first else delimiter
            handle.seek(0)
            header = next(csv.reader(handle, delimiter=delimiter), [])
        if not header:
            raise DataError(f"{path}: empty; expected a header with the columns path and identity")
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise DataError(f"{path}: the header names {twice[0]!r} twice")
        return pacsv.read_csv(
            path,
            # One thread, so that errors name the row; values over several lines are allowed.
            pacsv.ReadOptions(use_threads=False),
            pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except UnicodeDecodeError:
        raise DataError(f"{path}: the header is not UTF-8. Save the table as UTF-8") from None
    except (csv.Error, *ARROW_ERRORS) as error:
        raise DataError(f"{path}: not a readable table in UTF-8 ({error})") from None


def _paths(column: pa.ChunkedArray, root: str, where: str) -> pa.Array:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"{where}: {column.type}, expected text")
    paths = pc.replace_substring(column.cast(pa.large_string()), "\\", "/").combine_chunks()
    if isinstance(paths, pa.ChunkedArray):  # of a table without chunks
        paths = pa.concat_arrays(paths.chunks)
    empty = pc.fill_null(pc.equal(paths, ""), True)
    odd = pc.or_(empty, pc.match_substring_regex(paths, r"^/|\.\.|\x00"))
    for row in np.flatnonzero(pc.fill_null(odd, True).to_numpy(zero_copy_only=False)).tolist():
        text = paths[row].as_py()
        if not text:
            raise DataError(f"{where}, row {row + 1:,}: empty")
        try:
            inside(root, text)
        except ValueError as error:
            raise DataError(f"{where}, row {row + 1:,}: {error}") from None
    return paths


def _landmarks(table: pa.Table, field: str, where: str) -> np.ndarray | None:
    if not field:
        return None
    values = (value.as_py() for value in table.column(field))
    return landmark_table(values, table.num_rows, f"{where}, column {field!r}")


def _origins(column: Texts, where: str) -> Texts:
    check_origins(column, f"{where}, column {ORIGIN_FIELD!r}")
    return column


def _recognises(path: Path) -> bool:
    kind = path.suffix.lower()
    if not path.is_file():
        return False
    return kind in _DELIMITERS or (kind == ".parquet" and not hf_parquet.holds_images(path))


FORMAT = Format(
    "table",
    LAYOUT,
    recognises=_recognises,
    open=open_table,
    heeds=frozenset({"identity", "identity_from", "attributes", "root"}),
    last=True,
)
