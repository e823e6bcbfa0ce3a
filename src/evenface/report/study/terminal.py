"""A study's results in the terminal: its main tables, verdicts, and the page's first screen.

The functions take results under the names of pages, see
:func:`evenface.report.study.names.readable`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evenface.report.formats.terminal import terminal_table
from evenface.report.study import by_group
from evenface.report.study.claims import collect_claims
from evenface.report.study.summary import first_screen
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
        yield terminal_table(by_group.group_table(study, study.main, compact=True), plain=False)
    if study.others:
        yield terminal_table(by_group.people_table(study, study.others), plain=False)
