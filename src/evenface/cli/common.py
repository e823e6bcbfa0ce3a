"""Options and tables that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

GroupBy = Annotated[
    str,
    typer.Option(
        "--group-by",
        metavar="A[,B…]",
        help="Attributes that define the groups, crossed; default: the first one there is.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def names_of(text: str) -> tuple[str, ...] | None:
    """Names separated by commas; None for an empty text."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) or None


def print_table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on standard output: the first column to the left, the others to the right."""
    from rich.table import Table
    from rich.text import Text

    from evenface.console import out

    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number and any(headings) else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out().print(table)
