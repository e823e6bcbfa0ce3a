"""A table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenface.report.table import Cell, Table

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
        title=Text(table.caption),
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


def _lines(cell: Cell) -> str:
    return "\n".join([cell.text, *cell.details])
