"""The tables of a paper: training set × network × loss × KD; groups, unevenness, other tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from evenface.evaluate.measures import MEASURES, better
from evenface.record import Estimate
from evenface.report.measured import NO_GROUP
from evenface.report.numbers import MISSING, coverage
from evenface.report.study.grid import Pairing, difference
from evenface.report.study.models import model_sections, no_evaluation
from evenface.report.study.summary import LEAST_SEEDS
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.study.record import Benchmark, Model, Results
from evenface.study.wording import OVER_GROUPS, listed

_TESTS = {
    "lfw": "LFW",
    "cfp-fp": "CFP-FP",
    "cplfw": "CPLFW",
    "calfw": "CALFW",
    "agedb-30": "AgeDB-30",
    "orl": "ORL",
}
"""How papers write the names of tests."""
_FEW = 4
"""Models that a remark lists by name."""
_DIGITS = 2


@dataclass(frozen=True)
class _Figure:
    """A column of figures.

    Attributes:
        of: a model's estimate, or why it has none.
        measure: its name in the catalogue.
        place: test, group and metric of its differences; None where there are none.
    """

    heading: str
    of: Callable[[Model], Estimate | str]
    measure: str = "accuracy"
    place: tuple[Benchmark, str, str] | None = None


def paper_tables(results: Results) -> Iterator[Table]:
    """For each test by group a table in the layout of arXiv 2408.17399, and one with intervals.

    That of the main test has the accuracies on all other tests and their average too. Bold is the
    best student of a column. An asterisk marks a figure with KD that is better than its partner
    without, decided by their paired difference.
    """
    for benchmark in results.benchmarks:
        if benchmark.by_group:
            yield _table(results, benchmark, intervals=False)
            yield _table(results, benchmark, intervals=True)


def _table(results: Results, benchmark: Benchmark, *, intervals: bool) -> Table:
    others = [b for b in results.benchmarks if b is not benchmark]
    others = others if benchmark is results.main else []
    figures = [*_by_group(results, benchmark), *_elsewhere(results, others)]
    varying = [factor for factor, levels in results.factors.items() if len(levels) > 1]
    then = "; then the accuracy on other tests" if others else ""
    with_ = ", with intervals" if intervals else ""
    table = Table(
        f"{'intervals' if intervals else 'paper'}-{benchmark.id}",
        f"Verification accuracy in % by group, without and with KD: {benchmark.title}{then}"
        f"{with_}.",
        [
            *words("training set"),
            *(Column(factor.replace("_", " "), numeric=False) for factor in varying),
            *words("KD"),
            *(Column(figure.heading) for figure in figures),
        ],
        simulated=benchmark.simulated,
    )
    for models in model_sections(results):
        kept = [model for model in models if model.kind != "untrained"]
        rows = [_row(results, table, model, figures, varying, intervals) for model in kept]
        if rows and kept[0].kind == "student":
            spans = [len(rows), *([0] * (len(rows) - 1))]
            rows = [replace(row, span=span) for row, span in zip(rows, spans, strict=True)]
        if rows:
            table.sections.append(rows)
    _mark_best(table, figures, len(results.students))
    table.remarks += _remarks(results, table, others, intervals=intervals)
    return table


def _by_group(results: Results, benchmark: Benchmark) -> Iterator[_Figure]:
    def of_group(group: str) -> Callable[[Model], Estimate | str]:
        def read(model: Model) -> Estimate | str:
            evaluation = results.evaluation(model.id, benchmark.id)
            if evaluation is None:
                return no_evaluation(results, model)
            result = evaluation.groups.get(group)
            return NO_GROUP if result is None else result.accuracy

        return read

    def over_groups(measure: str) -> Callable[[Model], Estimate | str]:
        def read(model: Model) -> Estimate | str:
            evaluation = results.evaluation(model.id, benchmark.id)
            if evaluation is None:
                return no_evaluation(results, model)
            found: Estimate = getattr(evaluation.overall, measure)
            return found

        return read

    for group in benchmark.groups:
        yield _Figure(group, of_group(group), place=(benchmark, group, "accuracy"))
    place = (benchmark, OVER_GROUPS)
    yield _Figure("average", over_groups("accuracy"), place=(*place, "accuracy"))
    for name in ("std_sample", "ser"):
        yield _Figure(MEASURES[name].title, over_groups(name), name, (*place, name))


def _elsewhere(results: Results, others: Sequence[Benchmark]) -> Iterator[_Figure]:
    """Accuracy on each other test (the mean over its groups), and the average of them."""

    def on(benchmark: Benchmark) -> Callable[[Model], Estimate | str]:
        def read(model: Model) -> Estimate | str:
            evaluation = results.evaluation(model.id, benchmark.id)
            if evaluation is None:
                return no_evaluation(results, model)
            if len(evaluation.groups) == 1:
                return next(iter(evaluation.groups.values())).accuracy
            return evaluation.overall.accuracy

        return read

    def average(model: Model) -> Estimate | str:
        found = [on(benchmark)(model) for benchmark in others]
        values = [of.value for of in found if not isinstance(of, str) and of.value is not None]
        if len(values) < len(others):
            return "no average: a test is missing"
        return Estimate(value=fmean(values))

    for benchmark in others:
        whole = benchmark.groups[0] if len(benchmark.groups) == 1 else OVER_GROUPS
        yield _Figure(_name(benchmark), on(benchmark), place=(benchmark, whole, "accuracy"))
    if len(others) > 1:
        yield _Figure("average of tests", average)


def _name(benchmark: Benchmark) -> str:
    return _TESTS.get(benchmark.id, benchmark.id)


def _row(
    results: Results,
    table: Table,
    model: Model,
    figures: Sequence[_Figure],
    varying: Sequence[str],
    intervals: bool,
) -> TableRow:
    student = model.kind == "student"
    kd = "none" if student else MISSING
    if model.kd:
        kd = results.teacher_name(model.teacher)
    cells = [*(Cell(model.levels.get(factor, MISSING)) for factor in varying), Cell(kd)]
    for figure in figures:
        found = figure.of(model)
        if isinstance(found, str):
            cells += table.missing(found, 1)
            continue
        cell = table.estimate(found, scale=MEASURES[figure.measure].scale, digits=_DIGITS)
        star = "*" if model.kd and _better(results, model, figure) else ""
        kept = cell.details if intervals else ()
        cells.append(replace(cell, text=cell.text + star, details=kept))
    return TableRow((model.set if student else model.title) or MISSING, cells)


def _better(results: Results, model: Model, figure: _Figure) -> bool:
    """Whether a figure with KD is decidedly better than its partner without."""
    if figure.place is None or len(results.study.seeds) < LEAST_SEEDS:
        return False
    pairing = Pairing(model.set or "", model.levels, model.teacher, None, model)
    found = difference(results, pairing, *figure.place)
    if found is None or found.value is None or not found.decided(results.level):
        return False
    return better(figure.measure, found.value)


def _mark_best(table: Table, figures: Sequence[_Figure], students: int) -> None:
    """Set the best student of each column in bold; several that are shown equal alike."""
    rows = table.rows[:students]
    for place, figure in enumerate(figures, start=len(table.columns) - 1 - len(figures)):
        values: dict[int, float] = {}
        for number, row in enumerate(rows):
            cell = row.cells[place]
            if cell.figure is not None and cell.figure.value is not None and cell.text != MISSING:
                values[number] = round(MEASURES[figure.measure].scale * cell.figure.value, _DIGITS)
        if len(values) < 2:
            continue
        best = max(values.values(), key=lambda v: v if better(figure.measure, 1.0) else -v)
        for number, value in values.items():
            if value == best:
                cells = rows[number].cells
                cells[place] = replace(cells[place], strong=True)


def _remarks(
    results: Results, table: Table, others: Sequence[Benchmark], *, intervals: bool
) -> Iterator[str]:
    yield (
        "STD: sample standard deviation over groups (divisor n − 1). SER: highest group error over "
        "lowest."
    )
    cells = [cell for row in table.rows for cell in row.cells]
    if any(cell.strong for cell in cells):
        yield "Bold: the best student of a column, which is no test of the difference to others."
    if any(cell.text.endswith("*") for cell in cells if cell.figure):
        yield (
            "*: better with KD than without, decided by the paired difference (its interval "
            "excludes zero; for a single group, p after Holm's correction agrees)."
        )
    if named := [f"{_name(b)}: {b.title}" for b in others if _name(b) not in b.title]:
        yield f"Tests: {'; '.join(named)}."
    seeds = results.study.seeds
    if len(seeds) > 1:
        yield f"Means over training seeds {listed([str(seed) for seed in seeds])}."
    if intervals:
        none = " The average of tests has none." if len(others) > 1 else ""
        yield f"Intervals of {coverage(results.level)}.{none}"
    yield from _arm_notes(results)


def _arm_notes(results: Results) -> Iterator[str]:
    """What the study file says of its arms."""
    by_note: dict[str, list[str]] = {}
    for model in results.students:
        if model.note:
            by_note.setdefault(model.note, []).append(model.title)
    for note, titles in by_note.items():
        which = "; ".join(titles) if len(titles) <= _FEW else f"{len(titles)} models"
        yield f"{note[:1].upper()}{note[1:]}: {which}."
