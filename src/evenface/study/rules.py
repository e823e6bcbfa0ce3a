"""The rules a study may ask its claims by, by name.

A rule is asked once for each benchmark and each teacher, and once without a teacher (None). It
finds the students it needs in the grid, in every slice that has them, and yields nothing where it
does not apply. A new claim is such a function and its line in :data:`RULES`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from evenface.study import claims, unevenness
from evenface.study.arm import Kind
from evenface.study.declared import RANDOM, RULE, declared_contrasts, random_groups
from evenface.study.everywhere import kd_everywhere, kd_on_average
from evenface.study.grid import Grid, Levels, Pair
from evenface.study.record import Claim
from evenface.study.selection_claims import level_beats_baseline, which_mixes_match

Rule = Callable[[Grid, str | None], Iterable[Claim]]


def check_rules(names: Sequence[str]) -> list[str]:
    """The names, once each.

    Raises:
        ValueError: one is unknown; the nearest known one and all known ones are named.
    """
    for name in names:
        if name not in RULES:
            near = difflib.get_close_matches(name, RULES, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ValueError(f"unknown claim '{name}'; {hint}known: {', '.join(RULES)}")
    return list(dict.fromkeys(names))


def _kd_raises_accuracy(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    if teacher is None or grid.of_others:
        return
    for levels, name, pair in grid.kd_pairs(teacher):
        claim = claims.kd_raises_accuracy(
            *pair, training_set=name, benchmark=grid.benchmark, teacher=teacher
        )
        yield grid.answer(claim, pair, levels)


def _kd_lowers_unevenness(rule: str, grid: Grid, teacher: str | None) -> Iterator[Claim]:
    absolute = rule in unevenness.ABSOLUTE
    ending = (unevenness.ABSOLUTE if absolute else unevenness.RELATIVE)[rule]
    for teacher_id, levels, name, pair in _uneven_pairs(grid, teacher):
        both = unevenness.kd_lowers_unevenness(
            *pair,
            ending=ending,
            training_set=name,
            benchmark=grid.benchmark,
            teacher=teacher_id,
        )
        yield grid.answer(both[0 if absolute else 1], pair, levels)


def _worst_group_better_off(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    for teacher_id, levels, name, pair in _uneven_pairs(grid, teacher):
        claim = unevenness.worst_group_better_off(
            *pair, training_set=name, benchmark=grid.benchmark, teacher=teacher_id
        )
        yield grid.answer(claim, pair, levels)


def _no_group_worse_off(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    for teacher_id, levels, name, pair in _uneven_pairs(grid, teacher):
        claim = unevenness.no_group_worse_off(
            *pair,
            training_set=name,
            benchmark=grid.benchmark,
            teacher=teacher_id,
            margin=grid.settings.margin,
        )
        yield grid.answer(claim, pair, levels)


def _uneven_pairs(grid: Grid, teacher: str | None) -> Iterator[tuple[str, Levels, str, Pair]]:
    """Students without and with the teacher; none with one group, which cannot be uneven."""
    if teacher is None or grid.of_others or len(grid.groups) < 2:
        return
    for levels, name, pair in grid.kd_pairs(teacher):
        yield teacher, levels, name, pair


def _gap_closed(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    if teacher is None or grid.of_others:
        return
    for levels in grid.slices(teacher):
        for names in _real_and(grid, "synthetic"):
            keys = [(name, t) for name in names for t in (None, teacher)]
            if found := grid.matched(*keys, levels=levels):
                real, real_kd, synthetic, synthetic_kd = found
                claim = claims.gap_closed(
                    real,
                    real_kd,
                    synthetic,
                    synthetic_kd,
                    benchmark=grid.benchmark,
                    teacher=teacher,
                    names=names,
                )
                yield grid.answer(_of_sets(claim, grid, names), found, levels)


def _gap_closed_synthetic(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    if teacher is None or grid.of_others:
        return
    for levels in grid.slices(teacher):
        for names in _real_and(grid, "synthetic"):
            keys = [(names[0], None), (names[1], None), (names[1], teacher)]
            if found := grid.matched(*keys, levels=levels):
                real, synthetic, synthetic_kd = found
                claim = claims.gap_closed_synthetic(
                    real,
                    synthetic,
                    synthetic_kd,
                    benchmark=grid.benchmark,
                    teacher=teacher,
                    names=names,
                )
                yield grid.answer(_of_sets(claim, grid, names), found, levels)


def _mix_matches_real(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    """Both with the teacher, or both without; in larger studies also the mix alone with it."""
    if grid.of_others:
        return
    for levels in grid.slices(teacher):
        for names in _real_and(grid, "mix"):
            real, mix = names
            called = f"the mix {mix}" if len(grid.of_kind("mix")) > 1 else "a mix"
            readings = [teacher]
            if teacher is not None and grid.factorial:
                readings.append(None)
            for of_real in readings:
                pair = grid.pair((real, of_real), (mix, teacher), levels)
                if not pair:
                    continue
                claim = claims.mix_matches_real(
                    *pair,
                    benchmark=grid.benchmark,
                    teacher=teacher,
                    names=names,
                    margin=grid.settings.margin,
                    real_without_kd=of_real != teacher,
                    called=called,
                )
                yield grid.answer(_of_sets(claim, grid, names), pair, levels)


def _real_people(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    if teacher is None or not grid.of_others:
        return
    references = {
        arm.title: grid.whole(arm)
        for arm in grid.arms
        if arm.kind == "untrained" or (arm.kind == "teacher" and arm.teacher == teacher)
    }
    for levels, name, pair in grid.kd_pairs(teacher):
        if grid.kinds[name] != "synthetic":
            continue
        claim = claims.kd_helps_on_others(
            *pair, references, benchmark=grid.benchmark, teacher=teacher, name=name
        )
        several = len(grid.of_kind("synthetic")) > 1
        yield grid.answer(_named(claim, name) if several else claim, pair, levels)


def _real_and(grid: Grid, kind: Kind) -> list[tuple[str, str]]:
    """Each real set with each of another kind."""
    return [(real, other) for real in grid.of_kind("real") for other in grid.of_kind(kind)]


def _of_sets(claim: Claim, grid: Grid, names: tuple[str, str]) -> Claim:
    """The claim with those of its two sets in its id and question that are not the only ones."""
    kinds = [grid.kinds[name] for name in names]
    for name, kind in zip(names, kinds, strict=True):
        if len(grid.of_kind(kind)) > 1:
            claim = _named(claim, name, in_question=kind != "mix")
    return claim


def _named(claim: Claim, name: str, *, in_question: bool = True) -> Claim:
    question = claim.question
    if in_question:
        question = f"{question.removesuffix('?')} (training set {name})?"
    return claim.model_copy(update={"id": f"{claim.id}:{name}", "question": question})


RULES: dict[str, Rule] = {
    RULE: declared_contrasts,
    RANDOM: random_groups,
    "kd-raises-accuracy": _kd_raises_accuracy,
    **{
        rule: partial(_kd_lowers_unevenness, rule)
        for both in zip(unevenness.ABSOLUTE, unevenness.RELATIVE, strict=True)
        for rule in both
    },
    "worst-group-better-off": _worst_group_better_off,
    "no-group-worse-off": _no_group_worse_off,
    "gap-closed": _gap_closed,
    "gap-closed-synthetic": _gap_closed_synthetic,
    "mix-matches-real": _mix_matches_real,
    "which-mixes-match": which_mixes_match,
    "kd-raises-accuracy-everywhere": kd_everywhere,
    "kd-helps-on-average": kd_on_average,
    "level-beats-baseline": level_beats_baseline,
    "real-people": _real_people,
}
"""Name → rule, in the order of the results."""
