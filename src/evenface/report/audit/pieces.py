"""What is shown of each protocol: its sentences, tables and charts, made once for all outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evenface.report.audit import comparisons, plots, tables
from evenface.report.audit.answers import Answer, answers, intervals_said, search_answers
from evenface.report.audit.attributes import crossings_tables, enrolment_table
from evenface.report.audit.chapter import Chapter, SearchChapter, chapters, search_chapters
from evenface.report.audit.results import Audit
from evenface.report.audit.search import search_table
from evenface.report.chart import Chart
from evenface.report.table import Table


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
    calibration: Table | None
    worst_case: Table | None
    pairs: Table
    charts: dict[str, Chart]
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
        )
        yield from (table for table in optional if table)


@dataclass(frozen=True)
class Identification:
    """A search in sentences and a table."""

    chapter: SearchChapter
    answers: list[Answer]
    table: Table


def verification(audit: Audit) -> list[Verification]:
    """All protocols of verification."""
    return [_verification(chapter) for chapter in chapters(audit)]


def identification(audit: Audit) -> list[Identification]:
    """All searches."""
    return [
        Identification(chapter, search_answers(chapter), search_table(chapter))
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
        crossings=crossings_tables(chapter),
        enrolment=enrolment_table(chapter),
        calibration=tables.calibration_table(chapter),
        worst_case=tables.worst_case_table(chapter),
        pairs=tables.people_table(chapter),
        charts=plots.charts(chapter),
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
