"""An audit's outputs: ``results.json``, the page, and each table and picture as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evenface.errors import DataError
from evenface.evaluate.results import seen_notes
from evenface.evaluate.times import Times, write_times
from evenface.files import atomic_folder, read_json, write_text
from evenface.lock import FolderLock
from evenface.report.audit import comparisons, pictures, tables
from evenface.report.audit.answers import Answer, answers, intervals_said, search_answers
from evenface.report.audit.chapter import Chapter, SearchChapter, chapters, search_chapters
from evenface.report.audit.results import KIND, RESULTS_FILE, Audit, Searched, Verified
from evenface.report.drawings.svg_file import svg_files
from evenface.report.figure import Figure
from evenface.report.formats import FORMATS
from evenface.report.glossary import AUDIT_TERMS
from evenface.report.page import refuse_other_content, render_template
from evenface.report.table import Table
from evenface.study.wording import listed

PAGE_FILE = "report.html"
TABLES, PLOTS = "tables", "plots"


def write_audit(audit: Audit, out: Path, times: Iterable[Times] = ()) -> Path:
    """Write ``results.json``, ``report.html``, ``tables/`` and ``plots/`` into ``out``.

    The same results give the same bytes. The page makes no request and needs no script. Folders
    ``tables`` and ``plots`` of an earlier audit are replaced. ``times`` per image, where they were
    measured, are shown and kept in ``times.json``.

    Returns:
        Path of the page.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed; nothing is written.
        DataError: one of these names is taken by something else; nothing is written.
    """
    _refuse_other_results(out / RESULTS_FILE)
    refuse_other_content(out / TABLES, FORMATS, of="an audit")
    refuse_other_content(out / PLOTS, ("svg",), of="an audit")
    times = list(times)
    shown = verification(audit, times)
    searches = identification(audit)
    page = render(audit, shown, searches)
    doing = "is writing its results there. Wait for it, or choose another folder"
    with FolderLock(out, doing=doing):
        write_times(out, times)
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


@dataclass(frozen=True)
class Versus:
    """Two models: tables of paired differences."""

    first: str
    second: str
    overall: Table
    by_group: Table


@dataclass(frozen=True)
class Verification:
    """A protocol of verification in sentences, tables and charts."""

    chapter: Chapter
    answers: list[Answer]
    intervals: str
    versus: list[Versus]
    accuracy: Table
    groups: Table
    unevenness: Table | None
    operating: list[Table]
    """The target that the page speaks of first, then the others."""
    fairness: Table | None
    fairness_more: Table | None
    cross: list[Table]
    crossings: list[Table]
    enrolment: Table | None
    failures: Table | None
    times: Table | None
    calibration: Table | None
    worst_case: Table | None
    pairs: Table
    charts: dict[str, Figure]
    notes: list[str]

    def tables(self) -> Iterator[Table]:
        """All of them."""
        for versus in self.versus:
            yield from (versus.overall, versus.by_group)
        yield from (self.accuracy, self.groups, *self.operating, *self.cross, self.pairs)
        yield from self.crossings
        optional = (
            self.unevenness,
            self.fairness,
            self.fairness_more,
            self.calibration,
            self.worst_case,
            self.enrolment,
            self.failures,
            self.times,
        )
        yield from (table for table in optional if table)


@dataclass(frozen=True)
class Identification:
    """A search in sentences and a table."""

    chapter: SearchChapter
    answers: list[Answer]
    table: Table


def verification(audit: Audit, times: Iterable[Times] = ()) -> list[Verification]:
    """All protocols of verification."""
    return [_verification(chapter) for chapter in chapters(audit, times)]


def identification(audit: Audit) -> list[Identification]:
    """All searches."""
    return [
        Identification(chapter, search_answers(chapter), tables.search_table(chapter))
        for chapter in search_chapters(audit)
    ]


def _verification(chapter: Chapter) -> Verification:
    keys = sorted(chapter.keys, key=lambda key: key != chapter.key)
    return Verification(
        chapter=chapter,
        answers=answers(chapter),
        intervals=intervals_said(chapter),
        versus=[
            Versus(
                compared.first,
                compared.second,
                comparisons.overall_difference_table(chapter, compared, position),
                comparisons.difference_table(chapter, compared, position),
            )
            for position, compared in enumerate(chapter.comparisons)
        ],
        accuracy=tables.accuracy_table(chapter),
        groups=tables.group_table(chapter),
        unevenness=tables.unevenness_table(chapter),
        operating=[tables.operating_table(chapter, key) for key in keys],
        fairness=tables.fairness_table(chapter),
        fairness_more=tables.fairness_table(chapter, more=True),
        cross=tables.cross_tables(chapter),
        crossings=tables.crossings_tables(chapter),
        enrolment=tables.enrolment_table(chapter),
        failures=tables.failures_table(chapter),
        times=tables.times_table(chapter),
        calibration=tables.calibration_table(chapter),
        worst_case=tables.worst_case_table(chapter),
        pairs=tables.people_table(chapter),
        charts=pictures.charts(chapter),
        notes=_notes(chapter),
    )


def _notes(chapter: Chapter) -> list[str]:
    """What the evaluations say about their limits, once each, with the model where it is one's."""
    models: dict[str, dict[str, None]] = {}
    for model, evaluation in chapter.models.items():
        points = (point.note for point in evaluation.operating_points)
        protocol = evaluation.protocol
        for note in (protocol.pairs_statement, *protocol.notes, *evaluation.notes, *points):
            if note:
                models.setdefault(note, {})[model] = None
    return [
        note if len(of) == len(chapter.models) else f"{', '.join(of)}: {note}"
        for note, of in models.items()
    ]


def render(
    audit: Audit, verification: list[Verification], identification: list[Identification]
) -> str:
    """The page as text: makes no request and needs no script."""
    models = list(
        dict.fromkeys(
            [v.model for v in audit.verification] + [s.model for s in audit.identification]
        )
    )
    context = {
        "version": audit.evenface,
        "audit": audit,
        "title": " and ".join(models) if len(models) < 3 else f"{len(models)} models",
        "models": models,
        "verification": verification,
        "identification": identification,
        "protocols": [
            *(piece.chapter.title for piece in verification),
            *(piece.chapter.title for piece in identification),
        ],
        "simulated": _simulated(verification, identification),
        "seen": _seen(audit),
        "origins": origins,
        "glossary": AUDIT_TERMS,
    }
    return render_template("audit.html.j2", context, listed=listed)


def origins(chapter: Chapter) -> str:
    """Where the images come from, counted: "960 synthetic"; "" where that is not known."""
    counts = chapter.first.protocol.origins
    return listed([f"{number:,} {origin}" for origin, number in counts.items() if number])


def _seen(audit: Audit) -> list[str]:
    """What models were trained on that they are measured on, a sentence each."""
    every: list[Verified | Searched] = [*audit.verification, *audit.identification]
    return [
        f"{of.model} on {of.protocol}: {note}."
        for of in every
        for note in seen_notes(of.result.notes)
    ]


def _simulated(verification: list[Verification], identification: list[Identification]) -> list[str]:
    """Titles of the protocols with synthetic images."""
    titles = [p.chapter.title for p in verification if p.chapter.simulated]
    searches = (p.chapter for p in identification)
    return titles + [c.title for c in searches if any(r.simulated for r in c.models.values())]


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
