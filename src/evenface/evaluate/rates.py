"""Counted errors of pairs or images that share people, with an interval for their rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.bootstrap import wilson_interval, zero_error_limit
from evenface.record import Estimate


@dataclass(frozen=True)
class Rate:
    """An error rate with what its uncertainty needs."""

    errors: int
    trials: int
    robust: float
    """Dyadic-robust variance of the number of errors."""
    independent: int
    """Independent trials behind no error: people, or half the people where a trial has two."""

    @property
    def value(self) -> float:
        """A fraction; there must be trials."""
        return self.errors / self.trials

    @property
    def binomial(self) -> float:
        """Variance of the number of errors were all trials independent."""
        return self.value * (1 - self.value) * self.trials

    def bounds(self, level: float) -> tuple[float, float]:
        """Wilson's interval with the robust variance; without errors from 0 to the zero limit."""
        if self.errors in (0, self.trials):
            limit = zero_error_limit(max(self.independent, 1), (1 - level) / 2)
            return (1 - limit, 1.0) if self.errors else (0.0, limit)
        return wilson_interval(self.value, self.robust / self.trials**2, level)

    def estimate(self, level: float, *, nothing: str = "no pairs") -> Estimate:
        """The rate with its interval; undefined without trials, with ``nothing`` as note."""
        if not self.trials:
            return Estimate(value=None, low=None, high=None, note=nothing)
        low, high = self.bounds(level)
        return Estimate(value=self.value, low=low, high=high)


def count_rate(wrong: NDArray[np.bool_], people: NDArray[np.int64]) -> Rate:
    """The rate of wrong trials, each of one person or of two.

    With S_i the summed centred errors of person i's trials, and T_ij those of the trials of i and
    j, the variance is ΣS_i² − ΣT_ij², at least ΣT_ij² (Fogliato, Patil & Perona, *Confidence
    intervals for error rates in 1:1 matching tasks*, IJCV 2024); of trials of one person, ΣS_i².

    Args:
        wrong: (P,) whether each is an error.
        people: (P,) person of each, or (2, P) both people of each pair, as numbers.
    """
    first, second = (people, people) if people.ndim == 1 else people
    present, ends = np.unique(np.stack([first, second]), return_inverse=True)
    one, other = ends.reshape(2, -1)
    alone = bool((one == other).all())
    independent = len(present) if alone else len(present) // 2
    if not len(wrong):
        return Rate(0, 0, 0.0, independent)
    centred = wrong - wrong.mean()
    of_person = np.bincount(one, centred, len(present))
    if alone:
        robust = float((of_person**2).sum())
    else:
        of_person += np.bincount(other, centred, len(present))
        dyads = np.minimum(one, other) * len(present) + np.maximum(one, other)
        of_dyad = np.bincount(np.unique(dyads, return_inverse=True)[1], centred)
        pairs = float((of_dyad**2).sum())
        robust = max(float((of_person**2).sum()) - pairs, pairs)
    return Rate(int(wrong.sum()), len(wrong), robust, independent)
