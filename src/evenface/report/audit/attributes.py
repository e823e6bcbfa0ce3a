"""Tables of what the data set declares: failures to enrol, and crossings of attributes."""

from __future__ import annotations

from evenface.evaluate.measures import in_percent
from evenface.evaluate.results import CrossingScan
from evenface.report.audit.chapter import Chapter
from evenface.report.numbers import count
from evenface.report.table import Cell, Column, Table, TableRow

MOST = 10
"""Differences and small cells that are shown; ``evaluation.json`` has all."""


def enrolment_table(chapter: Chapter) -> Table | None:
    """Failures to enrol by group; None where the data set does not record them."""
    enrolment = chapter.first.enrolment
    if enrolment is None:
        return None
    table = Table(
        f"{chapter.id}-enrolment",
        f"Enrolment, in %: images of which no face could be taken: {chapter.title}.",
        [
            Column("group", numeric=False),
            Column("images"),
            Column("failure to enrol"),
            Column("face found"),
        ],
        simulated=chapter.simulated,
    )
    table.sections.append(
        [
            TableRow(
                group,
                [
                    Cell(count(of.images), number=of.images),
                    table.estimate(of.failure_to_enrol),
                    table.estimate(of.face_found),
                ],
            )
            for group, of in enrolment.items()
        ]
    )
    return table


def crossings_tables(chapter: Chapter) -> list[Table]:
    """For each model that was scanned, its largest differences that are more than chance."""
    tables = []
    for place, (model, evaluation) in enumerate(chapter.models.items()):
        if (scan := evaluation.crossings) is None:
            continue
        at = f" for {in_percent(scan.target_fmr)}" if scan.target_fmr is not None else ""
        what = f"{model}, crossings" if len(chapter.models) > 1 else "Crossings"
        table = Table(
            f"{chapter.id}-crossings-{place}",
            f"{what} of {', '.join(scan.attributes)}: the largest differences at the "
            f"threshold{at}: {chapter.title}.",
            [
                Column("higher", numeric=False),
                Column("lower", numeric=False),
                Column("rate", numeric=False),
                Column("difference, points"),
                Column("ratio"),
                Column("p (Holm)"),
            ],
            remarks=_remarks(scan),
            simulated=chapter.simulated,
        )
        table.sections.append(
            [
                TableRow(
                    " × ".join(found.higher),
                    [
                        Cell(" × ".join(found.lower)),
                        Cell(found.error.upper()),
                        table.estimate(found.difference),
                        Cell("–" if found.ratio is None else f"{found.ratio:.1f}"),
                        Cell(f"{found.p_holm:.2g}", number=found.p_holm),
                    ],
                )
                for found in scan.decided()[:MOST]
            ]
        )
        tables.append(table)
    return tables


def _remarks(scan: CrossingScan) -> list[str]:
    said = [
        f"{count(len(scan.differences))} comparisons of {count(len(scan.cells))} cells; "
        f"{count(len(scan.decided()))} differences are more than chance, with p adjusted for all "
        "comparisons"
    ]
    if small := [cell.name for cell in scan.too_small]:
        more = f" and {count(len(small) - MOST)} more" if len(small) > MOST else ""
        said.append(
            f"too small to compare (fewer than {scan.few_people} people): "
            f"{', '.join(small[:MOST])}{more}"
        )
    return said
