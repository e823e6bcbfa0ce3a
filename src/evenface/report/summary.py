"""What a study found, in one paragraph and one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from evenface.report.claims import rule_of, subject_of
from evenface.report.figures import finite
from evenface.report.grid import (
    Pairing,
    difference,
    levels_title,
    mean_difference,
    slices,
)
from evenface.report.models import facets, no_evaluation
from evenface.report.numbers import MISSING, coverage, interval, number, percent
from evenface.report.schema import Benchmark, Claim, Difference, Evaluation, Results
from evenface.report.sweeps import sweep_headline
from evenface.report.table import Cell, Column, Table, TableRow
from evenface.study.wording import OVER_GROUPS, change, listed

_AVERAGE = "kd-helps-on-average"
_RAISES = "kd-raises-accuracy"
_LOWERS = {
    "kd-lowers-absolute-unevenness": "that groups come nearer to each other in points",
    "kd-lowers-relative-unevenness": "that the worst group errs fewer times as often as the best",
    "kd-lowers-unevenness": "that groups become more alike",  # of older results
}
_GAP = {
    "gap-closed-synthetic": "Of the gap between real and synthetic faces without KD, synthetic "
    "faces with KD make up",
    "gap-closed": "With KD on both, that gap shrinks by",
}
_MIX = {
    "mix-matches-real": "With KD, a mix matches real faces with KD",
    "mix-matches-real-without-kd": "With KD, a mix matches real faces without it",
}
_FEW_SWEEPS = 3
LEAST_SEEDS = 3
"""Training seeds below which nothing is called decided; as in the rules of the claims."""


@dataclass(frozen=True)
class _Compared:
    """A pairing whose difference of mean accuracy is known."""

    title: str
    mean: Difference
    value: float


def paragraph(results: Results, benchmark: Benchmark) -> str:
    """The study's headline in plain words, of the main teacher on one benchmark.

    Counts, ranges and averages over cells are of what the page shows; what the rules leave open is
    called undecided.
    """
    teacher = next(iter(results.distillers), None)
    claims = [
        c
        for c in results.claims
        if c.benchmark in (benchmark.id, None) and c.teacher in (teacher, None)
    ]
    sentences = [
        *_effect(results, benchmark, teacher, claims),
        *_every_group(results, claims),
        *_gaps(claims),
        *_mixes(results, claims),
        *_unevenness(results, benchmark, teacher, claims),
        *_sweep(results, benchmark),
        *_holes(results),
    ]
    return " ".join(sentences)


def _effect(
    results: Results, benchmark: Benchmark, teacher: str | None, claims: Sequence[Claim]
) -> Iterator[str]:
    found = _compared(results, benchmark, teacher)
    if not found:
        return
    values = [c.value for c in found]
    name = results.teacher_name(teacher)
    if len(found) == 1:
        only = found[0].mean
        undecided = "" if _decided(results, only) else ", which is undecided"
        yield (
            f"Distillation from {name} changes mean accuracy over groups by "
            f"{change(only, 'points')}{undecided}."
        )
        return
    tested = next((c for c in claims if rule_of(c) == _AVERAGE and c.tests), None)
    average = f"{number(100 * fmean(values), sign=True)} points"
    verdict = ""
    if tested:
        average = change(tested.tests[0], "points")
        verdict = f" ({tested.verdict})"
    least, most = min(found, key=lambda c: c.value), max(found, key=lambda c: c.value)
    yield (
        f"Distillation from {name} changes mean accuracy over groups by {average} on average over "
        f"{len(found)} pairs of students without and with it{verdict}: from "
        f"{number(100 * least.value, sign=True)} ({least.title}) to "
        f"{number(100 * most.value, sign=True)} ({most.title}). It rises in "
        f"{_of(sum(v > 0 for v in values), len(found))} pairs, and the difference is decided in "
        f"{_of(sum(_decided(results, c.mean) for c in found), len(found))}."
    )
    for other in (t for t in results.distillers if t != teacher):
        if of_other := _compared(results, benchmark, other):
            rise = fmean(c.value for c in of_other)
            beyond = sum(_decided(results, c.mean) for c in of_other)
            yield (
                f"From {results.teacher_name(other)} it changes by "
                f"{number(100 * rise, sign=True)} points on average, decided in "
                f"{_of(beyond, len(of_other))}."
            )


def _decided(results: Results, found: Difference) -> bool:
    """Whether a difference is told from none; never from fewer seeds than verdicts need."""
    return len(results.study.seeds) >= LEAST_SEEDS and found.decided(results.level)


def _every_group(results: Results, claims: Sequence[Claim]) -> Iterator[str]:
    found = [c for c in claims if rule_of(c) == _RAISES]
    if found:
        yield f"That every group gains is supported in {_supported(found)}."


def _gaps(claims: Sequence[Claim]) -> Iterator[str]:
    """The share of the gap closed, in both readings."""
    for rule, reading in _GAP.items():
        found = [c for c in claims if rule_of(c) == rule]
        shares = sorted(
            100 * test.value
            for claim in found
            for test in claim.tests
            if test.unit == "share" and finite(test.value)
        )
        if not found:
            continue
        if not shares:
            yield f"{reading} what cannot be told, for no gap was measurable."
        elif len(shares) == 1 == len(found):
            test = next(t for t in found[0].tests if t.unit == "share")
            undecided = "" if found[0].verdict == "supported" else f" ({found[0].verdict})"
            share = f"{number(shares[0], digits=0)} % {interval(test, digits=0)}"
            yield f"{reading} {share}{undecided}."
        else:
            span = f"{number(shares[0], digits=0)} to {number(shares[-1], digits=0)} %"
            yield f"{reading} {span}, supported in {_supported(found)}."


def _mixes(results: Results, claims: Sequence[Claim]) -> Iterator[str]:
    for rule, asked in _MIX.items():
        by_mix: dict[str, list[Claim]] = {}
        for claim in (c for c in claims if rule_of(c) == rule):
            by_mix.setdefault(subject_of(results, claim) or "the mix", []).append(claim)
        if by_mix:
            parts = [f"{name} {_verdicts(found)}" for name, found in by_mix.items()]
            yield f"{asked}: {listed(parts)}."


def _verdicts(claims: Sequence[Claim]) -> str:
    """One verdict; or in how many claims it is "supported", and the other verdicts."""
    if len(claims) == 1:
        return f"({claims[0].verdict})"
    return f"in {_supported(claims, brackets=True)}"


def _unevenness(
    results: Results, benchmark: Benchmark, teacher: str | None, claims: Sequence[Claim]
) -> Iterator[str]:
    parts = []
    for metric, name in (("std_sample", "STD"), ("ser", "SER")):
        found = [
            d
            for of in slices(results)
            if of.teacher == teacher
            for pairing in of.pairings
            if (d := difference(results, pairing, benchmark, OVER_GROUPS, metric))
            and finite(d.value)
        ]
        if found:
            falls = sum(d.value is not None and d.value < 0 for d in found)
            decided = sum(
                d.value is not None and d.value < 0 and _decided(results, d) for d in found
            )
            beyond = f"{decided} beyond chance" if decided else "none beyond chance"
            parts.append(f"{name} falls in {_of(falls, len(found))} ({beyond})")
    if not parts:
        return
    verdicts = ""
    for rule, words in _LOWERS.items():
        asked = [c for c in claims if rule_of(c) == rule]
        verdicts += f"; {words} is supported in {_supported(asked)}" if asked else ""
    yield f"As for unevenness, {listed(parts)}{verdicts}."


def _sweep(results: Results, benchmark: Benchmark) -> Iterator[str]:
    """The answers of sweeps, where they are few."""
    found = [sweep for sweep in results.sweep if sweep.benchmark == benchmark.id]
    if len(found) <= _FEW_SWEEPS:
        yield from (sweep_headline(results, sweep) for sweep in found)
    else:
        yield "For how many real faces are enough, see the sweep."


def _holes(results: Results) -> Iterator[str]:
    if results.failures:
        runs = len(results.failures)
        yield (
            f"{runs} run{'' if runs == 1 else 's'} failed: "
            "what they leave open is marked in every table."
        )


def _supported(claims: Sequence[Claim], *, brackets: bool = False) -> str:
    """In how many claims the verdict is "supported", then the others: "3 of 5; undecided in 2"."""
    words = ("undecided", "not supported", "undefined")
    counts = {word: sum(c.verdict == word for c in claims) for word in words}
    others = listed([f"{word} in {count}" for word, count in counts.items() if count])
    held = _of(sum(c.verdict == "supported" for c in claims), len(claims))
    if not others:
        return held
    return f"{held} ({others})" if brackets else f"{held}; {others}"


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole}"


def _compared(results: Results, benchmark: Benchmark, teacher: str | None) -> list[_Compared]:
    found = []
    for of in slices(results):
        for pairing in of.pairings if of.teacher == teacher else ():
            mean = mean_difference(results, pairing, benchmark)
            if mean is not None and finite(mean.value):
                title = ", ".join(filter(None, (pairing.set, levels_title(results, of.levels))))
                found.append(_Compared(title, mean, mean.value))
    return found


def summary_table(results: Results, benchmark: Benchmark) -> Table | None:
    """Cells of the grid: without KD → with KD; None without a teacher."""
    if not results.distillers:
        return None
    table = Table(
        "cells",
        "Accuracy in % without → with KD: mean over groups, with the paired difference in "
        f"percentage points, and the worst group: {benchmark.title}.",
        [
            Column("training set", numeric=False),
            Column("mean without KD", "accuracy"),
            Column("mean with KD", "accuracy"),
            Column("difference", "paired"),
            Column("verdict", "verdict", numeric=False),
            Column("worst group without KD", "worst-group"),
            Column("worst group with KD", "worst-group"),
            Column("groups that gain"),
            Column("STD", "std"),
        ],
        remarks=[
            f"Decided: the {coverage(results.level)} interval of the difference excludes zero, "
            f"from {LEAST_SEEDS} training seeds at least. In brackets behind the groups that gain: "
            "those beyond chance after Holm's correction."
        ],
        simulated=benchmark.simulated,
        interactive=True,
    )
    for of in slices(results):
        rows = [
            TableRow(
                pairing.set,
                _summary_cells(table, results, benchmark, pairing),
                detail=of.title,
                facets=_facets(results, pairing),
            )
            for pairing in of.pairings
        ]
        table.sections.append(rows)
    return table


def _facets(results: Results, pairing: Pairing) -> dict[str, str]:
    """What pairings can be filtered by; see :func:`evenface.report.models.facets`."""
    model = pairing.distilled or pairing.plain
    found = facets(results, model) if model else {}
    return {**found, "KD": f"KD from {results.teacher_name(pairing.teacher)}"}


def _summary_cells(
    table: Table, results: Results, benchmark: Benchmark, pairing: Pairing
) -> list[Cell]:
    arms = (pairing.plain, pairing.distilled)
    plain, distilled = (results.evaluation(m.id, benchmark.id) if m else None for m in arms)
    missing = [
        table.note(no_evaluation(results, model) if model else "no such model in the study")
        if evaluation is None
        else None
        for model, evaluation in zip(arms, (plain, distilled), strict=True)
    ]
    mean = mean_difference(results, pairing, benchmark)
    change_, verdict = Cell(MISSING), Cell(MISSING)
    if mean is not None and finite(mean.value):
        verdict = Cell("decided" if _decided(results, mean) else "undecided")
        bounds = interval(mean, sign=True)
        change_ = Cell(
            percent(mean.value, sign=True),
            (bounds,) if bounds else (),
            table.note(mean.note),
            figure=mean,
        )
    return [
        _mean(plain, missing[0]),
        _mean(distilled, missing[1]),
        change_,
        verdict,
        _worst(plain, missing[0]),
        _worst(distilled, missing[1]),
        _gaining(results, benchmark, pairing),
        _spread(plain, distilled),
    ]


def _mean(evaluation: Evaluation | None, note: int | None) -> Cell:
    if evaluation is None:
        return Cell(MISSING, note=note)
    return Cell(percent(evaluation.overall.accuracy.value), figure=evaluation.overall.accuracy)


def _worst(evaluation: Evaluation | None, note: int | None) -> Cell:
    worst = evaluation.overall.worst_group.value if evaluation else None
    if evaluation is None or worst is None or worst not in evaluation.groups:
        return Cell(MISSING, note=note)
    accuracy = evaluation.groups[worst].accuracy
    return Cell(percent(accuracy.value), (worst,), figure=accuracy)


def _gaining(results: Results, benchmark: Benchmark, pairing: Pairing) -> Cell:
    found = [
        d
        for group in benchmark.groups
        if (d := difference(results, pairing, benchmark, group, "accuracy")) and finite(d.value)
    ]
    if not found:
        return Cell(MISSING)
    gaining = [d for d in found if d.value is not None and d.value > 0]
    decided = sum(_decided(results, d) for d in gaining)
    return Cell(f"{_of(len(gaining), len(found))} ({decided})")


def _spread(plain: Evaluation | None, distilled: Evaluation | None) -> Cell:
    values = [e.overall.std_sample.value if e else None for e in (plain, distilled)]
    if None in values:
        return Cell(MISSING)
    return Cell(" → ".join(percent(value) for value in values))
