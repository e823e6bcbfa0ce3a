"""Two models on the same pairs: what differs, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evenface.evaluate.bootstrap import PairedDifference
from evenface.evaluate.measures import better, of_kind
from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.evaluate.results import Evaluation

Answer = Literal["higher", "lower", "not distinguishable", "undefined"]

OPERATING_POINT = "1e-3"
"""Where error rates are compared, if both evaluations support it; else at the global threshold."""


@dataclass(frozen=True)
class ComparedGroup:
    """Second minus first model in one group."""

    group: str
    difference: PairedDifference
    p_holm: float | None
    """Adjusted for picking this group among all (Holm)."""
    answer: Answer
    """By the adjusted p; "not distinguishable" is an answer."""


@dataclass(frozen=True)
class ComparedMeasure:
    """One measure of every group, second minus first."""

    measure: str
    groups: tuple[ComparedGroup, ...]
    p_better_everywhere: float | None
    """Of "the second is better in every group", one-sided (intersection–union); None where a group
    has no difference."""
    better_everywhere: bool
    """Whether that p is below one minus the level."""


@dataclass(frozen=True)
class ComparedOverall:
    """A measure over groups, second minus first."""

    measure: str
    difference: PairedDifference
    answer: Answer


@dataclass(frozen=True)
class Comparison:
    """Two evaluations, paired by resample.

    Answers about single groups are adjusted for the number of groups, not for the number of
    measures: name the measure that decides before looking.
    """

    first: str | None
    second: str | None
    level: float
    by_group: tuple[ComparedMeasure, ...]
    overall: tuple[ComparedOverall, ...]


def compare_evaluations(first: Evaluation, second: Evaluation) -> Comparison:
    """``second − first`` in every measure that both have, tested on shared resamples.

    Raises:
        ValueError: the evaluations are not of the same pairs, bootstrap seed and replicates, or
            have no replicates.
    """
    if not first.replicates or not second.replicates:
        raise ValueError("evaluations without bootstrap replicates cannot be compared")
    names = group_measures(first, second)
    by_group = tuple(_compare_groups(first, second, name) for name in names)
    overall = tuple(
        _compare_overall(first, second, name)
        for name in overall_measures(first, second, len(first.groups))
    )
    return Comparison(first.model, second.model, first.bootstrap.level, by_group, overall)


def group_measures(first: Evaluation, second: Evaluation) -> list[str]:
    """Names of the measures of groups that :func:`compare_evaluations` compares."""
    wanted = [name for name in of_kind("group") if name != "tar"]
    wanted += [
        f"tar@far={key}"
        for key in next(iter(first.groups.values())).tar_at_far
        if all(
            key in of.tar_at_far and of.tar_at_far[key].value is not None
            for evaluation in (first, second)
            for of in evaluation.groups.values()
        )
    ]
    wanted += _at_threshold(first, second, ("fmr", "fnmr"))
    return [name for name in wanted if name in first.replicates and name in second.replicates]


def overall_measures(first: Evaluation, second: Evaluation, groups: int) -> list[str]:
    """Names of the measures over groups that :func:`compare_evaluations` compares."""
    wanted = ["overall.accuracy"]
    if groups > 1:
        wanted += [f"overall.{name}" for name, of in of_kind("overall").items() if of.compared]
        at_one = [name for name, of in of_kind("threshold").items() if of.compared]
        found = _at_threshold(first, second, at_one)
        wanted += [name if "@" in name else f"global.{name}" for name in found]
        wanted.append("worst_case.worst_error")
    return [name for name in wanted if name in first.replicates and name in second.replicates]


def _at_threshold(first: Evaluation, second: Evaluation, names: Sequence[str]) -> list[str]:
    supported = all(
        any(p.key == OPERATING_POINT and p.threshold is not None for p in of.operating_points)
        and f"fmr@{OPERATING_POINT}" in of.replicates
        for of in (first, second)
    )
    return [f"{name}@{OPERATING_POINT}" if supported else name for name in names]


def _compare_groups(first: Evaluation, second: Evaluation, measure: str) -> ComparedMeasure:
    found = {g: first.compare(second, measure, group=g) for g in first.groups}
    alpha = 1 - first.bootstrap.level
    defined = {g: d.p_value for g, d in found.items() if d.p_value is not None}
    adjusted = dict(zip(defined, holm(list(defined.values())), strict=True))
    groups = tuple(
        ComparedGroup(
            group=g,
            difference=difference,
            p_holm=adjusted.get(g),
            answer=_answer(difference, adjusted.get(g), alpha),
        )
        for g, difference in found.items()
    )
    together = None
    if len(defined) == len(found):
        one_sided = [_p_better(measure, difference) for difference in found.values()]
        together = intersection_union(one_sided)
    return ComparedMeasure(
        measure=measure,
        groups=groups,
        p_better_everywhere=together,
        better_everywhere=together is not None and together < alpha,
    )


def _compare_overall(first: Evaluation, second: Evaluation, measure: str) -> ComparedOverall:
    difference = first.compare(second, measure)
    return ComparedOverall(
        measure=measure,
        difference=difference,
        answer=_answer(difference, difference.p_value, 1 - first.bootstrap.level),
    )


def _answer(difference: PairedDifference, p_value: float | None, alpha: float) -> Answer:
    if difference.value is None or p_value is None:
        return "undefined"
    if p_value >= alpha or not difference.distinguishable:
        return "not distinguishable"
    return "higher" if difference.value > 0 else "lower"


def _p_better(measure: str, difference: PairedDifference) -> float:
    p_value = difference.p_greater if better(measure, 1.0) else difference.p_less
    assert p_value is not None
    return p_value
