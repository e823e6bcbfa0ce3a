"""A table as GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from evenface.report.table import Cell, Table

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|"}
_MARKUP = frozenset("\\`*_~$")


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


def markdown_row(cells: Sequence[str]) -> str:
    """A line of cells whose text is escaped."""
    return "| " + " | ".join(cells) + " |"


def escape(text: str) -> str:
    """On one line, and without what HTML or a table would take for markup."""
    return "".join(_ENTITIES.get(character, character) for character in " ".join(text.split()))


def escape_text(text: str) -> str:
    """As :func:`escape`, without any markup: for names that others chose."""
    one_line = " ".join(text.split())
    escaped = "".join(
        f"\\{character}" if character in _MARKUP else _ENTITIES.get(character, character)
        for character in one_line
    )
    return escaped.replace("](", "]\\(")


def _cell(cell: Cell) -> str:
    text = escape_text(" ".join([cell.text, *cell.details]))
    text = f"**{text}**" if cell.strong else text
    return text if cell.note is None else f"{text} <sup>{cell.note}</sup>"
