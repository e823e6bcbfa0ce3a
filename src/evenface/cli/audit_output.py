"""The report of an audit, where it can be made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evenface.report.audit.results import Audit, Result


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
