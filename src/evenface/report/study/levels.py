"""Levels of a factor against its first: losses of distillation, heads, ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenface.report.drawings import intervals, marks
from evenface.report.drawings.intervals import Row
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import INK, series_colour
from evenface.report.figure import Figure
from evenface.report.numbers import MISSING, coverage, percent
from evenface.report.study.claims import LEVELS_RULE
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.study.record import Benchmark, Claim, Evidence, Results

_MEASURES = {
    "mean over groups": Style(INK, "D"),
    "worst group": Style(series_colour(1), "s"),
}


@dataclass(frozen=True)
class Comparison:
    """One factor: its further levels against the first, with KD and without."""

    title: str
    chart: Figure
    table: Table


def comparisons(
    results: Results, benchmark: Benchmark, claims: Sequence[Claim]
) -> list[Comparison]:
    """All that ``claims`` compare, factor by factor."""
    factors: dict[str, list[Claim]] = {}
    for claim in claims:
        factor = next(iter(claim.levels), "level")
        factors.setdefault(factor, []).append(claim)
    return [
        _comparison(results, benchmark, place, factor, found)
        for place, (factor, found) in enumerate(factors.items(), 1)
    ]


def _comparison(
    results: Results, benchmark: Benchmark, place: int, factor: str, claims: list[Claim]
) -> Comparison:
    baseline = next(iter(results.factors.get(factor, ())), "the first level")
    name = factor.replace("_", " ")
    title = f"{name[:1].upper()}{name[1:]} against {baseline}"
    chart = Figure(
        f"level-{place}",
        f"Accuracy with another {name} minus {baseline}, in percentage points, over all pairs that "
        f"differ in nothing else, with paired {coverage(results.level)} intervals.",
        "No differences between levels are in the results.",
        simulated=benchmark.simulated,
        wide=True,
    )
    conditions: dict[str, list[Claim]] = {}
    for claim in claims:
        conditions.setdefault(_condition(results, claim), []).append(claim)
    panels = {
        condition: [
            Row(f"{_level(claim)}: {test.label}", style, test)
            for claim in found
            for measure, style in _MEASURES.items()
            if (test := _test(claim, measure)) and finite(test.value)
        ]
        for condition, found in conditions.items()
    }
    horizontal = marks.limits((r.estimate for rows in panels.values() for r in rows), zero=True)
    for condition, rows in panels.items():
        if not rows or horizontal is None:
            continue
        said = ", ".join(f"{row.label} {percent(row.estimate.value, sign=True)}" for row in rows)
        chart.add(
            condition,
            intervals.interval_chart,
            f"{title}, {condition}: change of accuracy in points: {said}.",
            rows,
            horizontal,
            unit="points of accuracy",
            zero=True,
        )
    return Comparison(title, chart, _table(benchmark, place, title, conditions))


def _condition(results: Results, claim: Claim) -> str:
    teacher = claim.teacher
    return f"with KD from {results.teacher_name(teacher)}" if teacher else "without KD"


def _table(
    benchmark: Benchmark, place: int, title: str, conditions: Mapping[str, Sequence[Claim]]
) -> Table:
    tests = (t for of in conditions.values() for c in of for t in c.tests[1:])
    # Single cells, of which a grid has many, stay with the claim.
    labels = [
        label
        for label in dict.fromkeys(test.label for test in tests)
        if not label.startswith("mean over groups, ")
    ]
    table = Table(
        f"levels-{place}",
        f"{title}: differences in percentage points: {benchmark.title}.",
        [
            *words("level"),
            *(Column(label) for label in labels),
        ],
        simulated=benchmark.simulated,
    )
    for condition, claims in conditions.items():
        table.sections.append(
            [
                TableRow(
                    _level(claim),
                    [
                        *(_cell(table, _test(claim, label)) for label in labels),
                    ],
                    detail=condition,
                )
                for claim in claims
            ]
        )
    return table


def _cell(table: Table, test: Evidence | None) -> Cell:
    if test is None or test.value is None:
        return Cell(MISSING)
    return table.change(test, scale=1 if test.unit == "ratio" else 100)


def _test(claim: Claim, label: str) -> Evidence | None:
    return next((test for test in claim.tests if test.label == label), None)


def _level(claim: Claim) -> str:
    return next(iter(claim.levels.values()), claim.id.removeprefix(f"{LEVELS_RULE}:"))
