"""Numbers as text."""

from __future__ import annotations

import math

from evenface.study import wording
from evenface.study.wording import Interval

MISSING = "–"
TOO_WIDE = 0.5
"""Width of a rate's interval, a fraction, from which on the rate is declined."""


def number(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A number with a fixed number of digits; what is not finite, in words."""
    if value is None:
        return MISSING
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return wording.number(value, digits=digits, sign=sign)


def percent(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A fraction in percent, without the sign "%"."""
    return number(None if value is None else 100 * value, digits=digits, sign=sign)


def interval(estimate: Interval, *, scale: float = 100, digits: int = 2, sign: bool = False) -> str:
    """``[low, high]``, with words for a bound that is missing; "" without an interval."""
    low, high = estimate.low, estimate.high
    if low is None and high is None:
        return ""

    def bound(value: float | None, missing: str) -> str:
        return missing if value is None else number(scale * value, digits=digits, sign=sign)

    return f"[{bound(low, 'no lower bound')}, {bound(high, 'no upper bound')}]"


def says_nothing(rate: Interval) -> bool:
    """Whether a group is too small for a rate: the interval spans half of all possible values."""
    low, high = rate.low, rate.high
    return low is not None and high is not None and TOO_WIDE <= high - low < math.inf


def count(value: int | None) -> str:
    """A count with thousands separated."""
    return MISSING if value is None else f"{value:,}"


def cosine(value: float | None) -> str:
    """A threshold."""
    return number(value, digits=4)


def duration(seconds: float) -> str:
    """Seconds as "8.4 s", "3 min 05 s" or "2 h 07 min"."""
    if not math.isfinite(seconds):
        return number(seconds)
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def coverage(level: float) -> str:
    """Coverage of an interval: "95 %"."""
    return f"{100 * level:g} %"


def p_value(value: float | None) -> str:
    """A p-value to three digits after the point."""
    if value is not None and 0 <= value < 0.001:
        return "< 0.001"
    return number(value, digits=3)
