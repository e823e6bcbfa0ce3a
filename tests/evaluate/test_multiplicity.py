"""Holm's adjustment and the intersection–union test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenface.evaluate.multiplicity import holm, intersection_union

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_holm_worked_by_hand() -> None:
    # 0.005 · 4, 0.01 · 3, 0.03 · 2, and 0.04 · 1, which its predecessor lifts to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@given(P_VALUES, st.integers(0, 99))
def test_holm_follows_the_order_given(p_values: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(p_values))
    shuffled = holm([p_values[i] for i in order])
    assert shuffled == pytest.approx([holm(p_values)[i] for i in order])


@given(P_VALUES)
def test_holm_lies_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= min(1, raw * len(p_values)) + 1e-12
    assert min(holm(p_values)) == pytest.approx(min(1, len(p_values) * min(p_values)))


def test_holm_keeps_the_chance_of_any_false_rejection() -> None:
    p_values = np.random.default_rng(0).uniform(size=(4000, 5))
    rejected = [min(holm(row)) < 0.05 for row in p_values.tolist()]
    assert np.mean(rejected) == pytest.approx(1 - 0.99**5, abs=0.012)


def test_intersection_union_keeps_its_level_where_one_hypothesis_is_true() -> None:
    """Four certain effects and one that is not there: rejected as often as that one is."""
    assert intersection_union([0.01, 0.2, 0.03]) == 0.2
    null = np.random.default_rng(0).uniform(size=4000)
    rejected = [intersection_union([0.0, 0.0, 0.0, 0.0, p]) < 0.05 for p in null.tolist()]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.012)
