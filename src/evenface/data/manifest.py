"""The manifest: one table that says what every image is.

A row points at one image of one store and tells whose face it is, where it comes from, under which
licence, and any number of attributes (ethnicity, gender, age band, …), each value marked
``declared`` or ``predicted``; a predicted value may bear a confidence. Training sets, mixes and
splits are manifests; images are never copied. On disk it is a Parquet file whose store paths are
relative to its own folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenface.data.store import IMAGE_SHAPE, ImageStore
from evenface.data.text_columns import (
    Values,
    compact,
    encoded,
    from_places,
    is_in,
    is_text,
    join_columns,
    marks_where_set,
    places_of,
    plain_schema,
    take_rows,
    text_column,
)
from evenface.errors import DataError, UsageError
from evenface.files import atomic_path

MANIFEST_NAME = "manifest.parquet"
ORIGINS = ("real", "synthetic")
ATTRIBUTE_SOURCES = ("declared", "predicted")
UNKNOWN = "unknown"
"""Group of a row whose attribute has no value."""
ALL = "all"
"""The one group of a manifest without attributes."""
NOBODY = "?"
"""What the identity of an image without one begins with; no person's name does."""

_TEXT_COLUMNS = ("store", "identity", "origin", "dataset", "licence", "split", "notes")
_COLUMNS = ("store", "index", *_TEXT_COLUMNS[1:])
RESERVED_COLUMNS = frozenset(_COLUMNS)
"""Names that no attribute may have."""
ATTRIBUTE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_METADATA_KEY = b"evenface"
_VERSION = 1
_CONFIDENCE = "_confidence"
"""Ending of the optional column, float32, that says how sure each predicted value is."""
_GROUP_ROWS = 2**14  # what Parquet's writer keeps in memory at a time


