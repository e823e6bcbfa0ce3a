"""Rows of tables by the models of a study."""

from __future__ import annotations

from collections.abc import Callable

from evenface.report.schema import Benchmark, Evaluation, Model, Results
from evenface.report.table import Cell, Table, TableRow

NO_EVALUATION = "this model was not evaluated on this benchmark"
NO_GROUP = "this group is not in the model's evaluation"


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
