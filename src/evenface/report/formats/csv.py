"""A table as CSV: values and bounds unrounded, in columns of their own."""

from __future__ import annotations

import csv
import io

from evenface.evaluate.text import Interval
from evenface.report.table import Cell, Column, Table

_FORMULA = ("=", "+", "-", "@", "|")


def to_csv(table: Table) -> str:
    """A line for each row; what is undefined is an empty field.

    A column of figures becomes three: value, low and high, as fractions where the text shows per
    cent. Text is on one line; what a spreadsheet would take for a formula has an apostrophe before
    it (OWASP, *CSV Injection*).
    """
    figures = [_figures(table, position) for position in range(len(table.columns))]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        name
        for column, of_figures in zip(table.columns, figures, strict=True)
        for name in _headings(column, of_figures)
    )
    for row in table.rows:
        fields = [plain_text(row.header)]
        for cell, of_figures in zip(row.cells, figures[1:], strict=True):
            fields += _bounds(cell.figure) if of_figures else [_content(cell)]
        writer.writerow(fields)
    return buffer.getvalue()


def _figures(table: Table, position: int) -> bool:
    return position > 0 and any(row.cells[position - 1].figure is not None for row in table.rows)


def _headings(column: Column, of_figures: bool) -> list[str]:
    name = plain_text(column.text)
    return [name, f"{name} low", f"{name} high"] if of_figures else [name]


def _bounds(figure: Interval | None) -> list[str]:
    if figure is None:
        return [""] * 3
    return [
        "" if bound is None else repr(float(bound))
        for bound in (figure.value, figure.low, figure.high)
    ]


def _content(cell: Cell) -> str:
    if cell.number is not None:
        return repr(cell.number)
    return plain_text(" ".join([cell.text, *cell.details]))


def plain_text(text: str) -> str:
    """A field's text: on one line, and nothing that a spreadsheet would compute."""
    one_line = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return f"'{one_line}" if one_line.startswith(_FORMULA) else one_line
