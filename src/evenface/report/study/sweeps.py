"""Sweeps: accuracy over the share of real faces, or of right labels, with and without KD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from evenface.record import Estimate
from evenface.report.drawings import intervals, marks
from evenface.report.drawings.intervals import Series
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import INK
from evenface.report.figure import Figure
from evenface.report.numbers import MISSING, coverage, format_estimate, number, percent
from evenface.report.study.grid import slice_title
from evenface.report.study.names import with_article
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.study.record import UNKNOWN, Benchmark, Results, Smallest, Sweep, SweepPoint
from evenface.study.wording import points

_WHOLE = {
    "real faces": "training on real faces alone",
    "right labels": "a mix with all labels right",
}
"""What is swept over → what a share of 1 is called."""
_QUESTIONS = {"real faces": "How many real faces?", "right labels": "How many right labels?"}


def sweep_question(results: Results) -> str:
    """What the sweeps of a study ask."""
    return " ".join(dict.fromkeys(_QUESTIONS[sweep.of] for sweep in results.sweep))


@dataclass(frozen=True)
class ShownSweep:
    """The sweeps of one benchmark and levels: without KD and with each teacher."""

    title: str
    answers: list[str]
    chart: Figure
    table: Table


def shown_sweeps(results: Results) -> list[ShownSweep]:
    """All sweeps, in the order of the results."""
    return [_shown(results, place, of) for place, of in enumerate(_together(results), 1)]


def _together(results: Results) -> list[list[Sweep]]:
    """The sweeps of one benchmark and levels together, that without KD first."""
    found: dict[tuple[object, ...], list[Sweep]] = {}
    apart = results.distillation_factors
    for sweep in results.sweep:
        shared = tuple(sorted((f, v) for f, v in sweep.levels.items() if f not in apart))
        family = frozenset(p.set for p in sweep.points) if sweep.of == "right labels" else None
        found.setdefault((sweep.benchmark, sweep.of, family, shared), []).append(sweep)
    return [sorted(of, key=lambda s: s.teacher is not None) for of in found.values()]


def _shown(results: Results, place: int, sweeps: Sequence[Sweep]) -> ShownSweep:
    benchmark = sweeps[0].benchmark
    tested = next((b for b in results.benchmarks if b.id == benchmark), None)
    where = tested.title if tested else benchmark
    apart = results.distillation_factors
    shared = {f: level for f, level in sweeps[0].levels.items() if f not in apart}
    parts = [where, slice_title(results, shared, None)]
    return ShownSweep(
        ", ".join(filter(None, parts)),
        [answer for s in sweeps for answer in _answers(results, s)],
        _over_groups(results, f"sweep-{place}", sweeps, tested),
        _table(results, f"sweep-{place}-table", sweeps, where, simulated=_simulated(tested)),
    )


def _answers(results: Results, sweep: Sweep) -> list[str]:
    condition = _condition(results, sweep)
    said = [sweep.smallest, sweep.smallest_against_plain]
    return [
        f"{condition[:1].upper()}{condition[1:]}: {smallest.statement}"
        for smallest in said
        if smallest and smallest.statement
    ]


def sweep_headline(results: Results, sweep: Sweep) -> str:
    """In a sentence: the smallest share that is shown to be enough."""
    smallest = sweep.smallest_against_plain or sweep.smallest
    condition = "Without distillation"
    if sweep.teacher is not None:
        condition = f"With distillation from {with_article(results.teacher_name(sweep.teacher))}"
    extra = slice_title(results, _apart(results, sweep), None)
    condition = ", ".join(filter(None, (condition, extra)))
    keeps, stays = "up with", "keeps up with"
    if sweep.epsilon is not None:
        keeps = f"within {points(sweep.epsilon)} of"
        stays = f"stays {keeps}"
    against = _WHOLE[sweep.of]
    if sweep.smallest_against_plain:
        against += " without distillation"
    if smallest.fraction is None:
        return (
            f"{condition}, no share of {sweep.of} below 100 % is shown to keep the worst group "
            f"{keeps} {against}."
        )
    found = f"{percent(smallest.fraction, digits=0)} % {sweep.of} are"
    if sweep.of == "real faces" and smallest.fraction == 0:
        found = "synthetic faces alone are"
    return (
        f"{condition}, {found} enough: the worst group {stays} {against}"
        f"{_measured(sweep, smallest)}."
    )


def _measured(sweep: Sweep, smallest: Smallest) -> str:
    """The figure behind it, with its interval: " (+4.9 points [+1.0, +8.5])"."""
    if smallest.change is not None and finite(smallest.change.value):
        return f" ({format_estimate(smallest.change, digits=1, sign=True, unit=' points')})"
    at = next((p.worst for p in sweep.points if p.fraction == smallest.fraction), UNKNOWN)
    if not finite(at.value):
        return ""
    return f" and reaches {format_estimate(at, digits=1, unit=' %')}"


def worst_group_picture(results: Results) -> Figure:
    """The curve that a sweep is about: the worst group over the share."""
    first = next(iter(results.sweep), None)
    benchmark = next((b for b in results.benchmarks if first and b.id == first.benchmark), None)
    of = first.of if first else "real faces"
    chart = Figure(
        "picture",
        f"Accuracy of the worst group, with {coverage(results.level)} intervals. Dotted: "
        f"{_WHOLE[of]}, less the margin.",
        "The sweep has no accuracies.",
        simulated=_simulated(benchmark),
    )
    sweeps = _together(results)[0] if first else []
    series = [_series(place, sweep, lambda p: p.worst) for place, sweep in enumerate(sweeps)]
    vertical = marks.limits(e for s in series for _, e in s.points)
    if vertical is None:
        return chart
    floors = [
        (floor, one.style)
        for sweep, one in zip(sweeps, series, strict=True)
        if finite(floor := _floor(sweep))
    ]
    draw = partial(
        intervals.series_chart,
        label=f"Worst group over the share of {of}: {_said(results, sweeps, series)}.",
        series=series,
        vertical=vertical,
        floors=floors,
        across=of,
        unit="accuracy of the worst group, %",
    )
    chart.picture(draw)
    _explain(results, chart, sweeps)
    return chart


def _simulated(benchmark: Benchmark | None) -> bool:
    return benchmark is not None and benchmark.simulated


def _condition(results: Results, sweep: Sweep) -> str:
    """ "without KD", "KD from study teacher", with the levels that only students with KD have."""
    if sweep.teacher is None:
        return "without KD"
    extra = slice_title(results, _apart(results, sweep), None)
    return ", ".join(filter(None, (f"KD from {results.teacher_name(sweep.teacher)}", extra)))


def _apart(results: Results, sweep: Sweep) -> dict[str, str]:
    """The levels that only students with KD have."""
    return {f: v for f, v in sweep.levels.items() if f in results.distillation_factors}


def _style(place: int, sweep: Sweep) -> Style:
    return Style(INK).without_kd() if sweep.teacher is None else Style.of_series(place - 1)


def _over_groups(
    results: Results, identifier: str, sweeps: Sequence[Sweep], benchmark: Benchmark | None
) -> Figure:
    of = sweeps[0].of
    chart = Figure(
        identifier,
        f"Accuracy over the share of {of}, with {coverage(results.level)} intervals. Dotted: the "
        f"worst group of {_WHOLE[of]}, with the same teacher or none, less the margin.",
        "The sweep has no accuracies.",
        simulated=_simulated(benchmark),
        wide=True,
    )
    mean, worst = (
        [_series(place, sweep, pick) for place, sweep in enumerate(sweeps)]
        for pick in (lambda point: point.mean, lambda point: point.worst)
    )
    vertical = marks.limits(e for s in (*mean, *worst) for _, e in s.points)
    if vertical is None:
        return chart
    enough = [
        (floor, one.style)
        for sweep, one in zip(sweeps, worst, strict=True)
        if finite(floor := _floor(sweep))
    ]
    for title, series, floors in (
        ("Mean over groups", mean, []),
        ("Worst group", worst, enough),
    ):
        chart.add(
            title,
            intervals.series_chart,
            f"{title} over the share of {of}: {_said(results, sweeps, series)}.",
            series,
            vertical,
            floors=floors,
            across=of,
            size=(380, 270),
        )
    _explain(results, chart, sweeps)
    return chart


def _series(place: int, sweep: Sweep, pick: Callable[[SweepPoint], Estimate]) -> Series:
    ordered = sorted(sweep.points, key=lambda point: point.fraction)
    found = [(p.fraction, e) for p in ordered if finite((e := pick(p)).value)]
    return Series(_style(place, sweep), found)


def _floor(sweep: Sweep) -> float | None:
    """What the worst group must reach to count as all-real; None where that is not known."""
    real = next((p.worst.value for p in sweep.points if p.fraction == 1), None)
    return real - sweep.epsilon if finite(real) and finite(sweep.epsilon) else None


def _said(results: Results, sweeps: Sequence[Sweep], series: Sequence[Series]) -> str:
    return "; ".join(
        f"{_condition(results, sweep)} "
        + ", ".join(f"{percent(e.value)} % at {percent(x, digits=0)} %" for x, e in one.points)
        for sweep, one in zip(sweeps, series, strict=True)
    )


def _table(
    results: Results,
    identifier: str,
    sweeps: Sequence[Sweep],
    where: str,
    *,
    simulated: bool,
) -> Table:
    groups = list(dict.fromkeys(g for s in sweeps for p in s.points for g in p.groups))
    table = Table(
        identifier,
        f"Accuracy in % over the share of {sweeps[0].of}: {where}.",
        [
            *words("condition"),
            Column(f"{sweeps[0].of}, %"),
            *words("training set"),
            Column("mean", "accuracy"),
            Column("worst group", "worst-group"),
            *(Column(group) for group in groups),
        ],
        simulated=simulated,
    )
    for sweep in sweeps:
        ordered = sorted(sweep.points, key=lambda point: point.fraction)
        table.sections.append(
            [
                TableRow(
                    _condition(results, sweep),
                    [
                        Cell(percent(point.fraction, digits=0), number=point.fraction),
                        Cell(point.set or MISSING),
                        table.estimate(point.mean),
                        table.estimate(point.worst),
                        *(table.estimate(point.groups.get(g, UNKNOWN)) for g in groups),
                    ],
                    span=0 if place else len(ordered),
                )
                for place, point in enumerate(ordered)
            ]
        )
    margins = sorted({s.epsilon for s in sweeps if s.epsilon is not None})
    if margins:
        sizes = " and ".join(number(100 * margin, digits=1) for margin in margins)
        table.remarks.append(f"Margin: a loss of {sizes} points counts as none")
    return table


def _explain(results: Results, chart: Figure, sweeps: Sequence[Sweep]) -> None:
    for place, sweep in enumerate(sweeps):
        chart.explain(_condition(results, sweep), _style(place, sweep), marker=True)
