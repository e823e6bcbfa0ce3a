"""The report of an audit, where it can be made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evenface.evaluate.times import Times
    from evenface.report.audit.results import Audit, Result


def report_results(
    results: Sequence[tuple[str, Result]], out: Path, times: Iterable[Times] = ()
) -> None:
    """Write the report of results by model into ``out``; see :func:`report_audit`."""
    from evenface.report.audit import collect_audit

    report_audit(collect_audit(results), out, times)


def report_audit(audit: Audit, out: Path, times: Iterable[Times] = ()) -> None:
    """Write ``out/report.html`` and what belongs to it, or say why not."""
    from evenface.console import note, warn
    from evenface.errors import MissingDependencyError
    from evenface.report.audit import write_audit

    try:
        page = write_audit(audit, out, times)
    except MissingDependencyError as error:
        warn(f"no report was written: {error}")
        return
    note(f"report: {page}")
