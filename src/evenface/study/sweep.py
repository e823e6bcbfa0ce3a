"""How many real faces are needed: accuracy over the share of real faces in training; and how many
right labels, over the share of synthetic identities whose group labels are right.

The answer is the smallest real fraction whose worst-group accuracy is shown to be within ε of that
of all-real training. Fractions are tested from the largest down, each at the full level, and the
first that fails ends the search: tests in an order fixed beforehand need no correction (Maurer,
Hothorn & Lehmacher, *Multiple comparisons in drug clinical trials and preclinical assays: a-priori
ordered hypotheses*, in Vollmar (ed.), Biometrie in der chemisch-pharmazeutischen Industrie 6, 1995;
Westfall & Krishen, *Optimally weighted, fixed sequence and gatekeeper multiple testing procedures*,
J. Stat. Plan. Inference 99, 2001). Accuracy need not rise with the fraction for that to hold: where
it does not, the search ends early, and the answer by the values alone, given beside it, says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import Figure, percentile_interval
from evenface.record import Estimate
from evenface.study.arm import Arm
from evenface.study.grid import Grid, Levels
from evenface.study.inference import WORST, by_group, contrast, figure, worst_group_p
from evenface.study.record import Smallest, Sweep, SweepPoint, Swept
from evenface.study.wording import change, number, points

LEAST_FRACTIONS = 3
"""Fractions from which on a study is a sweep."""
_WHOLE = 1.0
_REFERENCE: dict[Swept, str] = {
    "real faces": "all-real training",
    "right labels": "all labels right",
}
"""What a share of 1 is called."""


@dataclass(frozen=True)
class _Step:
    """A fraction below one against the whole."""

    fraction: float
    within: bool
    """By the test."""
    loss: Figure
    """Worst-group accuracy minus that of the whole."""


def sweep(grid: Grid) -> list[Sweep]:
    """The sweeps on one benchmark; none with fewer than three fractions."""
    if grid.of_others:
        return []
    over: list[tuple[Swept, Mapping[str, float]]] = [("real faces", grid.real_fractions)]
    over += [("right labels", family) for family in grid.right_labels]
    return [
        entry
        for of, shares in over
        for teacher in (None, *grid.teachers)
        for levels in grid.slices(teacher)
        if (entry := _entry(grid, of, shares, teacher, levels))
    ]


def _entry(
    grid: Grid, of: Swept, shares: Mapping[str, float], teacher: str | None, levels: Levels
) -> Sweep | None:
    """The students of these training sets, each with its share of what is swept over (``of``)."""
    found = [
        (fraction, name, arm)
        for name, fraction in shares.items()
        if (arm := grid.student((name, teacher), levels))
    ]
    found.sort(key=lambda item: item[0])
    if len({fraction for fraction, *_ in found}) < LEAST_FRACTIONS:
        return None
    arms = [(fraction, arm) for fraction, _, arm in found]
    against_plain = None
    if teacher is not None and of == "real faces":
        plain = [
            (_WHOLE, arm)
            for name, fraction in shares.items()
            if fraction == _WHOLE and (arm := grid.student((name, None), levels))
        ]
        against_plain = _smallest(grid, of, arms, plain, f"{_REFERENCE[of]} without KD")
    return Sweep(
        benchmark=grid.benchmark,
        of=of,
        levels=dict(levels),
        teacher=teacher,
        epsilon=grid.settings.epsilon,
        points=tuple(_point(fraction, name, grid.whole(arm)) for fraction, name, arm in found),
        smallest=_smallest(grid, of, arms, arms, _REFERENCE[of]),
        smallest_against_plain=against_plain,
    )


def _point(fraction: float, name: str, evaluation: ArmEvaluation) -> SweepPoint:
    worst = figure(evaluation, WORST)
    low, high = percentile_interval(worst.samples, worst.level, floor=0.0, ceiling=1.0)
    return SweepPoint(
        fraction=fraction,
        set=name,
        model=evaluation.model or "",
        mean=evaluation.overall.accuracy,
        worst=Estimate(value=worst.value, low=low, high=high),
        groups={group: of.accuracy.plain for group, of in evaluation.groups.items()},
    )


def _smallest(
    grid: Grid,
    of: Swept,
    arms: Sequence[tuple[float, Arm]],
    references: Sequence[tuple[float, Arm]],
    against: str,
) -> Smallest:
    """The smallest fraction that is shown to be enough, and a sentence.

    Args:
        grid: the arms.
        of: what the fractions are of.
        arms: fraction, student; ascending.
        references: the same, that of the whole among them.
        against: what is compared with, in words.
    """
    settings = grid.settings
    reference = next((arm for fraction, arm in references if fraction == _WHOLE), None)
    if reference is None:
        lacking = against if of == "real faces" else f"mix with {against}"
        return Smallest(statement=f"There is no {lacking} to compare with.")
    # Against students without KD, all-real training with it is to be tested as well.
    tested = [(fraction, arm) for fraction, arm in arms if arm.id != reference.id]
    steps, seeds = [], len(reference.seeds)
    for fraction, arm in reversed(tested):
        pair = grid.matched_arms([reference, arm])
        if pair is None:
            continue
        first, second = pair
        seeds = min(seeds, len(first.seeds))
        p = worst_group_p(by_group(first), by_group(second), settings.epsilon)
        loss = figure(second, WORST) - figure(first, WORST)
        steps.append(_Step(fraction, p < (1 - settings.level) / 2, loss))
    shown, failed = _in_sequence(steps)
    by_value = [s for s in steps if s.loss.value is not None and s.loss.value >= -settings.epsilon]
    worst = figure(grid.whole(reference), WORST)
    said = (
        f"The worst group's accuracy is {number(100 * (worst.value or 0.0))} % with {against}. "
        f"With a margin of {points(settings.epsilon)}, "
    )
    if seeds < settings.seeds:
        said += f"nothing is decided: there are fewer than {settings.seeds} training seeds."
        shown = None
    elif shown is None:
        said += f"no smaller share of {of} is shown to be enough"
    else:
        said += (
            f"{_percent(shown.fraction)} {of} are enough ({change(contrast(shown.loss), 'points')})"
        )
    if seeds >= settings.seeds:
        said += (
            f"; {_percent(failed.fraction)} are not shown to be enough "
            f"({change(contrast(failed.loss), 'points')})."
            if failed
            else "."
        )
    if by_value:
        least = min(by_value, key=lambda step: step.fraction)
        said += f" Judged by the estimates alone, {_percent(least.fraction)} would be enough."
    else:
        said += " Judged by the estimates alone, none is enough."
    if shown is None:
        return Smallest(statement=said)
    found = contrast(shown.loss)
    return Smallest(
        fraction=shown.fraction,
        change=Estimate(value=found.value, low=found.low, high=found.high),
        statement=said,
    )


def _in_sequence(steps: Sequence[_Step]) -> tuple[_Step | None, _Step | None]:
    """The last fraction that passes with all larger ones, and the first that does not.

    Where several training sets have one fraction, all must pass.
    """
    shown: _Step | None = None
    for fraction in dict.fromkeys(step.fraction for step in steps):
        of_fraction = [step for step in steps if step.fraction == fraction]
        failed = next((step for step in of_fraction if not step.within), None)
        if failed:
            return shown, failed
        shown = of_fraction[0]
    return shown, None


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"
