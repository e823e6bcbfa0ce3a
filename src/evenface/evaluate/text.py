"""Estimates as text: alike in the terminal, Markdown, LaTeX, HTML, model cards and sentences."""

from __future__ import annotations

import math
from typing import Protocol

MISSING = "–"
TOO_WIDE = 0.5
"""Width of a rate's interval, a fraction, from which on the rate is declined."""


class Interval(Protocol):
    """A value with bounds, each of which may be missing."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def number(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A number with its digits fixed, a true minus and, if asked, a plus; "–" for None.

    What is not finite is said in words.
    """
    if value is None:
        return MISSING
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    rounded = round(value, digits) + 0.0  # no negative zero
    text = f"{rounded:{'+' if sign and rounded else ''}.{digits}f}"
    return text.replace("-", "−")


def interval(estimate: Interval, *, scale: float = 100, digits: int = 2, sign: bool = False) -> str:
    """``[low, high]``, with words for a bound that is missing; "" without an interval."""
    low, high = estimate.low, estimate.high
    if low is None and high is None:
        return ""

    def bound(value: float | None, missing: str) -> str:
        return missing if value is None else number(scale * value, digits=digits, sign=sign)

    return f"[{bound(low, 'no lower bound')}, {bound(high, 'no upper bound')}]"


def parts(
    estimate: Interval,
    *,
    scale: float = 100,
    digits: int = 2,
    sign: bool = False,
    unit: str = "",
    missing: str = MISSING,
) -> tuple[str, str]:
    """The number and its interval.

    "≥ low" and "" where a lower bound is all there is; ``missing`` where there is no number.

    Args:
        estimate: what to show.
        scale: factor on what is shown, 100 for fractions in % or percentage points.
        digits: after the point.
        sign: whether numbers above 0 have a plus.
        unit: follows the number, " %" or " points".
        missing: in place of a number that is undefined.
    """
    value, low = estimate.value, estimate.low
    if value is None and estimate.high is None and low is not None:
        return f"≥ {number(scale * low, digits=digits, sign=sign)}{unit}", ""
    text = missing
    if value is not None:
        text = f"{number(scale * value, digits=digits, sign=sign)}{unit}"
    return text, interval(estimate, scale=scale, digits=digits, sign=sign)


def format_estimate(
    estimate: Interval,
    *,
    scale: float = 100,
    digits: int = 2,
    sign: bool = False,
    unit: str = "",
    missing: str = MISSING,
) -> str:
    """An estimate with its interval: "91.20 % [90.10, 92.00]"; arguments as for :func:`parts`."""
    text = parts(estimate, scale=scale, digits=digits, sign=sign, unit=unit, missing=missing)
    return " ".join(filter(None, text))


def says_nothing(rate: Interval) -> bool:
    """Whether a group is too small for a rate: the interval spans half of all possible values."""
    low, high = rate.low, rate.high
    return low is not None and high is not None and TOO_WIDE <= high - low < math.inf
