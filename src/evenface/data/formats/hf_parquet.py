"""Parquet with the images in it, as the Hugging Face hub keeps image data sets.

A column of structs ``{bytes, path}`` (or of plain bytes) and one that names the person; one file,
or a folder of shards ``<split>-00000-of-00002.parquet``, also in its subfolder ``data``. Class
numbers become names where the file's metadata names the classes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.columns import (
    ARROW_ERRORS,
    LANDMARKS_FIELD,
    ORIGIN_FIELD,
    SPLIT_FIELD,
    Fields,
    Texts,
    absolute,
    check_origins,
    choose_fields,
    distinct_values,
    find_field,
    inside,
    is_measurement,
    landmark_table,
    require,
    row_landmarks,
)
from evenface.data.formats.folder import check_size, printable, read_image_file
from evenface.errors import DataError
from evenface.parallel import usable_cores

LAYOUT = "a .parquet file, or a folder of them, with a column of images and one of labels"
_PLAIN_NAMES = ("image", "img", "bytes", "image_bytes", "jpg", "jpeg", "png")
_SHARD_OF_SPLIT = re.compile(r"(train|validation|valid|val|test)\b.*\.parquet", re.IGNORECASE)
_SPLITS = {"valid": "validation", "val": "validation"}
_BATCH_ROWS = 64
_TAIL_BYTES = 64 * 1024


class ParquetSource:
    """The images in Parquet shards, in the order of file names and rows. Made by
    :func:`open_parquet`."""

    def __init__(
        self, path: Path, root: str, shards: list[_Shard], image: str, fields: Fields
    ) -> None:
        self.attributes = tuple(name for _, name in fields.attributes)
        self.remarks = fields.remarks
        self._path = path
        self._identity = fields.identity
        self._root = root
        self._shards = shards
        self._ends: list[int] = np.cumsum([shard.rows for shard in shards]).tolist()
        self._images = _Images([shard.path for shard in shards], self._ends, image)

    @property
    def description(self) -> dict[str, Any]:
        listing = hashlib.sha256()
        for shard in self._shards:
            listing.update(shard.digest())
        return {
            "format": "parquet",
            "path": printable(str(self._path.resolve())),
            "identity": self._identity,
            "attributes": list(self.attributes),
            "shards": len(self._shards),
            "images": len(self),
            "listing": listing.hexdigest(),
        }

    def __len__(self) -> int:
        return int(self._ends[-1])

    def record(self, number: int) -> Record:
        place = bisect_right(self._ends, number)
        return self._shards[place].record(number - (self._ends[place - 1] if place else 0))

    def read(self, number: int) -> bytes:
        data, path = self._images[number]
        if data is None and path:
            try:
                return read_image_file(inside(self._root, path))
            except ValueError as error:
                raise OSError(str(error)) from None
        if data is None:
            raise OSError("the row holds no image")
        check_size(len(data))
        return data


class _Shard:
    """What one Parquet file says of its images."""

    def __init__(self, path: Path, fields: Fields, own: dict[str, str], split: str) -> None:
        self.path = path
        file = _open(path)
        self.rows = file.metadata.num_rows
        self._split = split
        where = str(path)
        wanted = [fields.identity, *(field for field, _ in fields.attributes), *own.values()]
        try:
            table = file.read(columns=[name for name in wanted if name])
        except ARROW_ERRORS as error:
            raise DataError(f"{path}: damaged Parquet file ({error})") from None
        if table.num_rows != self.rows:
            raise DataError(
                f"{path}: damaged; {self.rows:,} rows promised, {table.num_rows:,} found"
            )

        def texts(field: str) -> Texts | None:
            if not field:
                return None
            return Texts.of(table.column(field), f"{where}, column {field!r}")

        def values(field: str) -> Texts | None:
            found = texts(field)
            return found and found.stripped()

        names = _class_names(file.schema_arrow, fields.identity)
        identities = texts(fields.identity) or Texts()
        label = f"{where}, column {fields.identity!r}"
        self._identities = identities.renamed(names, label) if names else identities
        if fields.identity:
            require(self._identities, label)
        self._values = [values(field) or Texts() for field, _ in fields.attributes]
        self._origins, self._splits = values(own[ORIGIN_FIELD]), values(own[SPLIT_FIELD])
        if self._origins:
            check_origins(self._origins, f"{where}, column {own[ORIGIN_FIELD]!r}")
        self._landmarks = None
        if field := own[LANDMARKS_FIELD]:
            rows = (value.as_py() for value in table.column(field))
            self._landmarks = landmark_table(rows, self.rows, f"{where}, column {field!r}")

    def record(self, row: int) -> Record:
        return Record(
            f"{printable(self.path.name)} (row {row + 1})",
            self._identities[row] or "" if len(self._identities) else "",
            tuple(column[row] for column in self._values),
            landmarks=row_landmarks(self._landmarks, row),
            origin=(self._origins and self._origins[row]) or "",
            split=(self._splits and self._splits[row]) or self._split,
        )

    def digest(self) -> bytes:
        """Of name, size, labels, and the end of the file, which says where every page lies."""
        size = os.path.getsize(self.path)
        digest = hashlib.sha256(f"{self.path.name}\0{size}\0".encode(errors="surrogateescape"))
        digest.update(self._identities.digest())
        with open(self.path, "rb") as handle:
            handle.seek(max(0, size - _TAIL_BYTES))
            digest.update(handle.read())
        return digest.digest()


class _Images:
    """The column of images of all shards, read in batches by number.

    The last few batches are kept, so that threads that read in turn find theirs. A number before or
    far behind them starts its row group again. Memory does not depend on the size of row groups.
    """

    def __init__(self, paths: list[Path], ends: list[int], column: str) -> None:
        self._paths = paths
        self._ends = ends
        self._column = column
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, pa.Array] = OrderedDict()
        """First number → images."""
        self._most = 4 + usable_cores()
        self._batches: Iterator[tuple[int, pa.Array]] = iter(())
        self._next = -1
        """The number that the next batch begins with; −1 where nothing is being read."""

    def __getitem__(self, number: int) -> tuple[bytes | None, str | None]:
        """Content and path of an image. Raises OSError where the file is damaged."""
        with self._lock:
            first, batch = self._batch(number)
        try:
            value = batch[number - first].as_py()
        except UnicodeDecodeError as error:
            raise OSError(f"damaged Parquet file ({error})") from None
        if isinstance(value, dict):
            return value.get("bytes"), value.get("path")
        return value, None

    def _batch(self, number: int) -> tuple[int, pa.Array]:
        for first, batch in self._kept.items():
            if first <= number < first + len(batch):
                return first, batch
        if 0 <= self._next <= number < self._next + self._most * _BATCH_ROWS:
            with suppress(*ARROW_ERRORS):  # damage on the way: begin where it counts
                return self._advance(number)
        self._batches = self._from_group_of(number)
        try:
            return self._advance(number)
        except ARROW_ERRORS as error:
            raise OSError(f"damaged Parquet file ({error})") from None

    def _advance(self, number: int) -> tuple[int, pa.Array]:
        self._next = -1
        for first, batch in self._batches:
            self._kept[first] = batch
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
            if number < first + len(batch):
                self._next = first + len(batch)
                return first, batch
        raise OSError("it has fewer rows than it says")

    def _from_group_of(self, number: int) -> Iterator[tuple[int, pa.Array]]:
        """(first number, images) of the batches from the row group of ``number`` to the end."""
        shard = bisect_right(self._ends, number)
        start = self._ends[shard - 1] if shard else 0
        row = number - start
        for path in self._paths[shard:]:
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
                about = file.metadata
                sizes = [about.row_group(g).num_rows for g in range(about.num_row_groups)]
                starts = np.concatenate([[0], np.cumsum(sizes)])
                group = int(np.searchsorted(starts, row, side="right")) - 1
                first = start + int(starts[group])
                for each in range(group, len(sizes)):  # damage in one must not reach its neighbours
                    for batch in file.iter_batches(_BATCH_ROWS, [each], columns=[self._column]):
                        yield first, batch.column(0)
                        first += batch.num_rows
            start += about.num_rows
            row = 0


def open_parquet(path: Path, options: ReadOptions) -> ParquetSource:
    """List Parquet shards; the labels are read, the images not yet.

    Raises:
        DataError: nothing there, unreadable, no column of images or labels, shards with different
            columns, an empty label. The message names file and row, from 1.
    """
    files = shard_files(path)
    if not files:
        raise DataError(f"{path}: no Parquet file here; expected {LAYOUT}")
    schema = _open(files[0]).schema_arrow
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise DataError(f"{files[0]}: several columns are called {', '.join(twice)}; rename them")
    image = image_column(schema)
    if not image:
        raise DataError(f"{files[0]}: no column of images; it has {', '.join(schema.names)}")
    own = {
        name: find_field((name,), schema.names)
        for name in (LANDMARKS_FIELD, ORIGIN_FIELD, SPLIT_FIELD)
    }
    fields = choose_fields(
        [name for name in schema.names if _is_label(schema.field(name).type)],
        {image, *own.values()},
        identity=options.identity,
        attributes=options.attributes,
        measured=lambda name: is_measurement(_values(files, name)),
        where=str(files[0]),
    )
    shards = []
    for file in files:
        other = _open(file).schema_arrow
        if (other.names, other.types) != (schema.names, schema.types):
            raise DataError(f"{file}: its columns differ from those of {files[0].name}")
        shards.append(_Shard(file, fields, own, _split_of(file)))
    if not sum(shard.rows for shard in shards):
        raise DataError(f"{path}: no rows")
    return ParquetSource(path, absolute(options.root or files[0].parent), shards, image, fields)


def shard_files(path: Path) -> list[Path]:
    """The Parquet files at ``path``: itself, or those in the folder or its subfolder ``data``."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    for folder in (path, path / "data"):
        if folder.is_dir() and (found := sorted(folder.glob("[!.]*.parquet"))):
            return found
    return []


