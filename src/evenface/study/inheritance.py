"""Whether students take over their teacher's unevenness between groups.

A group's deviation is its accuracy minus the mean over groups. The deviations of students with
distillation are correlated (Pearson) with the teacher's, and so are those of students without it,
whom the teacher cannot have taught: some groups are harder for every model, so the latter is not 0.
What distillation hands on shows in the difference of the two correlations. Its interval is that of
the joint replicates of seeds and identities, alike for teacher and students. As few groups are few
points, there is a second test: the correlation of students with distillation and teacher, given
those without it (partial correlation), against the same with the teacher's deviations assigned to
the groups in every other order, which is what chance would do (Good, *Permutation Tests*, 1994).
With G groups its p is at least 1/G!.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import percentile_interval
from evenface.record import Estimate
from evenface.seeds import generator
from evenface.study.grid import Grid, Levels, Pair
from evenface.study.record import Correlation, GroupErrors, Inheritance
from evenface.study.wording import number

ALL_SETS = "all"
"""What the entry over all cells has in place of a training set."""
_MOST_ORDERS = 5040


def inheritance(grid: Grid) -> list[Inheritance]:
    """Whether students have their teacher's bias on one benchmark, by teacher.

    One for each training set and slice, then, where there are several, one over all of them. None
    where the teacher was not evaluated, or there is one group.
    """
    if grid.of_others or len(grid.groups) < 2:
        return []
    entries = []
    for teacher in grid.teachers:
        arm = next((a for a in grid.arms if (a.kind, a.teacher) == ("teacher", teacher)), None)
        if arm is None:
            continue
        own = grid.whole(arm)
        found = list(grid.kd_pairs(teacher))
        for levels, name, pair in found:
            entries.append(_entry(grid, own, teacher, [pair], name, levels))
        if len(found) > 1:
            entries.append(_entry(grid, own, teacher, [pair for *_, pair in found]))
    return entries


def _entry(
    grid: Grid,
    teacher: ArmEvaluation,
    identifier: str,
    pairs: Sequence[Pair],
    training_set: str = ALL_SETS,
    levels: Levels | None = None,
) -> Inheritance:
    accuracies = {
        "teacher": _values(teacher),
        "plain": np.mean([_values(plain) for plain, _ in pairs], axis=0),
        "kd": np.mean([_values(kd) for _, kd in pairs], axis=0),
    }
    plain, kd = (
        float(_correlation(_values(teacher)[None, None], _stacked(pairs, which))[0])
        for which in (0, 1)
    )
    replicates = [
        _correlation(
            teacher.replicates["accuracy"][:, None],
            np.stack([pair[which].replicates["accuracy"] for pair in pairs], axis=1),
        )
        for which in (0, 1)
    ]
    samples = replicates[1] - replicates[0]
    change = None if np.isnan(kd - plain) else float(kd - plain)
    low, high = percentile_interval(samples, grid.settings.level, floor=-2.0, ceiling=2.0)
    p_value = _permuted(teacher, pairs)
    return Inheritance(
        benchmark=grid.benchmark,
        levels=dict(levels or {}),
        set=training_set,
        teacher=identifier,
        groups={
            group: GroupErrors(**{who: 1 - float(of[g]) for who, of in accuracies.items()})
            for g, group in enumerate(grid.groups)
        },
        correlation=Correlation(plain=_finite(plain), kd=_finite(kd)),
        change=Estimate(
            value=change,
            low=None if change is None else low,
            high=None if change is None else high,
        ),
        p_permutation=p_value,
        statement=_statement(grid, teacher, pairs, (plain, kd, low, high), p_value),
    )


def _statement(
    grid: Grid,
    teacher: ArmEvaluation,
    pairs: Sequence[Pair],
    correlations: tuple[float, float, float, float],
    p_value: float | None,
) -> str:
    plain, kd, low, high = correlations
    alpha, orders = 1 - grid.settings.level, math.factorial(len(grid.groups))
    if p_value is None or np.isnan(plain) or np.isnan(kd):
        return "Teacher or students are equally accurate in all groups: no correlation is defined."
    values = _values(teacher)
    worst = grid.groups[int(values.argmin())]
    students = np.mean([_values(second) for _, second in pairs], axis=0)
    own = grid.groups[int(students.argmin())]
    over = (
        f"over {len(pairs)} cells and {len(grid.groups)} groups"
        if len(pairs) > 1
        else (f"over {len(grid.groups)} groups")
    )
    same = "also" if worst == own else f"not (but in {own})"
    said = (
        f"The teacher errs most in {worst}, students with KD {same}. Correlation of deviations "
        f"from the mean with the teacher's, {over}: {number(kd)} with KD, {number(plain)} without "
        f"({number(kd - plain, sign=True)} [{number(low, sign=True)}, {number(high, sign=True)}]; "
        f"p {number(p_value, digits=3)} by permutation of groups)."
    )
    seeds = min(len(of.seeds) for pair in pairs for of in pair)
    if seeds < grid.settings.seeds:
        return f"{said} Undecided: fewer than {grid.settings.seeds} training seeds."
    if low > 0 and p_value < alpha:
        return f"{said} Students with KD copy the teacher's unevenness more than those without."
    if high < 0:
        return f"{said} Students with KD resemble the teacher less in this than those without."
    limit = 1 / orders
    if limit >= alpha:
        return (
            f"{said} Undecided: {len(grid.groups)} groups can be ordered in {orders} ways, so no p "
            f"can be below {number(limit, digits=2)}."
        )
    return f"{said} Undecided."


def _values(evaluation: ArmEvaluation) -> NDArray[np.float64]:
    return np.array([of.accuracy.value for of in evaluation.groups.values()], dtype=np.float64)


def _stacked(pairs: Sequence[Pair], which: int) -> NDArray[np.float64]:
    """(1, cells, groups) accuracies."""
    return np.stack([_values(pair[which]) for pair in pairs])[None]


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) Pearson's r of deviations from the mean over groups, of all cells together.

    NaN where groups do not differ.

    Args:
        one, other: (R, cells, groups) accuracies, or (R, 1, groups), which is of every cell.
    """
    one, other = np.broadcast_arrays(one, other)
    first, second = (of - of.mean(axis=2, keepdims=True) for of in (one, other))
    scale = np.sqrt((first**2).sum(axis=(1, 2)) * (second**2).sum(axis=(1, 2)))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where groups hardly differ, rounding would decide.
        return np.where(scale > 1e-12, (first * second).sum(axis=(1, 2)) / scale, np.nan)


def _permuted(teacher: ArmEvaluation, pairs: Sequence[Pair]) -> float | None:
    """Share of orders of the teacher's groups with a partial correlation at least as large."""
    values, plain, kd = _values(teacher), _stacked(pairs, 0), _stacked(pairs, 1)
    ordered = values[_orders(len(values))][:, None, :]
    with_kd, with_plain = _correlation(ordered, kd), _correlation(ordered, plain)
    between = _correlation(plain, kd)
    with np.errstate(divide="ignore", invalid="ignore"):
        partial = (with_kd - with_plain * between) / np.sqrt((1 - with_plain**2) * (1 - between**2))
    if np.isnan(partial).any():
        return None
    # The first order is that of the data.
    return float(np.mean(partial >= partial[0] - 1e-12))


def _orders(groups: int) -> NDArray[np.int64]:
    """(N, groups) every order, or as many at random; that of the data first."""
    if math.factorial(groups) <= _MOST_ORDERS:
        return np.array(list(permutations(range(groups))))
    rng = generator(0, "orders of groups", groups)
    own = np.arange(groups)
    return np.stack([own, *(rng.permutation(groups) for _ in range(_MOST_ORDERS - 1))])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
