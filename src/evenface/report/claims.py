"""Claims as the page shows them: those of the main benchmark and teacher, then the repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from evenface.report.numbers import interval, number, p_value
from evenface.report.schema import Claim, ClaimTest, Results, Verdict
from evenface.report.table import Cell, Column, Table, TableRow

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Shown:
    """A claim with its place on the page."""

    anchor: str
    claim: Claim
    tests: Table | None

    @property
    def mark(self) -> str:
        """Name of the verdict's shape."""
        return mark(self.claim.verdict)


@dataclass(frozen=True)
class Circle:
    """The claims of one benchmark and teacher."""

    title: str
    claims: list[Shown]


@dataclass(frozen=True)
class AgreementRow:
    """One question, with its claim in each circle (None where it was not put)."""

    question: str
    claims: list[Shown | None]


@dataclass(frozen=True)
class Claims:
    """All claims: ``main`` first, then ``repeats``, and row by row whether they agree."""

    main: list[Shown]
    tally: list[tuple[int, Verdict]]
    repeats: list[Circle]
    columns: list[str]
    agreement: list[AgreementRow]
    agreeing: int
    """Questions with repeats of which all have the verdict of the first."""


def mark(verdict: Verdict) -> str:
    """Name of a verdict's shape: its id on the page and its class in the style sheet."""
    return verdict.replace(" ", "-")


def collect_claims(results: Results) -> Claims:
    """The claims in reading order, grouped by what they were tested with.

    Claims without a benchmark by group (those on real people) belong to the main benchmark, those
    without a teacher to the main teacher.
    """
    circles: dict[tuple[str, str], list[Shown]] = {}
    teachers = [t.id for t in results.teachers]
    main = _key(results, teachers, None, None)
    circles[main] = []
    for index, claim in enumerate(results.claims):
        key = _key(results, teachers, claim.benchmark, claim.teacher)
        anchor = f"claim-{index + 1}"
        circles.setdefault(key, []).append(Shown(anchor, claim, _tests(anchor, claim)))
    found = Counter(shown.claim.verdict for shown in circles[main])
    several = len({teacher for _, teacher in circles}) > 1
    titles = [_title(results, key, teacher=several) for key in circles]
    agreement = _agreement(list(circles.values()))
    return Claims(
        circles[main],
        [(found[verdict], verdict) for verdict in VERDICTS if found[verdict]],
        [Circle(t, c) for t, c in zip(titles, circles.values(), strict=True)][1:],
        titles,
        agreement,
        sum(_agrees(row) for row in agreement),
    )


def _key(
    results: Results, teachers: Sequence[str], benchmark: str | None, teacher: str | None
) -> tuple[str, str]:
    by_group = {b.id for b in results.repeats}
    main = results.main.id if results.main else ""
    return (
        benchmark if benchmark in by_group else main,
        teacher or (teachers[0] if teachers else ""),
    )


def _title(results: Results, key: tuple[str, str], *, teacher: bool) -> str:
    title = next((b.title for b in results.benchmarks if b.id == key[0]), key[0])
    return f"{title}, KD from {results.teacher_name(key[1])}" if teacher else title


def _agreement(circles: Sequence[Sequence[Shown]]) -> list[AgreementRow]:
    """Rows of all questions that were put in more than one circle."""
    by_id = [{shown.claim.id: shown for shown in circle} for circle in circles]
    rows = []
    for identifier in dict.fromkeys(shown.claim.id for circle in circles for shown in circle):
        claims = [circle.get(identifier) for circle in by_id]
        asked = [shown for shown in claims if shown]
        if len(asked) > 1:
            rows.append(AgreementRow(asked[0].claim.question, claims))
    return rows


def _agrees(row: AgreementRow) -> bool:
    return len({shown.claim.verdict for shown in row.claims if shown}) == 1


def _tests(anchor: str, claim: Claim) -> Table | None:
    if not claim.tests:
        return None
    table = Table(
        f"{anchor}-tests",
        "The tests behind it.",
        [
            Column("test", numeric=False),
            Column("value"),
            Column("interval"),
            Column("p"),
            Column("p, Holm", "holm"),
        ],
    )
    table.sections.append([_test_row(table, test) for test in claim.tests])
    return table


def _test_row(table: Table, test: ClaimTest) -> TableRow:
    points, share = test.unit == "points", test.unit == "share"
    scale = 100 if points or share else 1
    value = None if test.value is None else scale * test.value
    unit = {"points": " points", "share": " %"}.get(test.unit, "")
    return TableRow(
        test.label,
        [
            Cell(
                f"{number(value, sign=points)}{unit if value is not None else ''}",
                note=table.note(test.note),
            ),
            Cell(interval(test, scale=scale, sign=points) or number(None)),
            Cell(p_value(test.p_value)),
            Cell(p_value(test.p_holm)),
        ],
    )