def image_column(schema: pa.Schema) -> str:
    """The column that holds images; "" where there is none.

    A struct with a field ``bytes``, one called ``image`` before others; else bytes under one of the
    usual names.
    """
    structs = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    plain = [field.name for field in schema if _is_binary(field.type)]
    return (
        find_field(_PLAIN_NAMES, structs)
        or (structs[0] if structs else "")
        or find_field(_PLAIN_NAMES, plain)
    )


def holds_images(path: Path) -> bool:
    """Whether the first Parquet file at ``path`` can be read and has a column of images."""
    try:
        files = shard_files(path)
        return bool(files) and bool(image_column(pq.read_schema(files[0])))
    except ARROW_ERRORS:
        return False


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except ARROW_ERRORS as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from None


def _values(files: list[Path], name: str) -> Iterator[Any]:
    """The values of a column in all shards; those of damaged ones, or without it, are missing."""
    for file in files:
        with suppress(*ARROW_ERRORS, KeyError):
            yield from distinct_values(_open(file).read(columns=[name]).column(name))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_label(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or _is_binary(kind))


def _class_names(schema: pa.Schema, column: str) -> list[str]:
    """The names of the classes, from the metadata that the library ``datasets`` writes."""
    try:
        header = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = header["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def _split_of(path: Path) -> str:
    match = _SHARD_OF_SPLIT.fullmatch(path.name)
    name = match[1].lower() if match else ""
    return _SPLITS.get(name, name)


FORMAT = Format(
    "parquet",
    LAYOUT,
    recognises=holds_images,
    open=open_parquet,
    heeds=frozenset({"identity", "attributes", "root"}),
)
