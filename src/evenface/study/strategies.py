"""Which way to use few real people: alone, in a mix, or to fine-tune what was pretrained.

At each number of real people the ways are compared by the accuracy of the worst group, each pair
by the test of :func:`evenface.study.inference.worst_group_p`. A way is shown to be the best where
it is above every other one, each at the full level: all must pass (intersection–union), so that the
number of ways needs no correction. Numbers of people are separate questions, and so are students
without and with distillation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import percentile_interval
from evenface.record import Estimate
from evenface.study.arm import Arm
from evenface.study.grid import Grid, Levels
from evenface.study.inference import WORST, by_group, contrast, figure, worst_group_p
from evenface.study.record import Strategies, StrategyChoice, StrategyPoint
from evenface.study.wording import listed

ALONE = "real faces alone"
MIXED = "a mix"
FINE_TUNED = "pretraining and fine-tuning"


@dataclass(frozen=True)
class Placed:
    """How a training set uses its real people.

    Attributes:
        strategy: :data:`ALONE`, :data:`MIXED` or :data:`FINE_TUNED`.
        people: real ones, in all parts of the training.
    """

    strategy: str
    people: int


def compare_strategies(grid: Grid, placed: Mapping[str, Placed]) -> list[Strategies]:
    """Those on one benchmark: without a teacher and with each; none where ways cannot be compared.

    Args:
        grid: the arms.
        placed: training set → its way; of sets with equal places the first counts.
    """
    if grid.of_others:
        return []
    return [
        found
        for teacher in (None, *grid.teachers)
        for levels in grid.slices(teacher)
        if (found := _compared(grid, placed, teacher, levels))
    ]


def _compared(
    grid: Grid, placed: Mapping[str, Placed], teacher: str | None, levels: Levels
) -> Strategies | None:
    arms: dict[tuple[int, str], tuple[str, Arm]] = {}
    for name, place in placed.items():
        if arm := grid.student((name, teacher), levels):
            arms.setdefault((place.people, place.strategy), (name, arm))
    points, choices, fewest = [], [], grid.settings.seeds
    for people in sorted({people for people, _ in arms}):
        ways = {way: of for (count, way), of in arms.items() if count == people}
        points += [_point(people, way, name, grid.whole(arm)) for way, (name, arm) in ways.items()]
        matched = grid.matched_arms([arm for _, arm in ways.values()])
        if len(ways) < 2 or matched is None:
            continue
        fewest = min(fewest, *(len(of.seeds) for of in matched))
        choices.append(_choice(grid, people, dict(zip(ways, matched, strict=True))))
    if not choices:
        return None
    if fewest < grid.settings.seeds:
        choices = [of.model_copy(update={"shown": False}) for of in choices]
        ending = f" Nothing is decided: there are fewer than {grid.settings.seeds} training seeds."
    else:
        ending = ""
    return Strategies(
        benchmark=grid.benchmark,
        levels=dict(levels),
        teacher=teacher,
        points=tuple(points),
        choices=tuple(choices),
        statement=_statement(choices) + ending,
    )


def _point(people: int, way: str, name: str, evaluation: ArmEvaluation) -> StrategyPoint:
    worst = figure(evaluation, WORST)
    low, high = percentile_interval(worst.samples, worst.level, floor=0.0, ceiling=1.0)
    return StrategyPoint(
        people=people,
        strategy=way,
        set=name,
        model=evaluation.model or "",
        mean=evaluation.overall.accuracy,
        worst=Estimate(value=worst.value, low=low, high=high),
    )


def _choice(grid: Grid, people: int, ways: Mapping[str, ArmEvaluation]) -> StrategyChoice:
    def accuracy(way: str) -> float:
        return figure(ways[way], WORST).value or 0.0

    best = max(ways, key=accuracy)
    gains, shown = {}, True
    for way, other in ways.items():
        if way == best:
            continue
        found = contrast(figure(ways[best], WORST) - figure(other, WORST))
        gains[way] = Estimate(value=found.value, low=found.low, high=found.high)
        p = worst_group_p(by_group(other), by_group(ways[best]))
        shown = shown and p < (1 - grid.settings.level) / 2
    return StrategyChoice(people=people, best=best, shown=shown, gains=gains)


def _statement(choices: Sequence[StrategyChoice]) -> str:
    """The best way over the number of people, and where that is shown."""
    runs = [list(of) for _, of in groupby(choices, key=lambda choice: choice.best)]
    parts = []
    for place, of in enumerate(runs):
        first, last = f"{of[0].people:,}", f"{of[-1].people:,}"
        if place == len(runs) - 1 and len(choices) > 1:
            span = f"from {first} real people on"
        else:
            span = f"for {first if first == last else f'{first} to {last}'} real people"
        parts.append(f"with {of[0].best} {span} ({_shown(of)})")
    return f"The worst group is most accurate {', and '.join(parts)}."


def _shown(choices: Sequence[StrategyChoice]) -> str:
    """Where the best way is above all others by more than chance."""
    shown = [f"{of.people:,}" for of in choices if of.shown]
    if len(shown) == len(choices):
        return "shown"
    return f"shown for {listed(shown)}" if shown else "not shown: chance may be why"
