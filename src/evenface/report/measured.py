"""Columns and cells of measures, as tables of studies and audits have them."""

from __future__ import annotations

from dataclasses import replace

from evenface.evaluate.measures import measure
from evenface.evaluate.results import Estimate, Overall, WorstGroup
from evenface.report.numbers import MISSING, number, percent
from evenface.report.table import Cell, Column, Table

UNMEASURED = "not measured"
STD_REMARK = (
    "STD is that of the sample, with that of the population (pop.) below it. “If groups were "
    "equal” is what sampling noise alone would give, with how often it would reach the STD "
    "observed: an STD within that range shows no difference between groups."
)
"""Belongs to :func:`std_cells`."""


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
