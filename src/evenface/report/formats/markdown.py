"""A table as GitHub's Markdown."""

from __future__ import annotations

from evenface.markdown import escape_text, markdown_row
from evenface.report.table import Cell, Table


def to_markdown(table: Table) -> str:
    """Caption, table, remarks and notes; intervals stand behind their values."""
    lines = [escape_text(table.caption), ""]
    if table.simulated:
        lines = ["SIMULATED FACES: nothing follows for real people.", "", *lines]
    lines += [
        markdown_row([escape_text(column.text) for column in table.columns]),
        "|" + "|".join(" --: " if column.numeric else " :-- " for column in table.columns) + "|",
    ]
    for row in table.rows:
        header = " ".join(filter(None, (row.header, row.detail)))
        lines.append(markdown_row([escape_text(header), *map(_cell, row.cells)]))
    for remark in table.remarks:
        lines += ["", escape_text(remark)]
    if table.notes:
        lines.append("")
    lines += [f"{i}. {escape_text(note)}" for i, note in enumerate(table.notes, 1)]
    return "\n".join(lines) + "\n"


def _cell(cell: Cell) -> str:
    text = escape_text(" ".join([cell.text, *cell.details]))
    text = f"**{text}**" if cell.strong else text
    return text if cell.note is None else f"{text} <sup>{cell.note}</sup>"
