"""The main table as Markdown, for a README or a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenface.report.by_group import group_table
from evenface.report.numbers import coverage
from evenface.report.schema import read_results

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|"}


def markdown_table(results: dict[str, Any] | Path) -> str:
    """Models × groups as a GitHub table: accuracy in % with intervals, mean, STD, SER.

    Args:
        results: the content of ``results.json``, or its path.

    Returns:
        The table and a line that says what it shows; only that line without a benchmark.

    Raises:
        DataError: these are not the results of a study.
    """
    study = read_results(results)
    benchmark = study.main
    if benchmark is None:
        return "This study has no benchmark.\n"
    table = group_table(study, benchmark)
    lines = [
        _line([column.text for column in table.columns]),
        "|" + "|".join(" --: " if column.numeric else " :-- " for column in table.columns) + "|",
    ]
    for row in (row for section in table.sections for row in section):
        cells = [" ".join([cell.text, *cell.details[:1]]) for cell in row.cells]
        lines.append(_line([row.header, *cells]))
    kind = "simulated faces" if benchmark.simulated else "not simulated"
    seeds = len(study.study.seeds)
    trained = "one seed each" if seeds == 1 else f"means over {seeds} seeds"
    lines += [
        "",
        f"Accuracy in %, {trained}, with {coverage(study.level)} intervals in brackets; STD of the "
        f"sample in percentage points. {_escape(benchmark.title)} ({kind}).",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    return "".join(_ENTITIES.get(character, character) for character in " ".join(text.split()))
