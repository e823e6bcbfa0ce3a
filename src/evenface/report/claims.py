"""Claims as the page shows them: those of the main benchmark and teacher, then the repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from evenface.report.grid import level_rank, levels_title
from evenface.report.numbers import interval, number, p_value
from evenface.report.schema import Benchmark, Claim, ClaimTest, Results, Verdict
from evenface.report.strip import strips
from evenface.report.table import Cell, Column, Table, TableRow

LEVELS_RULE = "level-beats-baseline"
"""Of the claims that compare levels of a factor, about which a section of its own speaks."""
_FEW = 16
"""Claims up to which they are read one by one; above, verdicts come first in a matrix."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Shown:
    """A claim with its place on the page."""

    anchor: str
    claim: Claim
    subject: str
    """What it is about within its rule; "" where the rule has but one."""
    tests: Table | None
    figures: list[str]
    """Its tests as drawings."""


@dataclass(frozen=True)
class Circle:
    """The claims of one benchmark and teacher; ``detail`` names the teacher where it matters."""

    title: str
    detail: str
    claims: list[Shown]


@dataclass(frozen=True)
class MatrixRow:
    """What claims of one rule are about, with those of each slice of the grid."""

    subject: str
    cells: list[list[Shown]]


@dataclass(frozen=True)
class Rule:
    """The claims that one rule decides, and the same by subject (rows) and slice (columns)."""

    name: str
    title: str
    claims: list[Shown]
    rows: list[MatrixRow]

    @property
    def tally(self) -> list[tuple[int, Verdict]]:
        """How often each verdict stands."""
        return tally(self.claims)


@dataclass(frozen=True)
class Matrix:
    """Verdicts, rule by rule; ``columns`` are the titles of slices."""

    columns: list[str]
    rules: list[Rule]


@dataclass(frozen=True)
class AgreementRow:
    """One question, with its claim in each circle (None where it was not put)."""

    identifier: tuple[str, ...]
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
    whole: list[Shown]
    """Main claims about the grid as a whole; all of them where there is no grid."""
    matrix: Matrix
    """The other main claims, slice by slice."""
    levels: list[Shown]
    """Those that compare levels of a factor."""

    @property
    def tally(self) -> list[tuple[int, Verdict]]:
        """How often each verdict stands among the main claims."""
        return tally(self.main.claims)

    def echo(self, claim: Claim) -> str:
        """How many repeats of a claim agree with it, in words; "" without repeats."""
        row = next((row for row in self.agreement if row.identifier == _key(claim)), None)
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


def tally(claims: Sequence[Shown]) -> list[tuple[int, Verdict]]:
    """How often each verdict stands, without those that do not."""
    found = Counter(shown.claim.verdict for shown in claims)
    return [(found[verdict], verdict) for verdict in VERDICTS if found[verdict]]


def rule_of(claim: Claim) -> str:
    """Name of the rule that decides a claim: "kd-raises-accuracy"."""
    return claim.id.partition(":")[0]


def subject_of(results: Results, claim: Claim) -> str:
    """What a claim is about within its rule and slice: a training set; "" where its rule has but
    one.
    """
    parts = claim.id.split(":")[1:]
    slice_ = [
        claim.levels[factor]
        for factor, levels in results.factors.items()
        if factor in claim.levels and len(levels) > 1
    ]
    if parts and slice_ and sorted(parts[-1]) == sorted("-".join(slice_)):
        parts.pop()
    return ", ".join(parts)


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
        found.setdefault(key, []).append(
            Shown(
                anchor,
                claim,
                subject_of(results, claim),
                _tests(anchor, claim),
                strips(claim.tests),
            )
        )
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
    levels = [s for s in main.claims if rule_of(s.claim) == LEVELS_RULE]
    verdicts = [s for s in main.claims if s not in levels]
    if any(s.claim.levels for s in verdicts) or len(verdicts) > _FEW:
        rules = Counter(rule_of(s.claim) for s in verdicts)
        sliced = [s for s in verdicts if s.claim.levels or rules[rule_of(s.claim)] > 1]
    else:
        sliced = []
    return Claims(
        main,
        repeats,
        _agreement([main, *repeats]),
        elsewhere,
        [s for s in verdicts if s not in sliced],
        _matrix(results, sliced),
        levels,
    )


def _matrix(results: Results, claims: Sequence[Shown]) -> Matrix:
    ranked = {levels_title(results, s.claim.levels): s.claim.levels for s in claims}
    columns = sorted(ranked, key=lambda title: level_rank(results, ranked[title]))
    by_rule: dict[str, list[Shown]] = {}
    for shown in claims:
        by_rule.setdefault(rule_of(shown.claim), []).append(shown)
    rules = []
    for name, of_rule in by_rule.items():
        cells: dict[str, dict[str, list[Shown]]] = {}
        for shown in of_rule:
            of_subject = cells.setdefault(shown.subject, {})
            column = levels_title(results, shown.claim.levels)
            of_subject.setdefault(column, []).append(shown)
        rows = [
            MatrixRow(subject, [of_subject.get(column, []) for column in columns])
            for subject, of_subject in cells.items()
        ]
        rules.append(Rule(name, _rule_title(name), of_rule, rows))
    return Matrix([title or "all" for title in columns], rules)


_TITLES = {
    "kd-raises-accuracy": "KD raises accuracy in every group",
    "kd-lowers-unevenness": "KD makes groups more alike",
    "kd-lowers-absolute-unevenness": "KD brings the groups' errors nearer to each other",
    "kd-lowers-absolute-unevenness-of-fnmr": "KD brings FNMRs at one threshold nearer",
    "kd-lowers-absolute-unevenness-of-fmr": "KD brings FMRs at one threshold nearer",
    "kd-lowers-relative-unevenness": "KD makes the worst group err fewer times as often",
    "kd-lowers-relative-unevenness-of-fnmr": "KD lowers the worst FNMR to the mean",
    "kd-lowers-relative-unevenness-of-fmr": "KD lowers the worst FMR to the mean",
    "worst-group-better-off": "The worst group is better off with KD",
    "no-group-worse-off": "No group is worse off with KD",
    "gap-closed": "KD narrows the gap between real and synthetic faces",
    "gap-closed-synthetic": "KD brings synthetic faces nearer to real faces without it",
    "mix-matches-real": "A mix matches real faces alone, both with KD",
    "mix-matches-real-plain": "A mix matches real faces alone, both without KD",
    "mix-matches-real-without-kd": "A mix with KD matches real faces without it",
    "which-mixes-match": "Which mixes match real faces",
    "real-people": "KD helps on other people",
}


def _rule_title(name: str) -> str:
    """Of a rule that this version does not know: its name in words."""
    if name in _TITLES:
        return _TITLES[name]
    words = ["KD" if word == "kd" else word for word in name.split("-")]
    title = " ".join(words)
    return title[:1].upper() + title[1:]


def _key(claim: Claim) -> tuple[str, ...]:
    """What a claim and its repeats have in common."""
    return (claim.id, *(f"{factor}={claim.levels[factor]}" for factor in sorted(claim.levels)))


def _agreement(circles: Sequence[Circle]) -> list[AgreementRow]:
    """Rows of all questions that were put in more than one circle."""
    by_id = [{_key(shown.claim): shown for shown in circle.claims} for circle in circles]
    rows = []
    for identifier in dict.fromkeys(_key(s.claim) for circle in circles for s in circle.claims):
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
