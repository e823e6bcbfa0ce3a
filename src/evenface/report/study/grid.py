"""The grid of a study: which students without and with KD belong together, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenface.study.record import Benchmark, Difference, Model, Results, Sweep
from evenface.study.spec import STUDY_TEACHER
from evenface.study.wording import OVER_GROUPS

MANY = 12
"""Panels that a chart of single pairs has at most; the table beside it has all of them."""

_SHARES = 3
Levels = Mapping[str, str]


@dataclass(frozen=True)
class Pairing:
    """The arms of a training set and levels without KD and with KD from one teacher."""

    set: str
    levels: Levels
    """Of the student with KD."""
    teacher: str | None
    plain: Model | None
    distilled: Model | None


@dataclass(frozen=True)
class Slice:
    """Pairings that differ in the training set alone."""

    levels: Levels
    teacher: str | None
    pairings: list[Pairing]
    title: str
    """Its levels and, where there are several, its teacher; "" where there is but one slice."""


def slices(results: Results) -> list[Slice]:
    """Every pairing, by teacher (the main one first), then by levels, then by training set.

    Without any teacher the slices hold the students without KD.
    """
    found = []
    for teacher in results.distillers or (None,):
        for levels in _combinations(results, teacher):
            every = (
                Pairing(
                    name,
                    levels,
                    teacher,
                    plain_arm(results, name, levels),
                    distilled_arm(results, name, levels, teacher),
                )
                for name in results.training_sets
            )
            found.append(
                Slice(
                    levels,
                    teacher,
                    [p for p in every if p.plain or p.distilled],
                    slice_title(results, levels, teacher),
                )
            )
    return found


def slice_title(results: Results, levels: Levels, teacher: str | None) -> str:
    """Levels, and the teacher where there are several: "mini-l, adaface, KD from sface"."""
    parts = [levels_title(results, levels)]
    if teacher and len(results.distillers) > 1:
        parts.append(f"KD from {results.teacher_name(teacher)}")
    return ", ".join(filter(None, parts))


def levels_title(results: Results, levels: Levels) -> str:
    """The levels of factors that vary: "mini-l, adaface"; "" where none does."""
    return ", ".join(
        levels[factor]
        for factor, every in results.factors.items()
        if factor in levels and len(every) > 1
    )


def level_rank(results: Results, levels: Levels) -> tuple[int, ...]:
    """Where levels stand in the study's order, factor by factor; one without a level first."""
    return tuple(
        every.index(levels[factor]) if levels.get(factor) in every else -1
        for factor, every in results.factors.items()
    )


def plain_arm(results: Results, training_set: str, levels: Levels) -> Model | None:
    """The arm without KD to which one of ``levels`` is compared, or None where there is none."""
    shared = _shared(results, levels)
    arms = (m for m in results.students if m.set == training_set and not m.kd)
    return next((m for m in arms if _shared(results, m.levels) == shared), None)


def distilled_arm(
    results: Results, training_set: str, levels: Levels, teacher: str | None
) -> Model | None:
    """The arm with KD from a teacher, or None where there is none."""
    arms = (m for m in results.students if m.set == training_set and m.kd)
    return next((m for m in arms if m.teacher == teacher and m.levels == levels), None)


def difference(
    results: Results, pairing: Pairing, benchmark: Benchmark, group: str, metric: str
) -> Difference | None:
    """With KD minus without of one pairing, or None where it is not in the results."""
    sought = (pairing.set, pairing.teacher, benchmark.id, group, metric)
    for d in results.differences:
        if (d.set, d.teacher, d.benchmark, d.group, d.metric) == sought and _same(
            results, d.levels, pairing.levels
        ):
            return d
    return None


def mean_difference(results: Results, pairing: Pairing, benchmark: Benchmark) -> Difference | None:
    """The difference of mean accuracy over groups, or of accuracy where there is one group."""
    whole = OVER_GROUPS if len(benchmark.groups) != 1 else benchmark.groups[0]
    return difference(results, pairing, benchmark, whole, "accuracy")


def _combinations(results: Results, teacher: str | None) -> list[Levels]:
    """Levels of the students of a teacher, and of those without KD that have no such partner."""
    found = [m.levels for m in results.students if m.kd and m.teacher == teacher]
    partnered = [_shared(results, levels) for levels in found]
    plain = (m.levels for m in results.students if not m.kd)
    found += [levels for levels in plain if _shared(results, levels) not in partnered]
    unique = {tuple(sorted(levels.items())): levels for levels in found}
    return sorted(unique.values(), key=lambda levels: level_rank(results, levels))


def _shared(results: Results, levels: Levels) -> dict[str, str]:
    of_distillation = results.distillation_factors
    return {factor: level for factor, level in levels.items() if factor not in of_distillation}


def _same(results: Results, found: Levels, sought: Levels) -> bool:
    """Whether levels are the same, where factors that do not vary may be left out."""
    varying = [factor for factor, levels in results.factors.items() if len(levels) > 1]
    return all(found.get(factor) == sought.get(factor) for factor in varying)


def main_sweep(results: Results, benchmark: Benchmark) -> Sweep | None:
    """The sweep that a study is about: of its main teacher, over more shares than any mix needs.

    Synthetic, mixed and real faces are three shares: a comparison of sets, not a sweep.
    """
    if len(slices(results)) > max(1, len(results.distillers)):
        return None
    teacher = next(iter(results.distillers), None)
    of_teacher = (s for s in results.sweep if (s.benchmark, s.teacher) == (benchmark.id, teacher))
    return next((s for s in of_teacher if len({p.fraction for p in s.points}) > _SHARES), None)


def friendly_teachers(results: Results) -> frozenset[str]:
    """Ids of the teachers that learned from the very renderer that made the test faces."""
    if not results.study.simulated:
        return frozenset()
    given = results.study.spec.get("teachers")
    trained = (
        str(of.get("name"))
        for of in (given if isinstance(given, list) else ())
        if isinstance(of, Mapping) and "set" in of
    )
    return frozenset({STUDY_TEACHER, *trained})
