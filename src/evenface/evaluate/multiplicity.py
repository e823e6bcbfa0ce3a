"""Several tests at once: when each must hold, and when one may be picked among many."""

from __future__ import annotations

from collections.abc import Sequence


def intersection_union(p_values: Sequence[float]) -> float:
    """p of "every one of these holds": the largest of their p, without correction.

    Rejecting only when all tests reject keeps the level whatever their dependence (Berger,
    *Multiparameter Hypothesis Testing and Acceptance Sampling*, Technometrics 24, 1982).

    Args:
        p_values: one-sided, each of "this one does not hold"; at least one, in [0, 1].
    """
    return max(p_values)


def holm(p_values: Sequence[float]) -> list[float]:
    """p adjusted for looking at all of them, in the given order (Holm, Scand. J. Stat. 6, 1979).

    The k-th smallest of m is multiplied by m − k + 1 and by no less than its predecessors were:
    rejecting those below α keeps the chance of any false rejection at α, whatever the dependence.

    Args:
        p_values: in [0, 1].
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted
