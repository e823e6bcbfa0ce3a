"""Audits at the terminal: their tables, and the report where it can be made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.table

    from evenface.report.audit.results import Audit, Result
    from evenface.report.table import Cell, Table


def report_results(results: Sequence[tuple[str, Result]], out: Path) -> None:
    """Write the report of results by model into ``out``; see :func:`report_audit`."""
    from evenface.report.audit import collect_audit

    report_audit(collect_audit(results), out)


def report_audit(audit: Audit, out: Path) -> None:
    """Write ``out/report.html`` and what belongs to it, or say why not."""
    from evenface.console import note, warn
    from evenface.errors import MissingDependencyError
    from evenface.report.audit import write_audit

    try:
        page = write_audit(audit, out)
    except MissingDependencyError as error:
        warn(f"no report was written: {error}")
        return
    note(f"report: {page}")


def terminal_table(table: Table) -> rich.table.Table:
    """A table of text for the console."""
    import rich.table
    from rich.text import Text

    shown = rich.table.Table(
        title=Text(table.caption), title_justify="left", box=None, pad_edge=False
    )
    for column in table.columns:
        shown.add_column(Text(column.text), justify="right" if column.numeric else "left")
    for row in table.rows:
        shown.add_row(Text(row.header), *(Text(_lines(cell)) for cell in row.cells))
    return shown


def _lines(cell: Cell) -> str:
    return "\n".join([cell.text, *cell.details])
