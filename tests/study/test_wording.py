"""Numbers and lists in sentences."""

from __future__ import annotations

import pytest

from evenface.evaluate import Estimate
from evenface.study.wording import change, listed, number, p, percent, points


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (1.234, False, "1.23"),
        (-1.2, False, "−1.20"),
        (1.2, True, "+1.20"),
        (-0.001, True, "0.00"),
        (None, True, "undefined"),
    ],
)
def test_numbers(value: float | None, sign: bool, text: str) -> None:
    assert number(value, sign=sign) == text


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("points", "+12.00 points [−1.00, no upper bound]"),
        ("share", "12.00 % [−1.00, no upper bound]"),
        ("ratio", "+0.12 [−0.01, no upper bound]"),
    ],
)
def test_changes(unit: str, text: str) -> None:
    assert change(Estimate(value=0.12, low=-0.01, high=None), unit) == text


def test_what_is_missing_is_said() -> None:
    assert percent(Estimate(low=0.1)) == "≥ 10.00 %"
    assert percent(Estimate()) == "undefined"
    assert percent(Estimate(value=0.5, low=None, high=None)) == "50.00 %"
    assert p(None) == "p undefined"
    assert p(0.0123) == "p 0.012"
    assert p(0.0004) == "p < 0.001"
    assert [points(of) for of in (0.01, 0.07, 0.025)] == ["1 point", "7 points", "2.5 points"]


def test_lists() -> None:
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
