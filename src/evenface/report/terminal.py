"""A study's results in the terminal: its main tables, verdicts, and the page's first screen.

The functions take results under the names of pages, see :func:`evenface.report.names.readable`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evenface.report import by_group, tables
from evenface.report.claims import collect_claims
from evenface.report.summary import first_screen
from evenface.report.table import Cell, Table
from evenface.study.record import Results

if TYPE_CHECKING:
    from rich import table as rich_table


def answer_lines(study: Results) -> list[str]:
    """The answer, the key numbers and the caveat, as the page's first screen has them."""
    first = first_screen(study)
    return [
        first.answer,
        *(
            " ".join([f"  {n.value} {n.bounds}", "; ".join([n.label, *n.others])])
            for n in first.numbers
        ),
        first.caveat,
    ]


def verdict_lines(study: Results) -> list[str]:
    """Each question with its verdict on all tests together, and what was too small to decide."""
    return [
        f"{question.standing.text}: {question.first.question} {question.detects}".rstrip()
        for rule in collect_claims(study).rules
        for question in rule.questions
    ]


def result_tables(study: Results) -> Iterator[rich_table.Table]:
    """Accuracy by group, and equal error rates on other people."""
    if study.main:
        yield _drawn(by_group.group_table(study, study.main, compact=True))
    if study.others:
        yield _drawn(tables.people_table(study, study.others))


def _drawn(table: Table) -> rich_table.Table:
    from rich import table as rich_table

    drawn = rich_table.Table(title=table.caption, title_justify="left")
    for column in table.columns:
        drawn.add_column(column.text, justify="right" if column.numeric else "left")
    for section in table.sections:
        for place, row in enumerate(section, 1):
            header = "\n".join(filter(None, (row.header, row.detail)))
            drawn.add_row(header, *map(_text, row.cells), end_section=place == len(section))
    return drawn


def _text(cell: Cell) -> str:
    return "\n".join([cell.text, *cell.details])
