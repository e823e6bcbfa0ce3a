"""Text and rows of tables in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|"}
_MARKUP = frozenset("\\`*_~$")


def markdown_row(cells: Sequence[str]) -> str:
    """A line of cells whose text is escaped."""
    return "| " + " | ".join(cells) + " |"


def escape_text(text: str) -> str:
    """On one line, and without any markup of Markdown or HTML: for names that others chose."""
    one_line = " ".join(text.split())
    escaped = "".join(
        f"\\{character}" if character in _MARKUP else _ENTITIES.get(character, character)
        for character in one_line
    )
    return escaped.replace("](", "]\\(")
