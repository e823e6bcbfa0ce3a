"""The table of people left out of training since a test has them."""

from __future__ import annotations

from evenface.report.numbers import MISSING, count
from evenface.report.table import Cell, Column, Table, TableRow
from evenface.study.left_out import LeftOutOf
from evenface.study.record import Results


def left_out_table(results: Results) -> Table | None:
    """How many people of each group were left out, why, and how similar they are.

    None where the study did not look for them.
    """
    found = results.left_out
    if found is None:
        return None
    table = Table(
        "left-out",
        "People left out of training because a test has them",
        [
            Column("training faces", numeric=False),
            *map(Column, ("identities", "left out", "by name", "people alike", "images alike")),
            Column("cosine"),
        ],
    )
    for role, of in found.faces.items():
        groups = [(group, number) for group, number in of.groups.items() if of.count(group=group)]
        rows = [_row(role, of, None, of.identities)]
        rows += [_row(f"{role}, {group}", of, group, number) for group, number in groups]
        table.sections.append(rows)
    if found.teacher is None:
        table.remarks.append("Only names were compared")
        return table
    table.remarks.append(
        f"Embeddings of {found.teacher}: one person from a cosine of {found.threshold:g} between "
        f"mean embeddings, a copy from {found.image_threshold:g} between images"
    )
    closest = [like.cosine for of in found.faces.values() for like in of.closest_kept]
    if known := [cosine for cosine in closest if cosine is not None]:
        table.remarks.append(
            f"Of those who stay, the most similar has a cosine of {max(known):.2f}"
        )
    return table


def _row(name: str, of: LeftOutOf, group: str | None, identities: int) -> TableRow:
    people = [person for person in of.people if group in (None, person.group)]
    seen = [person.cosine for person in people if person.cosine is not None]
    return TableRow(
        name,
        [
            Cell(count(identities)),
            Cell(count(len(people))),
            Cell(count(of.count(group=group, reason="name"))),
            Cell(count(of.count(group=group, reason="people alike"))),
            Cell(count(of.count(group=group, reason="images alike"))),
            Cell(f"{min(seen):.2f}–{max(seen):.2f}" if seen else MISSING),
        ],
    )
