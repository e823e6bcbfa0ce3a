"""Rows of models, columns and cells of measures, as tables of studies and audits have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evenface.evaluate.measures import measure
from evenface.evaluate.results import Overall, WorstGroup
from evenface.record import Estimate
from evenface.report.numbers import MISSING, number, percent
from evenface.report.table import Cell, Column, Table, TableRow

UNMEASURED = "not measured"
NO_GROUP = "this group is not in the model's evaluation"
STD_REMARK = (
    "STD is that of the sample, with that of the population (pop.) below it. “If groups were "
    "equal” is what sampling noise alone would give, with how often it would reach the STD "
    "observed: an STD within that range shows no difference between groups."
)
"""Belongs to :func:`std_cells`."""


@dataclass(frozen=True)
class Entry:
    """A model in a table: its evaluation, or why it has none."""

    title: str
    evaluation: Any
    """An :class:`evenface.evaluate.results.Evaluation`, or one of arms; None for none."""
    why: str = ""
    detail: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)

    def row(self, cells: list[Cell], span: int = 1) -> TableRow:
        """A row of this model."""
        return TableRow(self.title, cells, detail=self.detail, span=span, facets=self.facets)


Sections = Iterable[Sequence[Entry]]


def add_models(table: Table, sections: Sections, cells: Callable[[Any], list[Cell]]) -> None:
    """A row for each model; ``cells`` reads those behind its header from its evaluation."""
    for entries in sections:
        table.sections.append(
            [
                entry.row(
                    table.missing(entry.why, len(table.columns) - 1)
                    if entry.evaluation is None
                    else cells(entry.evaluation)
                )
                for entry in entries
            ]
        )


def add_groups(
    table: Table,
    sections: Sections,
    groups: Sequence[str],
    cells: Callable[[Any, str], list[Cell]],
    *,
    named: bool = True,
) -> None:
    """A row for each group of each model; ``cells`` reads those behind the group's name.

    Args:
        table: whose second column is the group, where groups are named.
        sections: the models, in sections where groups are not named.
        groups: in the order of the rows.
        cells: from an evaluation and a group that it has.
        named: whether a row names its group.
    """
    for entries in sections:
        blocks = []
        for entry in entries:
            rows = []
            for place, group in enumerate(groups):
                first = [Cell(group)] if named else []
                found = entry.evaluation and entry.evaluation.groups.get(group)
                why = NO_GROUP if entry.evaluation is not None else entry.why
                rest = (
                    cells(entry.evaluation, group)
                    if found
                    else table.missing(why, len(table.columns) - 1 - len(first))
                )
                rows.append(entry.row(first + rest, 0 if place else len(groups)))
            blocks.append(rows)
        table.sections += blocks if named else [[row for rows in blocks for row in rows]]


def measure_column(name: str) -> Column:
    """The column of a measure by its name among replicates."""
    shown = measure(name)
    return Column(shown.title, shown.term)


def measure_cell(table: Table, name: str, found: Estimate | None) -> Cell:
    """A measure in its unit; a hole where it was not measured."""
    if found is None:
        return Cell(MISSING, note=table.note(UNMEASURED))
    shown = measure(name)
    return table.estimate(found, scale=shown.scale, digits=shown.digits)


def over_groups_cell(table: Table, overall: Overall, name: str) -> Cell:
    """A measure over groups by its name in the catalogue."""
    return measure_cell(table, name, overall.measures.get(name, getattr(overall, name, None)))


def std_cells(table: Table, overall: Overall, *, digits: int = 1) -> list[Cell]:
    """The STD, and the STD that noise alone would give."""
    spread = table.estimate(overall.std_sample)
    if overall.std_population.value is not None:
        population = f"pop. {percent(overall.std_population.value)}"
        spread = replace(spread, details=(*spread.details, population))
    expected = table.estimate(overall.std_expected)
    if overall.std_excess_p is not None:
        often = f"reached in {percent(overall.std_excess_p, digits=digits)} %"
        expected = replace(expected, details=(*expected.details, often))
    return [spread, expected]


def worst_cell(table: Table, worst: WorstGroup) -> Cell:
    """The worst group, and how often it was it."""
    if worst.value is None:
        return Cell(MISSING, note=table.note(worst.note))
    share = (worst.share or {}).get(worst.value)
    often = () if share is None else (f"in {number(100 * share, digits=0)} %",)
    return Cell(worst.value, often, table.note(worst.note))
