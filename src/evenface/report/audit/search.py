"""Tables of 1:N identification."""

from __future__ import annotations

from evenface.evaluate.identification import RateByGroup
from evenface.evaluate.measures import in_percent, rate_digits
from evenface.report.audit.chapter import SearchChapter
from evenface.report.numbers import count
from evenface.report.table import Cell, Column, Table, TableRow


def search_table(chapter: SearchChapter) -> Table:
    """Models × measures as rows, groups of probes as columns."""
    first = next(iter(chapter.models.values()))
    probes = "; ".join(
        f"{group}: {count(c.mated)} and {count(c.unmated)}" for group, c in first.probes.items()
    )
    table = Table(
        f"{chapter.id}-search",
        f"Search among {count(first.gallery_people)} people, in %: {chapter.title}.",
        [
            Column("model", numeric=False),
            Column("measure", numeric=False),
            Column("all probes"),
            *(Column(group) for group in first.probes),
        ],
        remarks=[f"Probes whose person is in the gallery, and others: {probes}", *first.notes],
        simulated=first.simulated,
    )
    for model, result in chapter.models.items():
        figures: list[tuple[str, RateByGroup, int, str | None]] = [
            (f"rank-{rank} rate", rates, 2, None) for rank, rates in result.rank_rate.items()
        ]
        for point in result.open_set:
            at = in_percent(point.target_fpir)
            figures += [
                (f"FNIR at FPIR {at}", point.fnir, 2, point.note),
                (f"FPIR at {at}", point.fpir, rate_digits(point.target_fpir), point.note),
            ]
        rows: list[TableRow] = []
        for label, rates, digits, note in figures:
            cells = [Cell(label, note=table.note(note))]
            for found in (rates.overall, *(rates.groups[group] for group in first.probes)):
                cells.append(table.estimate(found, digits=digits))
            rows.append(TableRow(model, cells, span=0 if rows else len(figures)))
        table.sections.append(rows)
    return table
