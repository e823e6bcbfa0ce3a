"""Whether students have their teacher's bias: errors by group, of teacher and students."""

from __future__ import annotations

from evenface.record import Estimate
from evenface.report.drawings import intervals, marks
from evenface.report.drawings.intervals import Marks
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import INK, series_colour
from evenface.report.figure import Figure
from evenface.report.numbers import number, p_value, percent
from evenface.report.study.grid import slice_title
from evenface.report.study.pictures import few
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.study.record import Benchmark, Inheritance, Results

ALL_SETS = "all"
"""What the entry over all cells has in place of a training set."""
_ALL_PAIRS = "all pairs"
_TEACHER = Style(INK, "D")
_KD = Style(series_colour(0))


def inheritance_chart(results: Results, benchmark: Benchmark) -> Figure:
    """Errors of each group, a panel for each training set and slice of the grid."""
    chart = Figure(
        "inherited",
        "Error by group, in %, of the teacher and of students without and with KD from it. A bias "
        "is inherited where students with KD resemble the teacher more than those without.",
        "No errors by group are in the results.",
        simulated=benchmark.simulated,
    )
    found = few(chart, _of(results, benchmark))
    every = [
        Estimate(value=value)
        for entry in found
        for errors in entry.groups.values()
        for value in (errors.teacher, errors.plain, errors.kd)
    ]
    horizontal = marks.limits(every, zero=True)
    if horizontal is None:
        return chart
    for entry in found:
        rows = [
            Marks(
                group,
                [
                    (errors.teacher, _TEACHER),
                    (errors.plain, _KD.without_kd()),
                    (errors.kd, _KD),
                ],
            )
            for group, errors in entry.groups.items()
        ]
        said = "; ".join(
            f"{group} teacher {percent(e.teacher)}, without KD {percent(e.plain)}, with KD "
            f"{percent(e.kd)} %"
            for group, e in entry.groups.items()
        )
        part = slice_title(results, entry.levels, entry.teacher)
        chart.add(
            _title(entry),
            intervals.marks_chart,
            f"Errors by group, {_title(entry)}: {said}.",
            rows,
            (max(0.0, horizontal[0]), horizontal[1]),
            detail=part,
            unit="error, %",
        )
    chart.explain("teacher", _TEACHER, line=False, marker=True)
    chart.explain("student without KD", _KD.without_kd(), line=False, marker=True)
    chart.explain("student with KD", _KD, line=False, marker=True)
    return chart


def inheritance_table(results: Results, benchmark: Benchmark) -> Table | None:
    """Errors by group and their correlation with the teacher's; None without any."""
    found = _of(results, benchmark)
    if not found:
        return None
    groups = list(dict.fromkeys(group for entry in found for group in entry.groups))
    table = Table(
        "inheritance-table",
        "Error in % by group, teacher / without KD / with KD, and the correlation over groups of "
        f"the students' errors with the teacher's: {benchmark.title}.",
        [
            *words("training set"),
            *(Column(group) for group in groups),
            Column("correlation without KD"),
            Column("correlation with KD"),
            Column("change", "paired"),
            Column("p by permutation"),
        ],
        remarks=[
            f"A correlation over {len(groups)} groups rests on {len(groups)} points: read the "
            "errors."
        ],
        simulated=benchmark.simulated,
    )
    sections: dict[str, list[TableRow]] = {}
    for entry in found:
        cells = []
        for group in groups:
            errors = entry.groups.get(group)
            values = (errors.teacher, errors.plain, errors.kd) if errors else (None,) * 3
            cells.append(Cell(" / ".join(percent(value) for value in values)))
        for value in (entry.correlation.plain, entry.correlation.kd):
            cells.append(Cell(number(value), number=value))
        cells.append(table.change(entry.change, scale=1))
        cells.append(Cell(p_value(entry.p_permutation), number=entry.p_permutation))
        part = slice_title(results, entry.levels, entry.teacher)
        sections.setdefault(part, []).append(TableRow(_title(entry), cells, detail=part))
    table.sections = list(sections.values())
    return table


def inheritance_headlines(results: Results, benchmark: Benchmark) -> list[str]:
    """The answers over all cells together, one for each teacher."""
    return [
        entry.statement
        for entry in _of(results, benchmark)
        if entry.set == ALL_SETS and entry.statement
    ]


def _title(entry: Inheritance) -> str:
    return _ALL_PAIRS if entry.set == ALL_SETS else entry.set


def _of(results: Results, benchmark: Benchmark) -> list[Inheritance]:
    """Those of a benchmark, that over all cells first."""
    found = [
        entry
        for entry in results.inheritance
        if entry.benchmark == benchmark.id and any(finite(e.teacher) for e in entry.groups.values())
    ]
    return sorted(found, key=lambda entry: entry.set != ALL_SETS)
