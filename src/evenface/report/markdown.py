"""The main table as Markdown, for a README or a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenface.report.by_group import group_table
from evenface.report.formats.markdown import escape, markdown_row
from evenface.report.names import readable
from evenface.report.numbers import coverage
from evenface.report.schema import read_results


def markdown_table(results: dict[str, Any] | Path) -> str:
    """Models × groups as a GitHub table: accuracy in % with intervals, mean, STD, SER.

    Args:
        results: the content of ``results.json``, or its path.

    Returns:
        The table and a line that says what it shows; only that line without a benchmark.

    Raises:
        DataError: these are not the results of a study.
    """
    study = readable(read_results(results))
    benchmark = study.main
    if benchmark is None:
        return "This study has no benchmark.\n"
    table = group_table(study, benchmark)
    lines = [
        markdown_row([escape(column.text) for column in table.columns]),
        "|" + "|".join(" --: " if column.numeric else " :-- " for column in table.columns) + "|",
    ]
    for row in table.rows:
        cells = [" ".join([cell.text, *cell.details[:1]]) for cell in row.cells]
        lines.append(markdown_row([escape(cell) for cell in (row.header, *cells)]))
    kind = "simulated faces" if benchmark.simulated else "not simulated"
    seeds = len(study.study.seeds)
    trained = "one seed each" if seeds == 1 else f"means over {seeds} seeds"
    lines += [
        "",
        f"Accuracy in %, {trained}, with {coverage(study.level)} intervals in brackets; STD of the "
        f"sample in percentage points. {escape(benchmark.title)} ({kind}).",
    ]
    return "\n".join(lines) + "\n"
