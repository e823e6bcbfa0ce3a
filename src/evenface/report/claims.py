"""Claims as the page shows them: those of the main benchmark and teacher, then the repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from evenface.report.numbers import interval, number, p_value
from evenface.report.schema import Benchmark, Claim, ClaimTest, Results, Verdict
from evenface.report.table import Cell, Column, Table, TableRow

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Shown:
    """A claim with its place on the page."""

    anchor: str
    claim: Claim
    tests: Table | None


@dataclass(frozen=True)
class Circle:
    """The claims of one benchmark and teacher; ``detail`` names the teacher where it matters."""

    title: str
    detail: str
    claims: list[Shown]


@dataclass(frozen=True)
class AgreementRow:
    """One question, with its claim in each circle (None where it was not put)."""

    identifier: str
    question: str
    claims: list[Shown | None]

    @property
    def verdict(self) -> Verdict | None:
        """The first verdict, which the others agree with or not."""
        return next((shown.claim.verdict for shown in self.claims if shown), None)

    @property
    def agrees(self) -> bool:
        """Whether all verdicts are the same."""
        return all(shown.claim.verdict == self.verdict for shown in self.claims if shown)


@dataclass(frozen=True)
class Claims:
    """All claims: ``main`` first, then ``repeats``, and row by row whether they agree."""

    main: Circle
    repeats: list[Circle]
    agreement: list[AgreementRow]
    elsewhere: list[Benchmark]
    """What the repeats were tested on, other than the main benchmark."""

    @property
    def tally(self) -> list[tuple[int, Verdict]]:
        """How often each verdict stands among the main claims."""
        found = Counter(shown.claim.verdict for shown in self.main.claims)
        return [(found[verdict], verdict) for verdict in VERDICTS if found[verdict]]

    def echo(self, claim: Claim) -> str:
        """How many repeats of a claim agree with it, in words; "" without repeats."""
        row = next((row for row in self.agreement if row.identifier == claim.id), None)
        if row is None:
            return ""
        others = [s.claim for s in row.claims if s and s.claim is not claim]
        same = sum(other.verdict == claim.verdict for other in others)
        agree = "agrees" if len(others) == 1 else "agree"
        return f"{same} of {len(others)} repeat{'' if len(others) == 1 else 's'} {agree}"

    @property
    def agreeing(self) -> int:
        """Number of questions whose repeats all agree."""
        return sum(row.agrees for row in self.agreement)


def mark(verdict: Verdict) -> str:
    """Name of a verdict's shape: its id on the page and its class in the style sheet."""
    return verdict.replace(" ", "-")


def collect_claims(results: Results) -> Claims:
    """The claims in reading order, grouped by what they were tested with.

    Claims about other people as a whole belong to the main benchmark, those without a teacher to
    the main teacher.
    """
    main_benchmark = results.main.id if results.main else ""
    main_teacher = next((t.id for t in results.teachers), "")
    found: dict[tuple[str, str], list[Shown]] = {(main_benchmark, main_teacher): []}
    for index, claim in enumerate(results.claims):
        on_others = claim.id.startswith("real-people:")
        benchmark = main_benchmark if on_others else claim.benchmark or main_benchmark
        key = (benchmark, claim.teacher or main_teacher)
        anchor = f"claim-{index + 1}"
        found.setdefault(key, []).append(Shown(anchor, claim, _tests(anchor, claim)))
    several = len({teacher for _, teacher in found}) > 1
    order = {b.id: i for i, b in enumerate(results.benchmarks)}
    rank = {t.id: i for i, t in enumerate(results.teachers)}
    first, *others = found
    others.sort(key=lambda key: (order.get(key[0], 0), rank.get(key[1], len(rank))))
    main, *repeats = (
        Circle(
            next((b.title for b in results.benchmarks if b.id == benchmark), benchmark),
            f"KD from {results.teacher_name(teacher)}" if several else "",
            found[benchmark, teacher],
        )
        for benchmark, teacher in (first, *others)
    )
    tested = {benchmark for benchmark, _ in others}
    elsewhere = [b for b in results.benchmarks if b.id in tested - {main_benchmark}]
    return Claims(main, repeats, _agreement([main, *repeats]), elsewhere)


def _agreement(circles: Sequence[Circle]) -> list[AgreementRow]:
    """Rows of all questions that were put in more than one circle."""
    by_id = [{shown.claim.id: shown for shown in circle.claims} for circle in circles]
    rows = []
    for identifier in dict.fromkeys(s.claim.id for circle in circles for s in circle.claims):
        claims = [circle.get(identifier) for circle in by_id]
        asked = [shown for shown in claims if shown]
        if len(asked) > 1:
            rows.append(AgreementRow(identifier, asked[0].claim.question, claims))
    return rows


def _tests(anchor: str, claim: Claim) -> Table | None:
    if not claim.tests:
        return None
    table = Table(
        f"{anchor}-tests",
        "The tests behind it.",
        [
            Column("test", numeric=False),
            Column("value"),
            Column("p"),
            Column("p, Holm", "holm"),
        ],
    )
    table.sections.append([_test_row(table, test) for test in claim.tests])
    return table


def _test_row(table: Table, test: ClaimTest) -> TableRow:
    share = test.unit == "share"
    scale = 100 if share or test.unit == "points" else 1
    value = number(None if test.value is None else scale * test.value, sign=not share)
    unit = {"points": " points", "share": " %"}.get(test.unit, "")
    bounds = interval(test, scale=scale, sign=not share)
    return TableRow(
        test.label,
        [
            Cell(
                value if test.value is None else f"{value}{unit}",
                (bounds,) if bounds else (),
                table.note(test.note),
            ),
            Cell(p_value(test.p_value)),
            Cell(p_value(test.p_holm)),
        ],
    )
