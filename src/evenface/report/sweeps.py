"""The real-fraction sweep: accuracy over the share of real faces, with and without KD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from evenface.report import figures
from evenface.report.chart import Chart, Panel
from evenface.report.figures import Series, Style, finite
from evenface.report.grid import slice_title
from evenface.report.numbers import MISSING, coverage, number, percent
from evenface.report.schema import UNKNOWN, Benchmark, Estimate, Results, Sweep, SweepPoint
from evenface.report.svg import INK
from evenface.report.table import Cell, Column, Table, TableRow


@dataclass(frozen=True)
class ShownSweep:
    """The sweeps of one benchmark and levels: without KD and with each teacher."""

    title: str
    answers: list[str]
    chart: Chart
    by_group: Chart
    table: Table


def shown_sweeps(results: Results) -> list[ShownSweep]:
    """All sweeps, in the order of the results."""
    together: dict[tuple[str, tuple[tuple[str, str], ...]], list[Sweep]] = {}
    apart = results.distillation_factors
    for sweep in results.sweep:
        shared = tuple(sorted((f, v) for f, v in sweep.levels.items() if f not in apart))
        together.setdefault((sweep.benchmark, shared), []).append(sweep)
    return [
        _shown(results, number, key[0], dict(key[1]), sweeps)
        for number, (key, sweeps) in enumerate(together.items(), 1)
    ]


def _shown(
    results: Results,
    place: int,
    benchmark: str,
    levels: dict[str, str],
    sweeps: Sequence[Sweep],
) -> ShownSweep:
    tested = next((b for b in results.benchmarks if b.id == benchmark), None)
    where = tested.title if tested else benchmark
    parts = [where, slice_title(results, levels, None)]
    sweeps = sorted(sweeps, key=lambda s: s.teacher is not None)
    return ShownSweep(
        ", ".join(filter(None, parts)),
        [answer for s in sweeps for answer in _answers(results, s)],
        _over_groups(results, f"sweep-{place}", sweeps, tested),
        _by_group(results, f"sweep-{place}-groups", sweeps, tested),
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
    """In a sentence: the smallest share of real faces that is shown to be enough."""
    condition = _condition(results, sweep)
    smallest = sweep.smallest_against_plain or sweep.smallest
    against = " without KD" if sweep.smallest_against_plain else ""
    if smallest.fraction is None:
        found = "no share of real faces is shown to keep"
    elif smallest.fraction == 0:
        found = "synthetic faces alone are shown to keep"
    else:
        found = f"{percent(smallest.fraction, digits=0)} % real faces are shown to keep"
    margin = (
        "" if sweep.epsilon is None else f" within {number(100 * sweep.epsilon, digits=1)} points"
    )
    return (
        f"{condition[:1].upper()}{condition[1:]}, {found} the worst group{margin} of all-real "
        f"training{against}."
    )


def _simulated(benchmark: Benchmark | None) -> bool:
    return benchmark is not None and benchmark.simulated


def _condition(results: Results, sweep: Sweep) -> str:
    """ "without KD", "KD from study", with the levels that only students with KD have."""
    if sweep.teacher is None:
        return "without KD"
    apart = {f: v for f, v in sweep.levels.items() if f in results.distillation_factors}
    extra = slice_title(results, apart, None)
    return ", ".join(filter(None, (f"KD from {results.teacher_name(sweep.teacher)}", extra)))


def _style(place: int, sweep: Sweep) -> Style:
    return Style(INK).without_kd() if sweep.teacher is None else Style.of_series(place - 1)


def _over_groups(
    results: Results, identifier: str, sweeps: Sequence[Sweep], benchmark: Benchmark | None
) -> Chart:
    chart = Chart(
        identifier,
        "Accuracy of students over the share of real faces in their training set, in the mean over "
        f"groups and in the worst group, with {coverage(results.level)} intervals. Dotted: the "
        "worst group of all-real training, with the same teacher or none, less the margin that "
        "counts as none.",
        "The sweep has no accuracies.",
        simulated=_simulated(benchmark),
        wide=True,
    )
    mean, worst = (
        [_series(place, sweep, pick) for place, sweep in enumerate(sweeps)]
        for pick in (lambda point: point.mean, lambda point: point.worst)
    )
    vertical = figures.limits(e for s in (*mean, *worst) for _, e in s.points)
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
        drawing = figures.series_chart(
            chart.next_name,
            f"{title} over the share of real faces: {_said(results, sweeps, series)}.",
            series,
            vertical,
            floors=floors,
            size=(380, 270),
        )
        chart.panels.append(Panel(title, drawing))
    _explain(results, chart, sweeps)
    return chart


def _by_group(
    results: Results, identifier: str, sweeps: Sequence[Sweep], benchmark: Benchmark | None
) -> Chart:
    chart = Chart(
        identifier,
        "The same by group, all on one scale.",
        "The sweep has no accuracies by group.",
        simulated=_simulated(benchmark),
    )
    found = dict.fromkeys(group for s in sweeps for p in s.points for group in p.groups)
    groups = [g for g in (benchmark.groups if benchmark else ()) if g in found] or list(found)

    def of_group(group: str, point: SweepPoint) -> Estimate:
        return point.groups.get(group, UNKNOWN)

    panels = [
        (group, [_series(i, s, partial(of_group, group)) for i, s in enumerate(sweeps)])
        for group in groups
    ]
    vertical = figures.limits(e for _, series in panels for s in series for _, e in s.points)
    if vertical is None:
        return chart
    for group, series in panels:
        drawing = figures.series_chart(
            chart.next_name,
            f"{group}: accuracy over the share of real faces: {_said(results, sweeps, series)}.",
            series,
            vertical,
        )
        chart.panels.append(Panel(group, drawing))
    _explain(results, chart, sweeps)
    return chart


def _series(place: int, sweep: Sweep, pick: Callable[[SweepPoint], Estimate]) -> Series:
    ordered = sorted(sweep.points, key=lambda point: point.fraction)
    points = [(p.fraction, e) for p in ordered if finite((e := pick(p)).value)]
    return Series(_style(place, sweep), points)


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
        f"Accuracy in % over the share of real faces: {where}.",
        [
            Column("condition", numeric=False),
            Column("real faces, %"),
            Column("training set", numeric=False),
            Column("mean", "accuracy"),
            Column("worst group", "worst-group"),
            *(Column(group) for group in groups),
        ],
        simulated=simulated,
    )
    for sweep in sweeps:
        points = sorted(sweep.points, key=lambda point: point.fraction)
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
                    span=0 if place else len(points),
                )
                for place, point in enumerate(points)
            ]
        )
    margins = sorted({s.epsilon for s in sweeps if s.epsilon is not None})
    if margins:
        sizes = " and ".join(number(100 * margin, digits=1) for margin in margins)
        table.remarks.append(f"Margin that counts as none: {sizes} points")
    return table


def _explain(results: Results, chart: Chart, sweeps: Sequence[Sweep]) -> None:
    for place, sweep in enumerate(sweeps):
        chart.explain(_condition(results, sweep), _style(place, sweep), marker=True)