class Manifest:
    """Rows describing images, plus the folder that their store paths are relative to.

    Immutable: every operation returns a new manifest. Make one with :meth:`read` or
    :meth:`from_columns`.

    >>> from evenface import Manifest
    >>> faces = Manifest.from_columns(
    ...     "faces", index=range(3), identity=["ann", "ann", "bob"], origin="synthetic",
    ...     dataset="toy", licence="CC0", attributes={"region": ["north", "north", None]},
    ... )
    >>> list(faces.groups()), len(faces.where(identity="ann"))
    (['north', 'north', 'unknown'], 2)
    """

    def __init__(self, table: pa.Table, folder: Path, attributes: tuple[str, ...]) -> None:
        self._table = table  # text is dictionary-encoded: a few bytes a row
        self.folder = folder
        self.attributes = attributes

    # --- reading and writing -------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | Path, *, split: str | None = None) -> Self:
        """Read and check a manifest.

        Args:
            path: a Parquet file, or a dataset folder (its ``manifest.parquet`` is read).
            split: rows of this split only; None or "" for all.

        Raises:
            UsageError: no rows of the split.
            DataError: no such file, not Parquet, columns missing or of a wrong type, no rows,
                values that are not allowed, a store that is missing or too short.
        """
        path = Path(path)
        if path.is_dir():
            path = path / MANIFEST_NAME
        if not path.is_file():
            raise DataError(
                f"{path}: no such manifest. Make one with 'evenface data import', 'render' or 'mix'"
            )
        if path.suffix.lower() == ".bin":
            raise DataError(
                f"{path}: not a manifest. If it is a verification set, evaluate on it with "
                f"'evenface evaluate MODEL --protocol {path} --out FOLDER'"
            )
        try:
            schema = pq.read_schema(path)
            text = [field.name for field in schema if is_text(field.type)]
            table = pq.read_table(path, read_dictionary=text)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a readable Parquet file ({error})") from None
        attributes = _read_attributes(table.schema, path)
        table = _conform(table, attributes, where=str(path))
        manifest = cls(table, path.parent.resolve(), attributes)
        manifest._check_stores(str(path))
        if not split:
            return manifest
        chosen = manifest.where(split=split)
        if not len(chosen):
            found = ", ".join(repr(name) for name in sorted(set(manifest.column("split"))))
            raise UsageError(f"{path}: no rows of split {split!r}; it has {found}")
        return chosen

    @classmethod
    def from_columns(
        cls,
        folder: str | Path,
        *,
        index: Sequence[int] | np.ndarray,
        identity: Values,
        origin: Values,
        dataset: Values,
        licence: Values,
        store: Values = ".",
        split: Values = "",
        notes: Values = "",
        attributes: Mapping[str, Values] | None = None,
        attribute_sources: Mapping[str, Values] | None = None,
    ) -> Self:
        """Build a manifest from columns.

        Args:
            folder: what ``store`` paths are relative to.
            index: (N,) position of each image in its store.
            identity, origin, dataset, licence, store, split, notes: one text for all rows or N.
            attributes: attribute name → values; None where unknown.
            attribute_sources: attribute name → "declared" (the default) or "predicted".

        Raises:
            ValueError: lengths that differ, or values that are not allowed.
        """
        attributes = dict(attributes or {})
        sources = dict(attribute_sources or {})
        if unknown := sorted(set(sources) - set(attributes)):
            raise ValueError(f"sources of attributes that are not given: {', '.join(unknown)}")
        rows = len(index)
        columns: dict[str, pa.Array] = {
            "store": text_column(store, rows),
            "index": pa.array(np.asarray(index), type=pa.int64()),
            "identity": text_column(identity, rows),
            "origin": text_column(origin, rows),
            "dataset": text_column(dataset, rows),
            "licence": text_column(licence, rows),
            "split": text_column(split, rows),
            "notes": text_column(notes, rows),
        }
        for name, values in attributes.items():
            column = text_column(values, rows)
            columns[name] = column
            columns[f"{name}_source"] = marks_where_set(column, sources.get(name, "declared"))
        names = tuple(attributes)
        try:
            table = _conform(pa.table(columns), names, where="columns", allow_empty=True)
        except DataError as error:
            raise ValueError(str(error)) from None
        return cls(table, Path(folder).resolve(), names)

    def write(self, path: str | Path) -> None:
        """Write atomically; store paths are made relative to the file's own folder.

        Raises:
            DataError: there are no rows.
        """
        path = Path(path)
        if not len(self):
            raise DataError(f"{path}: a manifest without rows is not written")
        folder = path.parent
        folder.mkdir(parents=True, exist_ok=True)
        table = self._rebased(folder.resolve())
        header = json.dumps({"version": _VERSION, "attributes": list(self.attributes)})
        schema = plain_schema(table.schema).with_metadata({_METADATA_KEY: header.encode()})
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for start in range(0, len(self), _GROUP_ROWS):
                writer.write_table(table.slice(start, _GROUP_ROWS).cast(schema), _GROUP_ROWS)

    # --- columns -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def table(self) -> pa.Table:
        """A copy as it stands in the file, with plain text."""
        return self._table.cast(plain_schema(self._table.schema))

    def column(self, name: str) -> np.ndarray:
        """One column, (N,): int64 for ``index``, else objects (str, or None where unknown).

        Raises:
            UsageError: no such column; the message lists the columns.
        """
        column = self._column(name)
        if not pa.types.is_dictionary(column.type):
            return np.asarray(column.to_numpy())
        categories, codes = self.codes(name)
        return np.array([*categories, None], dtype=object)[codes]

    def confidence(self, attribute: str) -> np.ndarray:
        """float32 (N,) in [0, 1]: how sure each predicted value is.

        A declared value counts as certain (1). NaN where there is no value, or where a prediction
        says nothing about its confidence.

        Raises:
            UsageError: an unknown attribute.
        """
        self._check_attribute(attribute)
        declared = is_in(self._table.column(f"{attribute}_source"), {"declared"})
        result = np.full(len(self), np.nan, dtype=np.float32)
        name = f"{attribute}_confidence"
        if name in self._table.column_names:
            result[:] = self._table.column(name).to_numpy()
        result[declared] = 1
        return result

    def codes(self, name: str) -> tuple[list[str], np.ndarray]:
        """Distinct values of a text column by first appearance, and each row's place among them.

        The places are int64 (N,), −1 where there is no value. Much faster than :meth:`column`
        where there are many rows.

        Raises:
            UsageError: no such column; the message lists the columns.
        """
        values, codes = places_of(self._column(name))
        used = pc.unique(pa.array(codes)).to_numpy()  # by first appearance
        used = used[used >= 0]
        place = np.full(len(values) + 1, -1, dtype=np.int64)
        place[used] = np.arange(len(used))
        return values.take(pa.array(used)).to_pylist(), place[codes]

    def identities(self) -> list[str]:
        """The identities, sorted by code point."""
        return sorted(self.codes("identity")[0])

    def named(self) -> np.ndarray:
        """bool (N,): whose images have an identity; the others count for one person each."""
        categories, codes = self.codes("identity")
        return np.array([not name.startswith(NOBODY) for name in categories], dtype=bool)[codes]

    def labels(self) -> np.ndarray:
        """int64 (N,): each row's index into :meth:`identities`."""
        categories, codes = self.codes("identity")
        rank = np.empty(len(categories), dtype=np.int64)
        rank[np.argsort(np.array(categories, dtype=object), kind="stable")] = np.arange(
            len(categories)
        )
        return rank[codes]

    def groups(self, group_by: str | Sequence[str] | None = None) -> np.ndarray:
        """Each row's group, (N,) objects (str).

        Args:
            group_by: an attribute, or several to be crossed (values joined by " × "). None: the
                first attribute, or the single group "all" where there is none.

        A row without a value is of group "unknown".

        Raises:
            UsageError: an unknown attribute; the message lists the known ones.
        """
        names, codes = self.group_codes(group_by)
        return np.array(names, dtype=object)[codes]

    def group_codes(
        self, group_by: str | Sequence[str] | None = None, *, partial: bool = True
    ) -> tuple[list[str], np.ndarray]:
        """The groups that occur, sorted by name, and each row's place among them, int64 (N,).

        Args:
            group_by: see :meth:`groups`.
            partial: whether a crossing with a missing value is a group of its own ("north ×
                unknown"); otherwise such a row is of group "unknown".

        Raises:
            UsageError: an unknown attribute; the message lists the known ones.
        """
        if group_by is None:
            group_by = self.attributes[:1]
        names = (group_by,) if isinstance(group_by, str) else tuple(group_by)
        for name in names:
            self._check_attribute(name)
        joined, codes = [ALL], np.zeros(len(self), dtype=np.int64)
        for place, name in enumerate(names):
            values, more = self._attribute_codes(name)
            pairs, codes = compact(codes * len(values) + more, len(joined) * len(values))
            left, right = np.divmod(pairs, len(values))
            joined = [
                f"{joined[a]} × {values[b]}" if place else values[b]
                for a, b in zip(left, right, strict=True)
            ]
        if not partial and len(names) > 1:
            missing = np.any([self.codes(name)[1] < 0 for name in names], axis=0)
            joined, codes = [*joined, UNKNOWN], np.where(missing, len(joined), codes)
        # Two crossings may be written alike: sort and unite by name.
        known, place_of = np.unique(np.array(joined, dtype=object), return_inverse=True)
        used, codes = compact(place_of[codes], len(known))
        return [str(known[place]) for place in used], codes

    # --- subsets -------------------------------------------------------------------------------

    def select(self, rows: np.ndarray | Sequence[int] | Sequence[bool]) -> Self:
        """The rows of a boolean mask (N,), or of indices in the order given.

        Raises:
            ValueError: a mask of another length.
            IndexError: an index beyond the end.
        """
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise ValueError(f"mask has shape {rows.shape}, expected ({len(self)},)")
            rows = np.flatnonzero(rows)
        rows = np.arange(len(self))[rows.astype(np.int64)]
        names = self._table.column_names
        return self._with_table(
            pa.table({name: take_rows(self._table.column(name), rows) for name in names})
        )

    def where(self, **equal: str | int | Iterable[str]) -> Self:
        """Rows whose columns equal the given values (or one of several), e.g. split="train".

        Raises:
            UsageError: no such column.
        """
        mask = np.ones(len(self), dtype=bool)
        for name, wanted in equal.items():
            column = self._column(name)
            options = {wanted} if isinstance(wanted, str | int) else set(wanted)
            if pa.types.is_dictionary(column.type):
                mask &= is_in(column, options)
            else:
                mask &= np.isin(column.to_numpy(), list(options))
        return self.select(mask)

    @classmethod
    def concat(cls, manifests: Sequence[Manifest]) -> Self:
        """One after the other. Attributes are united; a row without one has no value there.

        Raises:
            ValueError: no manifest given.
        """
        if not manifests:
            raise ValueError("nothing to concatenate")
        folder = manifests[0].folder
        names = tuple(dict.fromkeys(name for m in manifests for name in m.attributes))
        confident = {c for m in manifests for c in m._table.column_names if c.endswith(_CONFIDENCE)}
        tables = [_with_attributes(m._rebased(folder), names, confident) for m in manifests]
        columns = {
            name: join_columns([table.column(name) for table in tables])
            for name in tables[0].column_names
        }
        return cls(pa.table(columns), folder, names)

    def with_column(self, name: str, values: Values) -> Self:
        """A copy with a text column (not ``store``; no attribute) replaced.

        Raises:
            ValueError: no such column, or values that are not allowed.
        """
        if name not in _TEXT_COLUMNS[1:]:
            raise ValueError(f"column {name!r} cannot be replaced")
        place = self._table.schema.get_field_index(name)
        table = self._table.set_column(place, name, text_column(values, len(self)))
        try:
            table = _conform(table, self.attributes, where="columns", allow_empty=True)
        except DataError as error:
            raise ValueError(str(error)) from None
        return self._with_table(table)

    def with_attribute(
        self,
        name: str,
        values: Values,
        *,
        source: Values = "declared",
        confidence: Sequence[float] | np.ndarray | None = None,
    ) -> Self:
        """A copy with an attribute added, or replaced.

        Args:
            name: of the attribute.
            values: one text for all rows or N; None where unknown.
            source: "declared" or "predicted", one for all rows or N.
            confidence: (N,) in [0, 1], taken where the value is predicted; NaN where unknown.

        Raises:
            ValueError: values that are not allowed.
        """
        column = text_column(values, len(self))
        marks = marks_where_set(column, source)
        columns = {c: self._table.column(c) for c in self._table.column_names}
        columns.pop(f"{name}{_CONFIDENCE}", None)
        columns |= {name: column, f"{name}_source": marks}
        if confidence is not None:
            given = np.asarray(confidence, dtype=np.float32)
            unsure = np.isnan(given) | ~is_in(marks, {"predicted"})
            columns[f"{name}{_CONFIDENCE}"] = pa.array(given, mask=unsure)
        names = tuple(dict.fromkeys((*self.attributes, name)))
        try:
            table = _conform(pa.table(columns), names, where="columns", allow_empty=True)
        except DataError as error:
            raise ValueError(str(error)) from None
        return type(self)(table, self.folder, names)

    # --- images --------------------------------------------------------------------------------

    @cached_property
    def stores(self) -> dict[str, ImageStore]:
        """Store path as written in the rows → opened store.

        Raises:
            DataError: a store is missing or damaged.
        """
        return {
            name: ImageStore.open(Path(os.path.normpath(self.folder / name)))
            for name in sorted(self.codes("store")[0])
        }

    def images(self, rows: np.ndarray | Sequence[int] | slice | None = None) -> np.ndarray:
        """Read images: uint8 (n, 112, 112, 3) RGB, in the order of ``rows`` (None: all rows)."""
        wanted = slice(None) if rows is None else rows
        names, codes = self._store_codes
        codes, index = codes[wanted], self._index[wanted]
        present = np.unique(codes)
        if len(present) == 1:
            return self.stores[names[present[0]]][index]
        images = np.empty((len(index), *IMAGE_SHAPE), dtype=np.uint8)
        for code in present:
            of_store = codes == code
            images[of_store] = self.stores[names[code]][index[of_store]]
        return images

    # --- fingerprints --------------------------------------------------------------------------

    @cached_property
    def image_fingerprint(self) -> str:
        """SHA-256 over the images the rows point at, in row order: what embeddings depend on."""
        digest = hashlib.sha256(b"images")
        names, codes = self.codes("store")
        prints = [self.stores[name].fingerprint for name in names]
        _hash_text(digest, prints, codes)
        digest.update(np.ascontiguousarray(self._index, dtype="<i8").data)
        return digest.hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over images, identities and attributes in row order; not over where they lie."""
        digest = hashlib.sha256(self.image_fingerprint.encode())
        for name in ("identity", *sorted(self.attributes)):
            digest.update(name.encode())
            _hash_text(digest, *self.codes(name))
        return digest.hexdigest()

    # --- helpers -------------------------------------------------------------------------------

    @property
    def _index(self) -> np.ndarray:
        return self.column("index")

    @cached_property
    def _store_codes(self) -> tuple[list[str], np.ndarray]:
        return self.codes("store")

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self._table.column_names:
            known = ", ".join(self._table.column_names)
            raise UsageError(f"no column {name!r} in this manifest; it has: {known}")
        return self._table.column(name)

    def _check_attribute(self, name: str) -> None:
        if name not in self.attributes:
            known = ", ".join(self.attributes) or "none"
            raise UsageError(f"no attribute {name!r} in this manifest; it has: {known}")

    def _attribute_codes(self, name: str) -> tuple[list[str], np.ndarray]:
        values, codes = self.codes(name)
        return [*values, UNKNOWN], np.where(codes < 0, len(values), codes)

    def _with_table(self, table: pa.Table) -> Self:
        return type(self)(table, self.folder, self.attributes)

    def _rebased(self, folder: Path) -> pa.Table:
        """The table with store paths relative to ``folder`` (resolved)."""
        if folder == self.folder:
            return self._table
        names, codes = self.codes("store")
        moved = [Path(os.path.relpath(self.folder / name, folder)).as_posix() for name in names]
        return self._table.set_column(0, "store", from_places(moved, codes))

    def _check_stores(self, where: str) -> None:
        names, codes = self.codes("store")
        for code, name in enumerate(names):
            size = len(self.stores[name])
            rows = np.flatnonzero(codes == code)
            index = self._index[rows]
            bad = (index < 0) | (index >= size)
            if bad.any():
                row = int(np.argmax(bad))
                raise DataError(
                    f"{where}: row {rows[row]:,} points at image {index[row]:,}, but the store "
                    f"{self.stores[name].path} has {size:,} images"
                )


def _hash_text(digest: Any, categories: list[str], codes: np.ndarray) -> None:
    digest.update(json.dumps(categories).encode())
    digest.update(np.ascontiguousarray(codes, dtype="<i8").data)


def _with_attributes(table: pa.Table, names: tuple[str, ...], confident: set[str]) -> pa.Table:
    columns = {name: table.column(name) for name in _COLUMNS}
    for name in names:
        known = name in table.column_names
        columns[name] = table.column(name) if known else text_column(None, table.num_rows)
        source = f"{name}_source"
        columns[source] = table.column(source) if known else text_column("", table.num_rows)
        sure = f"{name}{_CONFIDENCE}"
        if sure in table.column_names:
            columns[sure] = table.column(sure)
        elif sure in confident:
            columns[sure] = pa.nulls(table.num_rows, type=pa.float32())
    return pa.table(columns)


def _read_attributes(schema: pa.Schema, path: Path) -> tuple[str, ...]:
    raw = (schema.metadata or {}).get(_METADATA_KEY)
    if raw is None:
        raise DataError(f"{path}: a Parquet file, but no evenface manifest (no metadata)")
    try:
        header = json.loads(raw)
        version, names = header["version"], tuple(header["attributes"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged manifest metadata ({error})") from None
    if version != _VERSION:
        raise DataError(
            f"{path}: manifest version {version!r}; this program reads version {_VERSION}"
        )
    return names


def _conform(
    table: pa.Table, attributes: tuple[str, ...], *, where: str, allow_empty: bool = False
) -> pa.Table:
    """The table with exactly the manifest's columns in order and types, values checked."""
    taken = {*_COLUMNS, *(f"{a}{end}" for a in attributes for end in ("_source", _CONFIDENCE))}
    for name in attributes:
        if not ATTRIBUTE_NAME.fullmatch(name) or name in taken:
            raise DataError(
                f"{where}: {name!r} cannot name an attribute (lower-case letters, digits and _; "
                "no name of another column)"
            )
    wanted = [*_COLUMNS, *(c for name in attributes for c in (name, f"{name}_source"))]
    if missing := [name for name in wanted if name not in table.column_names]:
        raise DataError(f"{where}: columns are missing: {', '.join(missing)}")
    columns = {}
    confidences = {f"{name}_source": f"{name}{_CONFIDENCE}" for name in attributes}
    for name in wanted:
        column = table.column(name)
        kind = pa.int64() if name == "index" else pa.string()
        fits = pa.types.is_integer if name == "index" else is_text
        if not fits(column.type):
            found = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            raise DataError(f"{where}: column {name!r} is {found}, expected {kind}")
        columns[name] = column.cast(kind) if name == "index" else encoded(column)
        if column.null_count and name not in attributes:
            raise DataError(f"{where}: column {name!r} has {column.null_count:,} empty cells")
        if (sure := confidences.get(name, "")) in table.column_names:
            columns[sure] = _confidences(table, sure, marks=name, where=where)
    result = pa.table(columns)
    if not allow_empty and not result.num_rows:
        raise DataError(f"{where}: the manifest has no rows")
    _check_values(result, "origin", ORIGINS, where)
    for name in attributes:
        _check_values(result, f"{name}_source", (*ATTRIBUTE_SOURCES, ""), where)
        empty = is_in(result.column(f"{name}_source"), {""})
        if (empty == result.column(name).is_valid().to_numpy()).any():
            raise DataError(f"{where}: '{name}_source' must be set exactly where {name!r} is")
    return result


def _confidences(table: pa.Table, name: str, *, marks: str, where: str) -> pa.ChunkedArray:
    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise DataError(f"{where}: column {name!r} is {column.type}, expected float")
    column = column.cast(pa.float32())
    inside = pc.and_(pc.greater_equal(column, 0), pc.less_equal(column, 1))
    if pc.all(inside).as_py() is False:
        raise DataError(f"{where}: column {name!r} holds values outside 0 to 1")
    predicted = is_in(encoded(table.column(marks)), {"predicted"})
    if (column.is_valid().to_numpy() & ~predicted).any():
        raise DataError(f"{where}: column {name!r} is set where nothing is predicted")
    return column


def _check_values(table: pa.Table, name: str, allowed: tuple[str, ...], where: str) -> None:
    found = set(table.column(name).unique().to_pylist())
    if bad := sorted(found - set(allowed)):
        options = ", ".join(repr(value) for value in allowed)
        raise DataError(f"{where}: column {name!r} holds {bad[0]!r}; allowed: {options}")
