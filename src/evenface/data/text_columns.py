"""Columns of text with few distinct values: Arrow dictionaries, a few bytes a row.

A manifest of millions of rows repeats the same short texts. Here a column of text is always one
``DictionaryArray`` of int32 places into distinct strings; a missing value has no place (−1 in
NumPy).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Values: TypeAlias = "str | Sequence[str | None] | np.ndarray | pa.Array | None"
"""A column of text: one value for all rows, or one per row."""


def text_column(values: Values, rows: int) -> pa.DictionaryArray:
    """A column of so many rows; ValueError for another number of values."""
    if values is None or isinstance(values, str):
        one, code = ([], -1) if values is None else ([values], 0)
        return from_places(one, np.full(rows, code))
    if len(values) != rows:
        raise ValueError(f"a column has {len(values)} values for {rows} rows")
    if isinstance(values, pa.Array):
        return encoded(pa.chunked_array([values]))
    return pa.array(values, type=pa.string(), from_pandas=False).dictionary_encode()


def marks_where_set(column: pa.DictionaryArray, source: Values) -> pa.DictionaryArray:
    """``source`` where the column has a value, else ""."""
    values, codes = places_of(text_column(source, len(column)))
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return from_places([*values.to_pylist(), ""], np.where(valid, codes, len(values)))


def from_places(values: Sequence[str], codes: np.ndarray) -> pa.DictionaryArray:
    """A column of text from (N,) places among ``values`` (which may repeat); −1 where none."""
    distinct = {value: place for place, value in enumerate(dict.fromkeys(values))}
    place = np.array([*(distinct[value] for value in values), -1], dtype=np.int32)[codes]
    return _dictionary_array(pa.array(list(distinct), type=pa.string()), place)


def _dictionary_array(values: pa.Array, places: np.ndarray) -> pa.DictionaryArray:
    missing = places < 0
    indices = pa.array(places, mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, values)


def take_rows(column: pa.ChunkedArray, rows: np.ndarray) -> pa.Array:
    """Rows of a column. NumPy gathers several times as fast as Arrow's ``take``."""
    if not pa.types.is_dictionary(column.type):
        return column.combine_chunks().take(pa.array(rows))
    values, places = places_of(column)
    return _dictionary_array(values, places[rows])


def join_columns(columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Columns of one type, one after the other."""
    if not pa.types.is_dictionary(columns[0].type):
        chunks = [chunk for column in columns for chunk in column.chunks]
        return pa.chunked_array(chunks, type=columns[0].type).combine_chunks()
    parts = [places_of(column) for column in columns]
    starts = np.cumsum([0, *(len(values) for values, _ in parts)])
    places = [
        np.where(places < 0, -1, places + start)
        for (_, places), start in zip(parts, starts, strict=False)
    ]
    return from_places(
        [value for values, _ in parts for value in values.to_pylist()], np.concatenate(places)
    )


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Any column of text as one dictionary-encoded array of the type all manifests use."""
    if column.type == pa.dictionary(pa.int32(), pa.string()) and column.num_chunks:
        return column.unify_dictionaries().combine_chunks()
    return column.cast(pa.string()).combine_chunks().dictionary_encode()


def places_of(column: pa.ChunkedArray | pa.DictionaryArray) -> tuple[pa.Array, np.ndarray]:
    """The dictionary, which may hold more than what occurs, and int32 (N,) places; −1: none."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    indices = array.indices.fill_null(-1) if array.null_count else array.indices
    return array.dictionary, indices.to_numpy()


def is_in(column: pa.ChunkedArray | pa.DictionaryArray, options: Collection[Any]) -> np.ndarray:
    """bool (N,): which values of a text column are among ``options``."""
    values, codes = places_of(column)
    return np.array([*(value in options for value in values.to_pylist()), False])[codes]


def compact(codes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """``np.unique`` with the inverse, for whole numbers below a small ``size``."""
    seen = np.zeros(size, dtype=bool)
    seen[codes] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[codes]


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with plain text in place of dictionaries."""
    fields = [
        pa.field(field.name, pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pa.schema(fields)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
