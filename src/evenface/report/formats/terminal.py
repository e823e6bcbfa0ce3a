"""A table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from evenface.report.table import Cell, Column, Table, TableRow, words

if TYPE_CHECKING:
    from rich import table as rich_table


def terminal_table(table: Table, *, plain: bool = True) -> rich_table.Table:
    """A table of text for the console.

    Args:
        table: to show.
        plain: without a box; else with one, and a line between sections.
    """
    from rich import table as rich_table
    from rich.box import HEAVY_HEAD
    from rich.text import Text

    shown = rich_table.Table(
        title=Text(table.caption) if table.caption else None,
        title_justify="left",
        box=None if plain else HEAVY_HEAD,
        pad_edge=not plain,
    )
    for column in table.columns:
        shown.add_column(Text(column.text), justify="right" if column.numeric else "left")
    for section in table.sections:
        for place, row in enumerate(section, 1):
            header = "\n".join(filter(None, (row.header, "" if plain else row.detail)))
            cells = (Text(_lines(cell)) for cell in row.cells)
            shown.add_row(Text(header), *cells, end_section=place == len(section))
    return shown


def fitted(table: Table, width: int) -> Iterator[Table]:
    """A table of one model in parts that fit a terminal, so that no figure is cut short.

    The model has no column of its own; a single row stands upright.

    Args:
        table: whose rows have one header, or each its own.
        width: columns of the terminal.
    """
    headers = {row.header for row in table.rows if row.span}
    if len(table.rows) == 1:
        table = _upright(table)
    elif len(headers) == 1:
        rows = [TableRow(row.cells[0].text, row.cells[1:]) for row in table.rows]
        table = replace(table, columns=table.columns[1:], sections=[rows])
    first = _width(table, 0)
    kept: list[int] = []
    room = 0
    for place in range(1, len(table.columns)):
        needed = _GAP + _width(table, place)
        if kept and room < needed:
            yield _part(table, kept)
            table, kept = replace(table, caption=""), []
        room = (room if kept else width - first) - needed
        kept.append(place)
    yield _part(table, kept)


_GAP = 2
"""Between columns."""


def _upright(table: Table) -> Table:
    """A table of one row with a row for each of its columns."""
    (row,) = table.rows
    rows = [
        TableRow(column.text, [Cell(" ".join([cell.text, *cell.details]))])
        for column, cell in zip(table.columns[1:], row.cells, strict=True)
    ]
    return replace(table, columns=[*words("measure"), Column("value")], sections=[rows])


def _part(table: Table, places: list[int]) -> Table:
    """The header and some of the other columns."""
    return replace(
        table,
        columns=[table.columns[0], *(table.columns[place] for place in places)],
        sections=[
            [replace(row, cells=[row.cells[place - 1] for place in places]) for row in section]
            for section in table.sections
        ],
    )


def _width(table: Table, place: int) -> int:
    cells = (
        [row.header] if place == 0 else _lines(row.cells[place - 1]).split("\n")
        for row in table.rows
    )
    return max(map(len, [table.columns[place].text, *(line for lines in cells for line in lines)]))


def _lines(cell: Cell) -> str:
    return "\n".join([cell.text, *cell.details])
