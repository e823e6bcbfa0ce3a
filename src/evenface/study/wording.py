"""Numbers and lists in sentences, and what results call things."""

from __future__ import annotations

from collections.abc import Sequence

from evenface.evaluate import text
from evenface.evaluate.text import Interval

UNDEFINED = "undefined"
OVER_GROUPS = "mean"
"""What differences over all groups have in place of a group."""
FEW_SEEDS = 8
"""Training seeds below which verdicts are given with a caution; see ``docs/evaluation.md``."""


def number(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A number with its digits fixed, a true minus and, if asked, a plus; "undefined" for None."""
    return UNDEFINED if value is None else text.number(value, digits=digits, sign=sign)


def change(difference: Interval, unit: str) -> str:
    """A signed difference with its interval: "+1.20 points [+0.40, +2.00]".

    Args:
        difference: as a fraction where the unit is "points" or "share".
        unit: "points" (percentage points), "share" (in %) or "ratio".
    """
    words = {"points": " points", "share": " %", "ratio": ""}[unit]
    return text.format_estimate(
        difference,
        scale=1 if unit == "ratio" else 100,
        sign=unit != "share",
        unit=words,
        missing=UNDEFINED,
    )


def points(fraction: float) -> str:
    """A number of percentage points, as declared: "1 point", "2.5 points"."""
    said = f"{100 * fraction:g}"
    return f"{said} point{'' if said == '1' else 's'}"


def percent(estimate: Interval) -> str:
    """A share with its interval: "91.20 % [90.10, 92.00]"."""
    return text.format_estimate(estimate, unit=" %", missing=UNDEFINED)


def p(value: float | None) -> str:
    """A p-value: "p 0.012", "p < 0.001"."""
    if value is None:
        return "p undefined"
    return "p < 0.001" if value < 0.0005 else f"p {number(value, digits=3)}"


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)
