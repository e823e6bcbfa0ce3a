"""Numbers and lists in sentences, and what results call things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

OVER_GROUPS = "mean"
"""What differences over all groups have in place of a group."""
FEW_SEEDS = 8
"""Training seeds below which verdicts are given with a caution; see ``docs/evaluation.md``."""


class Interval(Protocol):
    """A value with bounds, each of which may be missing."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def number(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A number with its digits fixed, a true minus and, if asked, a plus."""
    if value is None:
        return "undefined"
    rounded = round(value, digits) + 0.0  # no negative zero
    text = f"{rounded:{'+' if sign and rounded else ''}.{digits}f}"
    return text.replace("-", "−")


def change(difference: Interval, unit: str) -> str:
    """A signed difference with its interval: "+1.20 points [+0.40, +2.00]".

    Args:
        difference: as a fraction where the unit is "points" or "share".
        unit: "points" (percentage points), "share" (in %) or "ratio".
    """
    words = {"points": " points", "share": " %", "ratio": ""}[unit]
    return _with_interval(difference, words, 1 if unit == "ratio" else 100, sign=unit != "share")


def points(fraction: float) -> str:
    """A number of percentage points, as declared: "1 point", "2.5 points"."""
    text = f"{100 * fraction:g}"
    return f"{text} point{'' if text == '1' else 's'}"


def percent(estimate: Interval) -> str:
    """A share with its interval: "91.20 % [90.10, 92.00]"."""
    return _with_interval(estimate, " %", 100, sign=False)


def p(value: float | None) -> str:
    """A p-value: "p 0.012", "p < 0.001"."""
    if value is None:
        return "p undefined"
    return "p < 0.001" if value < 0.0005 else f"p {number(value, digits=3)}"


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def _with_interval(estimate: Interval, words: str, scale: float, *, sign: bool) -> str:
    if estimate.value is None:
        return "undefined"
    text = number(scale * estimate.value, sign=sign) + words
    if estimate.low is None and estimate.high is None:
        return text
    low, high = (
        "unbounded" if bound is None else number(scale * bound, sign=sign)
        for bound in (estimate.low, estimate.high)
    )
    return f"{text} [{low}, {high}]"
