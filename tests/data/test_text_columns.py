"""Dictionary-encoded text against plain lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.data.text_columns import (
    compact,
    encoded,
    from_places,
    is_in,
    join_columns,
    marks_where_set,
    take_rows,
    text_column,
)

texts = st.lists(st.sampled_from(["a", "b", "", None]), max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_joined_and_taken(parts: list[list[str | None]], random) -> None:
    columns = [pa.chunked_array([text_column(part, len(part))]) for part in parts]
    plain = [text for part in parts for text in part]
    whole = join_columns(columns)
    assert whole.to_pylist() == plain
    rows = [random.randrange(len(plain)) for _ in range(5)] if plain else []
    taken = take_rows(pa.chunked_array([whole]), np.array(rows, dtype=np.int64))
    assert taken.to_pylist() == [plain[row] for row in rows]
    assert is_in(whole, {"a", ""}).tolist() == [text in ("a", "") for text in plain]
    marks = marks_where_set(whole, "x")
    assert marks.to_pylist() == ["" if text is None else "x" for text in plain]
    chunks = pa.chunked_array([pa.array(part, type=pa.large_string()) for part in parts])
    assert encoded(chunks).to_pylist() == plain


def test_from_places_unites_equal_texts() -> None:
    column = from_places(["a", "b", "a"], np.array([2, -1, 0, 1]))
    assert column.to_pylist() == ["a", None, "a", "b"]
    assert column.dictionary.to_pylist() == ["a", "b"]


@given(st.lists(st.integers(0, 20), max_size=30))
def test_compact_is_unique(codes: list[int]) -> None:
    array = np.array(codes, dtype=np.int64)
    values, inverse = compact(array, 21)
    expected = np.unique(array, return_inverse=True)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(inverse, expected[1])
