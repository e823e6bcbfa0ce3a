"""Cells of a crossing: what is too small to be stated as a rate is said to be so."""

from __future__ import annotations

from typing import Literal

TooSmall = Literal["too small"]
TOO_SMALL: TooSmall = "too small"
MIN_CELL = 10
"""Identities below which a cell is too small, unless said otherwise."""


def rate(part: int, whole: int, *, size: int, at_least: int) -> float | TooSmall:
    """``part / whole``, or "too small" for a cell of fewer than ``at_least`` people.

    Args:
        part, whole: counts, 0 ≤ part ≤ whole. The rate of an empty cell (``whole`` 0) is 0 where
            ``at_least`` is 0, else too small.
        size: identities (not images: those of a person are no independent observations) in the
            cell.
        at_least: the stated size.

    Raises:
        ValueError: counts that do not fit each other.
    """
    if not 0 <= part <= whole:
        raise ValueError(f"{part} of {whole} is no rate")
    if size < at_least:
        return TOO_SMALL
    return part / whole if whole else 0.0


def shown(value: float | TooSmall, spec: str = ".1%") -> str:
    """For a table: the formatted rate, or "too small"."""
    return value if isinstance(value, str) else format(value, spec)
