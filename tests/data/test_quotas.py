"""Largest remainders."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenface.data.quotas import apportion, exact


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [
        (100, ["0.7", "0.3"], [70, 30]),
        (5, ["0.5", "0.5"], [3, 2]),
        (50, ["0.29", "0.71"], [15, 35]),  # 14.5 and 35.5: the first gets the one
        (10, ["1/3", "1/3", "1/3"], [4, 3, 3]),
        # Worked example with remainders .12, .12, .76
        (8, ["0.39", "0.39", "0.22"], [3, 3, 2]),
        (0, ["1"], [0]),
        (7, ["1", "0"], [7, 0]),
    ],
)
def test_worked_examples(total: int, shares: list[str], expected: list[int]) -> None:
    assert apportion(total, [Fraction(share) for share in shares]) == expected


@given(st.integers(0, 10**6), st.lists(st.integers(0, 1000), min_size=1).filter(any))
def test_parts_add_up_and_stay_near_their_quota(total: int, weights: list[int]) -> None:
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    parts = apportion(total, shares)
    assert sum(parts) == total
    assert all(abs(part - total * share) < 1 for part, share in zip(parts, shares, strict=True))


def test_exact_is_the_decimal_that_was_written() -> None:
    assert exact(0.29) == Fraction(29, 100)
    assert exact(1) == 1
    assert exact(0.7) + exact(0.3) == 1


@pytest.mark.parametrize(("total", "shares"), [(-1, [Fraction(1)]), (1, [Fraction(1, 2)]), (1, [])])
def test_impossible(total: int, shares: list[Fraction]) -> None:
    with pytest.raises(ValueError, match="cannot split"):
        apportion(total, shares)
