"""Claims that pick among several: mixes against real faces, levels of a factor against its first.

Holm's correction is over what is picked from: the mixes, the levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from evenface.evaluate.bootstrap import mean_figure
from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.study.arm import Arm
from evenface.study.grid import Grid, Levels, Pair
from evenface.study.inference import (
    MEAN,
    Contrast,
    compare,
    contrast,
    figure,
    lowest,
    worst_group_p,
)
from evenface.study.record import Claim, Verdict
from evenface.study.verdict import decide, evidence
from evenface.study.wording import change, listed, points

STD = "overall.std_sample"
WORST_NOTE = "p is that of every group against every group; see the rule"


def which_mixes_match(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    """Which of several mixes with distillation are as good as real faces with it, or without."""
    if teacher is None or grid.of_others or len(grid.of_kind("mix")) < 2:
        return
    for levels in grid.slices(teacher):
        for real in grid.of_kind("real"):
            for of_real in (teacher, None):
                claim = _which_mixes(grid, (real, of_real), teacher, levels)
                if claim:
                    yield claim


def _which_mixes(
    grid: Grid, real: tuple[str, str | None], teacher: str, levels: Levels
) -> Claim | None:
    mixes = [name for name in grid.of_kind("mix") if grid.student((name, teacher), levels)]
    found = grid.matched(real, *((name, teacher) for name in mixes), levels=levels)
    if not found or len(mixes) < 2:
        return None
    margin = grid.settings.margin
    reference, *evaluations = found
    losses = [figure(mix, MEAN) - figure(reference, MEAN) - (-margin) for mix in evaluations]
    contrasts = [contrast(loss) for loss in losses]
    tail = (1 - grid.settings.level) / 2

    def rule(found: Sequence[Contrast]) -> Verdict:
        if min(holm([of.sure_greater for of in found])) < tail:
            return "supported"
        worse = intersection_union([of.sure_less for of in found]) < tail
        return "not supported" if worse else "undecided"

    verdict, held_back = decide(rule, contrasts)
    adjusted = holm([of.sure_greater for of in contrasts])
    short = holm([of.sure_less for of in contrasts])
    equal = [f"“{name}”" for name, q in zip(mixes, adjusted, strict=True) if q < tail]
    below = [f"“{name}”" for name, q in zip(mixes, short, strict=True) if q < tail]
    differences = [contrast(loss - margin) for loss in losses]
    condition = "with KD" if real[1] else "without KD"
    each = listed([f"“{n}” {change(d, 'points')}" for n, d in zip(mixes, differences, strict=True)])
    several = len(grid.of_kind("real")) > 1
    claim = Claim(
        id=f"which-mixes-match:{'with' if real[1] else 'without'}-kd"
        + (f":{real[0]}" if several else ""),
        question=f"Which mixes with KD are as good as “{real[0]}” {condition}?",
        benchmark=grid.benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"In mean accuracy over groups, mixes with KD from {teacher} minus “{real[0]}” "
            f"{condition}: {each}. As good, a loss of {points(margin)} being excluded: "
            f"{listed(equal) or 'none'}; certainly more than {points(margin)} below: "
            f"{listed(below) or 'none'} (after Holm's correction over the mixes).{held_back}"
        ),
        rule=(
            f"Non-inferiority with a margin of {points(margin)} of mean accuracy, one-sided at "
            f"{tail:.3g} after Holm's correction over the mixes: supported if some mix passes; "
            "not supported if every mix is below the margin (intersection–union test); else "
            "undecided."
        ),
        tests=tuple(
            evidence(
                f"{name} − {real[0]} {condition}",
                difference,
                p_value=contrast.sure_greater,
                p_holm=p_holm,
                note=f"p is one-sided, against a loss of {points(margin)} or more",
            )
            for name, difference, contrast, p_holm in zip(
                mixes, differences, contrasts, adjusted, strict=True
            )
        ),
    )
    return grid.answer(claim, found, levels)


def level_beats_baseline(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    """Whether students of a factor's further levels do better than those of its first.

    Pairs differ in this factor only; effects are averaged over all cells that have such a pair.
    With a teacher, that is how losses and weightings of distillation are compared; and ablations,
    with and without.
    """
    if grid.of_others:
        return
    for factor, (baseline, *others) in grid.factors.items():
        compared = []
        for level in others:
            cells, note = grid.aligned(_cells(grid, teacher, factor, baseline, level))
            if cells:
                compared.append(_Compared(level, cells, note))
        better = holm([max(of.mean.sure_greater, of.worst_better) for of in compared])
        worse = holm([p for of in compared for p in (of.mean.sure_less, of.worst_worse)])
        fell = [min(pair) for pair in zip(worse[::2], worse[1::2], strict=True)]
        for of, p_better, p_worse in zip(compared, better, fell, strict=True):
            yield _level_claim(
                grid, teacher, (factor, baseline), of, len(compared), p_better, p_worse
            )


class _Compared:
    """A level minus the first one, over all cells that have both."""

    def __init__(self, level: str, cells: Mapping[str, Pair], note: str) -> None:
        self.level, self.cells, self.note = level, cells, note
        self.mean = over_cells(cells, MEAN)
        first, second = (
            {
                group: mean_figure(
                    [figure(pair[arm], "accuracy", group) for pair in cells.values()]
                )
                for group in next(iter(cells.values()))[0].groups
            }
            for arm in (0, 1)
        )
        self.groups = {group: contrast(second[group] - first[group]) for group in first}
        self.worst = contrast(lowest(second) - lowest(first))
        self.worst_better = worst_group_p(first, second)
        self.worst_worse = worst_group_p(second, first)


def _level_claim(
    grid: Grid,
    teacher: str | None,
    factor: tuple[str, str],
    found: _Compared,
    levels: int,
    p_better: float,
    p_worse: float,
) -> Claim:
    """
    Args:
        grid: the arms.
        teacher: that all have, None for none.
        factor: its name and first level.
        found: a further level against it.
        levels: how many further levels there are.
        p_better: that mean and worst group both are not better, after Holm's correction.
        p_worse: that neither is worse, after Holm's correction.
    """
    name, baseline = factor
    alpha = 1 - grid.settings.level
    mean, worst = found.mean, found.worst
    verdict: Verdict = "undecided"
    if p_better < alpha:
        verdict = "supported"
    elif p_worse < alpha / 2:
        verdict = "not supported"
    several = len(found.cells) > 1
    condition = f"with KD from {teacher}" if teacher else "without KD"
    over = f", on average over {len(found.cells)} cells" if several else ""
    corrected = f" after Holm's correction over {levels} levels" if levels > 1 else ""
    std = over_cells(found.cells, STD) if len(grid.groups) > 1 else None
    claim = Claim(
        id=f"level-beats-baseline:{name}:{found.level}{'' if teacher else ':plain'}",
        question=(
            f"Do students with {name} {found.level} do better than with {baseline}, "
            f"{'with' if teacher else 'without'} KD?"
        ),
        benchmark=grid.benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"With {name} {found.level} minus {baseline}, {condition}{over}: mean accuracy over "
            f"groups {change(mean, 'points')}, accuracy of the worst group "
            f"{change(worst, 'points')}"
            + (f", STD {change(std, 'points')}" if std else "")
            + f".{found.note}"
        ),
        rule=(
            "Supported if mean accuracy and that of the worst group both rise (intersection–union "
            f"test, one-sided p below {alpha:.3g}{corrected}); not supported if either falls "
            f"(one-sided p below {alpha / 2:.3g} after Holm's correction over both"
            + (" and all levels" if levels > 1 else "")
            + "); else undecided. The worst group rises if every group is shown to be above some "
            "group of the first level (Bonferroni over these). p are those of the replicates and "
            "of the t interval over seeds, whichever is larger."
        ),
        tests=(
            evidence(
                "mean accuracy and worst group",
                replace(min(mean, worst, key=lambda c: c.value or 0.0), low=None, high=None),
                p_value=max(mean.sure_greater, found.worst_better),
                p_holm=p_better,
                note="the smaller rise; p is the larger of their one-sided p",
            ),
            evidence("mean over groups", mean, p_value=mean.sure),
            evidence(
                "worst group",
                worst,
                p_value=min(1.0, 2 * min(found.worst_better, found.worst_worse)),
                note=WORST_NOTE,
            ),
            *(evidence(group, of, p_value=of.sure) for group, of in found.groups.items()),
            *([evidence("STD of accuracy", std, p_value=std.sure)] if std else []),
            *(
                evidence(f"mean over groups, {title}", of, p_value=of.sure)
                for title, of in ((t, compare(*pair, MEAN)) for t, pair in found.cells.items())
                if several
            ),
        ),
    )
    evaluations = [evaluation for pair in found.cells.values() for evaluation in pair]
    answer = grid.answer(claim, evaluations, {})
    return answer.model_copy(update={"levels": {name: found.level}})


def _cells(
    grid: Grid, teacher: str | None, factor: str, baseline: str, level: str
) -> dict[str, tuple[Arm, Arm]]:
    """Title → students of the first level and of a further one, alike in all else."""
    found = {}
    for levels in grid.slices(teacher):
        if levels.get(factor) != level:
            continue
        rest = {f: of for f, of in levels.items() if f != factor}
        for name in grid.sets:
            first = grid.student((name, teacher), {**levels, factor: baseline})
            second = grid.student((name, teacher), levels)
            if first and second:
                found[grid.title(name, rest)] = (first, second)
    return found


def over_cells(cells: Mapping[str, Pair], measure: str, group: str | None = None) -> Contrast:
    """Second minus first arm, averaged over cells."""
    differences = [
        figure(second, measure, group) - figure(first, measure, group)
        for first, second in cells.values()
    ]
    return contrast(mean_figure(differences))
