"""Writes an audit: ``results.json``, the page, and each table and plot as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evenface.errors import DataError
from evenface.files import atomic_folder, read_json, write_text
from evenface.lock import FolderLock
from evenface.report.audit.page import render
from evenface.report.audit.pieces import (
    Identification,
    Verification,
    identification,
    verification,
)
from evenface.report.audit.results import KIND, RESULTS_FILE, Audit
from evenface.report.formats import FORMATS
from evenface.report.output import refuse_other_content
from evenface.report.svg_file import svg_files
from evenface.report.table import Table

PAGE_FILE = "report.html"
TABLES, PLOTS = "tables", "plots"


def write_audit(audit: Audit, out: Path) -> Path:
    """Write ``results.json``, ``report.html``, ``tables/`` and ``plots/`` into ``out``.

    The same results give the same bytes. The page makes no request and needs no script. Folders
    ``tables`` and ``plots`` of an earlier audit are replaced.

    Returns:
        Path of the page.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed; nothing is written.
        DataError: one of these names is taken by something else; nothing is written.
    """
    _refuse_other_results(out / RESULTS_FILE)
    refuse_other_content(out / TABLES, FORMATS, of="an audit")
    refuse_other_content(out / PLOTS, ("svg",), of="an audit")
    shown = verification(audit)
    searches = identification(audit)
    page = render(audit, shown, searches)
    doing = "is writing its results there. Wait for it, or choose another folder"
    with FolderLock(out, doing=doing):
        return _write(audit, out, shown, searches, page)


def _write(
    audit: Audit,
    out: Path,
    shown: list[Verification],
    searches: list[Identification],
    page: str,
) -> Path:
    """Write the files into a folder that is held."""
    audit.write(out / RESULTS_FILE)
    with atomic_folder(out / TABLES) as folder:
        for table in _tables(shown, searches):
            for suffix, to_text in FORMATS.items():
                path = folder / f"{table.id}.{suffix}"
                path.write_text(to_text(table), encoding="utf-8")
    with atomic_folder(out / PLOTS) as folder:
        for name, drawing in _drawings(shown):
            (folder / f"{name}.svg").write_text(drawing, encoding="utf-8")
    write_text(out / PAGE_FILE, page)
    return out / PAGE_FILE


def _refuse_other_results(path: Path) -> None:
    """Raise where replacing the file would delete the results of something else."""
    if path.exists():
        content = read_json(path)
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise DataError(
                f"{path}: these results are not of an audit, whose report would replace them. Give "
                "another folder"
            )


def _tables(shown: list[Verification], searches: list[Identification]) -> Iterator[Table]:
    for piece in shown:
        yield from piece.tables()
    for search in searches:
        yield search.table


def _drawings(shown: list[Verification]) -> Iterator[tuple[str, str]]:
    for piece in shown:
        for chart in piece.charts.values():
            yield from svg_files(chart)
