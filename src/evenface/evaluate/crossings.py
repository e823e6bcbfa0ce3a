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
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.evaluate.embeddings import cosines, unit_length
from evenface.evaluate.multiplicity import holm
from evenface.evaluate.protocols import Protocol
from evenface.evaluate.rates import Rate, count_rate
from evenface.evaluate.results import Cell, CellDifference, CrossingError, CrossingScan, Evaluation
from evenface.record import Estimate

FEW_PEOPLE = 20
"""Cells of fewer people are too small to be compared."""
EVERY = "all"
"""In place of names: all attributes that a data set declares."""
MOST_CROSSED = 3
"""Attributes that are crossed at most."""


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


def scan_protocol(
    embeddings: ArrayLike,
    protocol: Protocol,
    manifest: Manifest,
    evaluation: Evaluation,
    attributes: Sequence[str],
) -> CrossingScan:
    """Scan the score pairs of a protocol at the threshold of its evaluation for FMR 1e-3.

    Impostor pairs are those of the protocol, so both people are of one of its groups.

    Args:
        embeddings: (N, D), one row for each row of the manifest.
        protocol: which pairs.
        manifest: declares the attributes.
        evaluation: of these embeddings on this protocol.
        attributes: names; :data:`EVERY` alone for all that are declared.

    Raises:
        UsageError: an unknown attribute, or there is no threshold to scan at.
    """
    names = manifest.attributes if tuple(attributes) == (EVERY,) else tuple(attributes)
    if not names:
        raise UsageError(f"{protocol.name}: declares no attributes to scan")
    of_fmr = {point.target_fmr: point.threshold for point in evaluation.operating_points}
    one = evaluation.global_threshold
    threshold = of_fmr.get(one.target_fmr) or one.threshold
    if threshold is None:
        raise UsageError(
            f"{protocol.name}: too few impostor pairs for a threshold at FMR {one.target_fmr:g}, "
            "so crossings cannot be scanned"
        )
    pairs = protocol.score_pairs
    ends = np.stack([pairs.a, pairs.b])
    unit = unit_length(np.asarray(embeddings), protocol.rows).astype(np.float32)
    return scan_crossings(
        cosines(unit, pairs.a, pairs.b),
        pairs.genuine,
        protocol.identity[ends],
        {name: manifest.column(name)[ends] for name in names},
        threshold,
        target_fmr=one.target_fmr,
        level=evaluation.bootstrap.level,
    )


_Rates = dict[CrossingError, Rate]


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
            "fmr": count_rate(wrong[unmatched], people[:, unmatched]),
            "fnmr": count_rate(wrong[matched], people[:, matched]),
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


def _differences(
    one: tuple[Cell, _Rates], other: tuple[Cell, _Rates], level: float
) -> list[CellDifference]:
    found = []
    errors: tuple[CrossingError, ...] = ("fmr", "fnmr")
    for error in errors:
        pair = sorted(((one[1][error], one[0]), (other[1][error], other[0])), key=_value)
        (low, lower), (high, higher) = pair
        if not low.trials or not high.trials:
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


def _value(rated: tuple[Rate, Cell]) -> float:
    return rated[0].value if rated[0].trials else 0.0


def _p_value(low: Rate, high: Rate) -> float:
    """Fisher's exact test, pairs counted as the independent ones that they are worth."""
    from scipy.stats import fisher_exact

    if low.errors == high.errors == 0:
        return 1.0
    binomial = low.binomial + high.binomial
    effect = max(1.0, (low.robust + high.robust) / binomial) if binomial else 1.0
    table = []
    for rate in (low, high):
        trials = max(1, round(rate.trials / effect))
        errors = min(trials, round(rate.errors / effect))
        table.append([errors, trials - errors])
    return float(fisher_exact(table).pvalue)


def _interval(low: Rate, high: Rate, level: float) -> Estimate:
    """Of the difference of two rates, from the intervals of both (Newcombe, *Statistics in
    Medicine* 17, 1998, method 10)."""
    (low_from, low_to), (high_from, high_to) = low.bounds(level), high.bounds(level)
    value = high.value - low.value
    return Estimate(
        value=value,
        low=value - math.hypot(high.value - high_from, low_to - low.value),
        high=value + math.hypot(high_to - high.value, low.value - low_from),
    )
