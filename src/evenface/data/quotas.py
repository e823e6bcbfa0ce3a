"""Whole numbers that add up: the largest-remainder method (Hamilton)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def exact(share: float) -> Fraction:
    """The decimal number a person wrote: 0.29 is 29/100, not the double nearest to it."""
    return Fraction(str(float(share)))


def apportion(total: int, shares: Sequence[Fraction]) -> list[int]:
    """Split ``total`` into whole numbers proportional to ``shares``.

    Every part is its exact quota rounded down, or that plus one; the largest remainders get the
    ones, ties in the order given.

    Raises:
        ValueError: negative total or shares, or shares that do not sum to 1.
    """
    if total < 0 or any(share < 0 for share in shares) or sum(shares) != 1:
        raise ValueError(f"cannot split {total} by shares {[float(s) for s in shares]}")
    quotas = [total * share for share in shares]
    parts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(shares)), key=lambda i: (parts[i] - quotas[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts
