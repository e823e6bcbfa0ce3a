"""Every crossing of the declared attributes, scanned for the largest differences of error rates.

A group by one attribute can hide a bad one of two: errors of women and of the old may look alike
while old women have three times as many. So each combination of attributes is a crossing, each
combination of their values a cell, and every two cells of a crossing are compared in FMR and FNMR
at one threshold for all. Many comparisons find differences by chance: p is adjusted by Holm over
all of them, and cells of few people are named as too small and not compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import fisher_exact

from evenface.evaluate.bootstrap import wilson_interval, zero_error_limit
from evenface.evaluate.multiplicity import holm
from evenface.evaluate.results import Estimate, Record

FEW_PEOPLE = 20
"""Cells of fewer people are too small to be compared."""
MOST_CROSSED = 3
"""Attributes that are crossed at most."""

Error = Literal["fmr", "fnmr"]


class Cell(Record):
    """One combination of values."""

    attributes: tuple[str, ...]
    values: tuple[str, ...]
    people: int
    genuine_pairs: int
    impostor_pairs: int
    fmr: Estimate
    """Of impostor pairs of two people of the cell."""
    fnmr: Estimate
    too_small: bool
    """Whether it has too few people to be compared."""

    @property
    def name(self) -> str:
        """Its values, joined."""
        return " × ".join(self.values)


class CellDifference(Record):
    """Two cells of one crossing; the difference is the higher rate minus the lower one."""

    error: Error
    attributes: tuple[str, ...]
    higher: tuple[str, ...]
    lower: tuple[str, ...]
    difference: Estimate
    """A fraction."""
    ratio: float | None
    """Of the rates; None where the lower one is zero."""
    p_value: float
    """Two-sided, of this comparison alone."""
    p_holm: float
    """Adjusted for all comparisons of the scan."""


class CrossingScan(Record):
    """What a scan found."""

    threshold: float
    target_fmr: float | None = None
    """That the threshold was chosen for; None where it was given."""
    attributes: tuple[str, ...]
    few_people: int
    level: float
    cells: list[Cell]
    differences: list[CellDifference]
    """All that were tested: those decided first, the largest first within."""

    def decided(self, error: Error | None = None) -> list[CellDifference]:
        """The differences that are more than chance, the largest first."""
        alpha = 1 - self.level
        return [
            d for d in self.differences if d.p_holm <= alpha and (error is None or d.error == error)
        ]

    @property
    def too_small(self) -> list[Cell]:
        """Cells of too few people."""
        return [cell for cell in self.cells if cell.too_small]


def scan_crossings(
    scores: ArrayLike,
    genuine: ArrayLike,
    people: ArrayLike,
    attributes: Mapping[str, ArrayLike],
    threshold: float,
    *,
    target_fmr: float | None = None,
    most_crossed: int = MOST_CROSSED,
    few_people: int = FEW_PEOPLE,
    level: float = 0.95,
) -> CrossingScan:
    """Compare all cells of all crossings at one threshold.

    A pair belongs to a cell where both images have its values; others are in none. Pairs of one
    person are not independent, so rates are compared by Fisher's exact test on effective numbers of
    pairs: those of independent pairs that would scatter as much, by the dyadic-robust variance of
    both cells (Fogliato, Patil & Perona, IJCV 2024).

    Args:
        scores: (P,) higher for more alike.
        genuine: (P,) whether a pair is of one person.
        people: (2, P) person of either image, as numbers.
        attributes: name → (2, P) value of either image, as text; "" for none: in no cell.
        threshold: pairs of this score or more are accepted.
        target_fmr: what the threshold was chosen for, to be recorded.
        most_crossed: attributes that are crossed at most.
        few_people: see :data:`FEW_PEOPLE`.
        level: 1 − the chance of any false difference.

    Raises:
        ValueError: shapes that do not fit, no attribute, or a level outside (0, 1).
    """
    if not attributes:
        raise ValueError("a scan needs at least one attribute")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    score, is_genuine = np.asarray(scores, dtype=np.float64), np.asarray(genuine, dtype=bool)
    who = np.asarray(people, dtype=np.int64)
    values = {name: np.asarray(of, dtype=np.str_) for name, of in attributes.items()}
    shapes = {name: of.shape for name, of in values.items()} | {"people": who.shape}
    if is_genuine.shape != score.shape or any(s != (2, len(score)) for s in shapes.values()):
        raise ValueError(f"scores are (P,), people and attributes (2, P); got {shapes}")
    wrong = np.where(is_genuine, score < threshold, score >= threshold)
    cells: list[Cell] = []
    found: list[CellDifference] = []
    for size in range(1, min(most_crossed, len(values)) + 1):
        for names in combinations(values, size):
            of_crossing = _cells(names, values, wrong, is_genuine, who, few_people, level)
            cells += [cell for cell, _ in of_crossing]
            usable = [(cell, rates) for cell, rates in of_crossing if not cell.too_small]
            for one, other in combinations(usable, 2):
                found += _differences(one, other, level)
    adjusted = holm([difference.p_value for difference in found])
    found = [
        difference.model_copy(update={"p_holm": p})
        for difference, p in zip(found, adjusted, strict=True)
    ]
    alpha = 1 - level
    found.sort(key=lambda d: (d.p_holm > alpha, -(d.difference.value or 0.0)))
    return CrossingScan(
        threshold=threshold,
        target_fmr=target_fmr,
        attributes=tuple(values),
        few_people=few_people,
        level=level,
        cells=cells,
        differences=found,
    )


@dataclass(frozen=True)
class _Rate:
    """An error rate with what its uncertainty needs."""

    errors: int
    pairs: int
    robust: float
    """Dyadic-robust variance of the number of errors."""
    independent: int
    """People of genuine pairs, half the people of impostor pairs: the trials behind no error."""

    @property
    def value(self) -> float:
        return self.errors / self.pairs

    @property
    def binomial(self) -> float:
        """Variance of the number of errors were all pairs independent."""
        return self.value * (1 - self.value) * self.pairs

    def bounds(self, level: float) -> tuple[float, float]:
        """The interval of the rate."""
        if self.errors in (0, self.pairs):
            limit = zero_error_limit(max(self.independent, 1), (1 - level) / 2)
            return (1 - limit, 1.0) if self.errors else (0.0, limit)
        return wilson_interval(self.value, self.robust / self.pairs**2, level)

    def estimate(self, level: float) -> Estimate:
        if not self.pairs:
            return Estimate(value=None, low=None, high=None, note="no pairs")
        low, high = self.bounds(level)
        return Estimate(value=self.value, low=low, high=high)


_Rates = dict[Error, _Rate]


def _cells(
    names: Sequence[str],
    values: Mapping[str, NDArray[np.str_]],
    wrong: NDArray[np.bool_],
    genuine: NDArray[np.bool_],
    people: NDArray[np.int64],
    few_people: int,
    level: float,
) -> list[tuple[Cell, _Rates]]:
    """The cells of one crossing, in the order of their values."""
    table = np.stack([values[name] for name in names])  # (A, 2, P)
    inside = ((table[:, 0] == table[:, 1]) & (table[:, 0] != "")).all(axis=0)
    kinds, cell_of = np.unique(table[:, 0, inside], axis=1, return_inverse=True)
    rows = np.flatnonzero(inside)
    cells = []
    for number, combination in enumerate(kinds.T):
        of_cell = rows[cell_of == number]
        matched, unmatched = of_cell[genuine[of_cell]], of_cell[~genuine[of_cell]]
        present = len(np.unique(people[:, of_cell]))
        rates: _Rates = {
            "fmr": _rate(wrong[unmatched], people[:, unmatched], present // 2),
            "fnmr": _rate(wrong[matched], people[:, matched], len(np.unique(people[0, matched]))),
        }
        cell = Cell(
            attributes=tuple(names),
            values=tuple(str(value) for value in combination),
            people=present,
            genuine_pairs=len(matched),
            impostor_pairs=len(unmatched),
            fmr=rates["fmr"].estimate(level),
            fnmr=rates["fnmr"].estimate(level),
            too_small=present < few_people,
        )
        cells.append((cell, rates))
    return cells


def _rate(wrong: NDArray[np.bool_], people: NDArray[np.int64], independent: int) -> _Rate:
    """With S_i the summed centred errors of person i's pairs, and T_ij those of the pairs of i and
    j: ΣS_i² − ΣT_ij², at least ΣT_ij²; of genuine pairs, which have one person, ΣS_i²."""
    if not len(wrong):
        return _Rate(0, 0, 0.0, independent)
    centred = wrong - wrong.mean()
    present, ends = np.unique(people, return_inverse=True)
    first, second = ends.reshape(2, -1)
    of_person = np.bincount(first, centred, len(present))
    if (first == second).all():
        robust = float((of_person**2).sum())
    else:
        of_person += np.bincount(second, centred, len(present))
        dyads = np.minimum(first, second) * len(present) + np.maximum(first, second)
        of_dyad = np.bincount(np.unique(dyads, return_inverse=True)[1], centred)
        pairs = float((of_dyad**2).sum())
        robust = max(float((of_person**2).sum()) - pairs, pairs)
    return _Rate(int(wrong.sum()), len(wrong), robust, independent)


def _differences(
    one: tuple[Cell, _Rates], other: tuple[Cell, _Rates], level: float
) -> list[CellDifference]:
    found = []
    errors: tuple[Error, ...] = ("fmr", "fnmr")
    for error in errors:
        pair = sorted(((one[1][error], one[0]), (other[1][error], other[0])), key=_value)
        (low, lower), (high, higher) = pair
        if not low.pairs or not high.pairs:
            continue
        p_value = _p_value(low, high)
        found.append(
            CellDifference(
                error=error,
                attributes=lower.attributes,
                higher=higher.values,
                lower=lower.values,
                difference=_interval(low, high, level),
                ratio=high.value / low.value if low.errors else None,
                p_value=p_value,
                p_holm=p_value,
            )
        )
    return found


def _value(rated: tuple[_Rate, Cell]) -> float:
    return rated[0].value if rated[0].pairs else 0.0


def _p_value(low: _Rate, high: _Rate) -> float:
    """Fisher's exact test, pairs counted as the independent ones that they are worth."""
    if low.errors == high.errors == 0:
        return 1.0
    binomial = low.binomial + high.binomial
    effect = max(1.0, (low.robust + high.robust) / binomial) if binomial else 1.0
    table = []
    for rate in (low, high):
        trials = max(1, round(rate.pairs / effect))
        errors = min(trials, round(rate.errors / effect))
        table.append([errors, trials - errors])
    return float(fisher_exact(table).pvalue)


def _interval(low: _Rate, high: _Rate, level: float) -> Estimate:
    """Of the difference of two rates, from the intervals of both (Newcombe, *Statistics in
    Medicine* 17, 1998, method 10)."""
    (low_from, low_to), (high_from, high_to) = low.bounds(level), high.bounds(level)
    value = high.value - low.value
    return Estimate(
        value=value,
        low=value - math.hypot(high.value - high_from, low_to - low.value),
        high=value + math.hypot(high_to - high.value, low.value - low_from),
    )
