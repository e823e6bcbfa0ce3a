"""Tables of paired differences between two models on one protocol."""

from __future__ import annotations

from evenface.evaluate.bootstrap import PairedDifference
from evenface.evaluate.comparison import Answer
from evenface.evaluate.measures import Measure, better, measure
from evenface.report.audit.chapter import Chapter
from evenface.report.audit.results import Compared
from evenface.report.numbers import p_value, parts
from evenface.report.table import Cell, Column, Table, TableRow


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
    comparison = compared.comparison
    table = Table(
        f"{chapter.id}-differences-{position}",
        f"{compared.second} minus {compared.first}, group by group: {chapter.title}. Rates in "
        "percentage points.",
        [
            Column("measure", numeric=False),
            *(Column(group) for group in chapter.groups),
            *(
                [Column("better in every group", "every-group", numeric=False)]
                if len(chapter.groups) > 1
                else []
            ),
        ],
        remarks=[
            "Below an interval: p, adjusted for picking one group among all (Holm). Not adjusted "
            "for the number of measures: name the measure that decides before looking",
            *(["Groups that are not called better or worse are not distinguishable"] * brief),
        ],
        simulated=chapter.simulated,
    )
    rows = []
    for of_measure in comparison.by_group:
        shown = measure(of_measure.measure)
        cells = [
            difference_cell(
                of_measure.measure,
                shown,
                g.difference,
                g.answer,
                g.p_holm,
                answer_too=not brief or g.answer in ("higher", "lower"),
            )
            for g in of_measure.groups
        ]
        if len(chapter.groups) > 1:
            together = of_measure.p_better_everywhere
            said = "undefined" if together is None else f"p {p_value(together)}"
            cells.append(Cell("yes" if of_measure.better_everywhere else "not shown", (said,)))
        rows.append(TableRow(shown.title, cells))
    table.sections.append(rows)
    return table


def overall_difference_table(chapter: Chapter, compared: Compared, position: int) -> Table:
    """Measures over groups: second minus first, with interval, p and answer."""
    table = Table(
        f"{chapter.id}-overall-differences-{position}",
        f"{compared.second} minus {compared.first}, over groups: {chapter.title}. Rates, STD and "
        "gap in percentage points.",
        [
            Column("measure", numeric=False),
            Column(compared.first),
            Column(compared.second),
            Column("difference", "paired"),
            Column("answer", numeric=False),
        ],
        simulated=chapter.simulated,
    )
    first, second = (chapter.models[name] for name in (compared.first, compared.second))
    rows = []
    for found in compared.comparison.overall:
        shown = measure(found.measure)
        cells = [
            table.estimate(of.estimate(found.measure), scale=shown.scale, digits=shown.digits)
            for of in (first, second)
        ]
        difference = found.difference
        cell = difference_cell(
            found.measure, shown, difference, found.answer, difference.p_value, answer_too=False
        )
        cells += [cell, Cell(worded(found.measure, found.answer))]
        rows.append(TableRow(shown.title, cells))
    table.sections.append(rows)
    return table


def difference_cell(
    name: str,
    shown: Measure,
    difference: PairedDifference,
    answer: Answer,
    p: float | None,
    *,
    answer_too: bool = True,
) -> Cell:
    """A signed difference with interval, p and, unless told otherwise, the answer in words."""
    text, bounds = parts(difference, scale=shown.scale, digits=shown.digits, sign=True)
    details = [bounds, f"p {p_value(p)}" if p is not None else ""]
    if answer_too:
        details.append(worded(name, answer))
    return Cell(text, tuple(filter(None, details)), figure=difference)


def worded(name: str, answer: Answer) -> str:
    """ "better" or "worse" for "higher" or "lower"."""
    if answer not in ("higher", "lower"):
        return answer
    return "better" if better(name, 1.0 if answer == "higher" else -1.0) else "worse"
