"""Directions of teacher embeddings, of any finite length."""

from __future__ import annotations

import numpy as np
import pytest

from evenface.data.embedded import unit_length
from evenface.errors import DataError


def test_rows_have_length_one_whatever_their_size():
    values = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    expected = values / np.linalg.norm(values.astype(np.float64), axis=1, keepdims=True)
    scales = np.array([1, 1e30, 1e-10, 1], dtype=np.float32)[:, None]
    assert unit_length(values * scales) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_rows_without_a_direction_are_refused(bad):
    values = np.ones((3, 2), dtype=np.float32)
    values[1] = bad
    with pytest.raises(DataError, match="length zero or is not finite"):
        unit_length(values)
