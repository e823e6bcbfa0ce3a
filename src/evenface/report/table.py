"""A table of text, and the rows that its sections hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from evenface.report.numbers import MISSING, interval, number
from evenface.report.schema import Benchmark, Estimate, Evaluation, Model, Results

NO_EVALUATION = "this model was not evaluated on this benchmark"
NO_GROUP = "this group is not in the model's evaluation"


@dataclass(frozen=True)
class Column:
    """Heading of a column; ``term`` is its entry in the glossary."""

    text: str
    term: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """One entry of a table."""

    text: str
    details: tuple[str, ...] = ()
    """Further lines, smaller; the first is the interval."""
    note: int | None = None
    """Number of the note below the table."""
    bar: float | None = None
    """Length of a bar, in [0, 1]."""


@dataclass(frozen=True)
class TableRow:
    """One row. The header stays in sight when the table is scrolled sideways."""

    header: str
    cells: list[Cell]
    detail: str = ""
    span: int = 1
    """Rows that the header stands for; 0 where a header above stands for this row."""


@dataclass
class Table:
    """A table of text: ``sections`` are set apart from each other."""

    id: str
    caption: str
    columns: list[Column]
    sections: list[list[TableRow]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Numbered, each belonging to some cells."""
    remarks: list[str] = field(default_factory=list)
    """Belonging to the whole table."""
    simulated: bool = False

    def note(self, text: str | None) -> int | None:
        """Number of a note below the table; the same text has the same number."""
        if not text:
            return None
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1

    def estimate(self, estimate: Estimate, *, scale: float = 100, digits: int = 2) -> Cell:
        """A cell with value, interval and note; "≥ low" where the lower bound is all there is."""
        note = self.note(estimate.note)
        if estimate.value is None and estimate.high is None and estimate.low is not None:
            return Cell(f"≥ {number(scale * estimate.low, digits=digits)}", note=note)
        value = None if estimate.value is None else scale * estimate.value
        bounds = interval(estimate, scale=scale, digits=digits)
        return Cell(number(value, digits=digits), (bounds,) if bounds else (), note)

    def missing(self, reason: str, cells: int) -> list[Cell]:
        """Cells of a hole, with the reason below the table."""
        return [Cell(MISSING, note=self.note(reason)) for _ in range(cells)]


def model_sections(results: Results) -> list[list[Model]]:
    """Arms by training set (without KD, then with it), then teachers and untrained network."""
    order = ("", *results.distillers)
    by_set: dict[str | None, list[Model]] = {}
    for model in results.students:
        by_set.setdefault(model.set, []).append(model)

    def rank(model: Model) -> int:
        teacher = model.teacher or ""
        return order.index(teacher) if model.kd and teacher in order else int(bool(model.kd))

    sections = [sorted(models, key=rank) for models in by_set.values()]
    return [*sections, list(results.references)] if results.references else sections


def add_models(
    table: Table,
    results: Results,
    benchmark: Benchmark,
    cells: Callable[[Evaluation], list[Cell]],
) -> None:
    """A row for each model, by sections; ``cells`` reads those behind its header."""
    for models in model_sections(results):
        rows = []
        for model in models:
            evaluation = results.evaluation(model.id, benchmark.id)
            found = (
                table.missing(NO_EVALUATION, len(table.columns) - 1)
                if evaluation is None
                else cells(evaluation)
            )
            rows.append(TableRow(model.title, found))
        table.sections.append(rows)
