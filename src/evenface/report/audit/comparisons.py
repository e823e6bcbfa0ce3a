"""Tables of paired differences between two models on one protocol."""

from __future__ import annotations

from dataclasses import replace

from evenface.evaluate.bootstrap import PairedDifference
from evenface.evaluate.comparison import Answer
from evenface.evaluate.measures import better, measure
from evenface.report.audit.chapter import Chapter
from evenface.report.audit.results import Compared
from evenface.report.numbers import p_value
from evenface.report.table import Cell, Column, Table, TableRow, words


def difference_table(
    chapter: Chapter, compared: Compared, position: int, *, brief: bool = False
) -> Table:
    """Measures × groups: second minus first, with interval, adjusted p and answer.

    Args:
        chapter: the protocol.
        compared: two of its models.
        position: number of the comparison within the protocol.
        brief: say only of groups that can be told apart that they can.
    """
    several = len(chapter.groups) > 1
    table = chapter.table(
        f"differences-{position}",
        f"{compared.second} minus {compared.first}, group by group",
        [*words("measure"), *map(Column, chapter.groups)],
        then=" Rates in percentage points.",
    )
    if several:
        table.columns.append(Column("better in every group", "every-group", numeric=False))
    table.remarks.append(
        "Below an interval: p, adjusted for picking one group among all (Holm). Not adjusted for "
        "the number of measures: name the measure that decides before looking"
    )
    if brief:
        table.remarks.append("Groups that are not called better or worse are not distinguishable")
    rows = []
    for found in compared.comparison.by_group:
        cells = []
        for of in found.groups:
            said = not brief or of.answer in ("higher", "lower")
            answer = worded(found.measure, of.answer) if said else ""
            cells.append(_difference(table, found.measure, of.difference, of.p_holm, answer))
        if several:
            together = found.p_better_everywhere
            p = "undefined" if together is None else f"p {p_value(together)}"
            cells.append(Cell("yes" if found.better_everywhere else "not shown", (p,)))
        rows.append(TableRow(measure(found.measure).title, cells))
    table.sections.append(rows)
    return table


def overall_difference_table(chapter: Chapter, compared: Compared, position: int) -> Table:
    """Measures over groups: second minus first, with interval, p and answer."""
    table = chapter.table(
        f"overall-differences-{position}",
        f"{compared.second} minus {compared.first}, over groups",
        [
            *words("measure"),
            *map(Column, (compared.first, compared.second)),
            Column("difference", "paired"),
            *words("answer"),
        ],
        then=" Rates, STD and gap in percentage points.",
    )
    both = [chapter.models[name] for name in (compared.first, compared.second)]
    rows = []
    for found in compared.comparison.overall:
        name, shown = found.measure, measure(found.measure)
        cells = [
            table.estimate(of.estimate(name), scale=shown.scale, digits=shown.digits) for of in both
        ]
        cells.append(_difference(table, name, found.difference, found.difference.p_value))
        cells.append(Cell(worded(name, found.answer)))
        rows.append(TableRow(shown.title, cells))
    table.sections.append(rows)
    return table


def _difference(
    table: Table, name: str, difference: PairedDifference, p: float | None, answer: str = ""
) -> Cell:
    """A signed difference with interval, p and the answer in words."""
    shown = measure(name)
    said = (f"p {p_value(p)}" if p is not None else "", answer)
    cell = table.change(difference, *said, scale=shown.scale, digits=shown.digits)
    return replace(cell, figure=difference)


def worded(name: str, answer: Answer) -> str:
    """ "better" or "worse" for "higher" or "lower"."""
    if answer not in ("higher", "lower"):
        return answer
    return "better" if better(name, 1.0 if answer == "higher" else -1.0) else "worse"
