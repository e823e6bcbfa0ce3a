"""Numbers as text."""

from __future__ import annotations

import math

from evenface.evaluate.text import MISSING as MISSING
from evenface.evaluate.text import format_estimate as format_estimate
from evenface.evaluate.text import interval as interval
from evenface.evaluate.text import number as number
from evenface.evaluate.text import parts as parts
from evenface.evaluate.text import says_nothing as says_nothing


def percent(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A fraction in percent, without the sign "%"."""
    return number(None if value is None else 100 * value, digits=digits, sign=sign)


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
