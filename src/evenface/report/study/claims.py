"""The study's questions as the page shows them: one row each, with the verdict of every test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from evenface.record import Estimate
from evenface.report.drawings.marks import finite
from evenface.report.drawings.strip import strips
from evenface.report.numbers import MISSING, format_estimate
from evenface.report.study.detects import chance_of, claim_detects
from evenface.report.study.grid import friendly_teachers, level_rank, levels_title
from evenface.report.study.names import with_article
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.study.detectable import Chance, Detectable
from evenface.study.record import Benchmark, Claim, Difference, Evidence, Results, Verdict
from evenface.study.wording import little_chance

LEVELS_RULE = "level-beats-baseline"
"""Of the claims that compare levels of a factor, about which a section of its own speaks."""
DECLARED = "declared-contrasts"
"""Of the claims that the study file declares."""
RAISES, EVERYWHERE = "kd-raises-accuracy", "kd-raises-accuracy-everywhere"
"""Of the claims about every group."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
MIXED = "mixed"
"""Mark of a verdict that not all tests agree with: neither green nor red."""


@dataclass(frozen=True)
class Standing:
    """What all tests of a question come to, in words, and the shape and colour of its mark."""

    text: str
    mark: str


@dataclass(frozen=True)
class Shown:
    """A claim, and the figure that goes with its verdict."""

    claim: Claim
    effect: str
    """ "+1.20 points [+0.40, +2.00]"; "" where no test has a value."""
    detects: Detectable | None = None
    """Of an undecided claim: what the study would have detected."""


@dataclass(frozen=True)
class Circle:
    """What claims were tested with: a benchmark and a teacher."""

    benchmark: Benchmark | None
    teacher: str | None
    title: str
    detail: str
    """The teacher, where there are several."""
    claims: list[Claim]


@dataclass(frozen=True)
class Question:
    """A question, with its claim in each circle (None where it was not put)."""

    anchor: str
    subject: str
    """What it is about within its rule: training set, levels; "" where its rule has but one."""
    claims: list[Shown | None]
    standing: Standing
    figures: list[str]
    """The tests of the first claim as drawings."""
    caution: str = ""
    """What the page says on its first screen, and not with every answer."""

    @property
    def statement(self) -> str:
        """The first claim's answer, without the caution."""
        said = self.first.statement
        return said.replace(f" {self.caution}", "") if self.caution else said

    @property
    def first(self) -> Claim:
        """The claim in the first circle that has it."""
        return next(shown.claim for shown in self.claims if shown)

    @property
    def detects(self) -> str:
        """What the study would have detected of the first claim; "" where that is decided."""
        shown = next(shown for shown in self.claims if shown)
        return shown.detects.sentence if shown.detects else ""


@dataclass(frozen=True)
class Rule:
    """The questions that one rule decides."""

    name: str
    title: str
    questions: list[Question]

    @property
    def tally(self) -> str:
        """ "3 supported, 1 undecided", by the first circle."""
        return tally(question.first for question in self.questions)


@dataclass(frozen=True)
class Claims:
    """All questions, rule by rule, and what they were tested with: the main circle first."""

    circles: list[Circle]
    rules: list[Rule]

    @property
    def levels(self) -> list[Claim]:
        """Those of the main circle that compare levels of a factor."""
        return [c for c in self.circles[0].claims if rule_of(c) == LEVELS_RULE]


def verdict_table(claims: Claims) -> Table:
    """Questions × tests, with what all tests of a question come to."""
    table = Table(
        "verdicts",
        "Verdict on each question, on all tests together and on each of them.",
        [
            *words("question", "all tests together"),
            *(
                Column(", ".join(filter(None, (c.title, c.detail))), numeric=False)
                for c in claims.circles
            ),
        ],
    )
    table.sections = [
        [
            TableRow(
                question.first.question,
                [
                    Cell(question.standing.text),
                    *map(_verdict_cell, question.claims),
                ],
            )
            for question in rule.questions
        ]
        for rule in claims.rules
    ]
    return table


def _verdict_cell(shown: Shown | None) -> Cell:
    if shown is None:
        return Cell(MISSING)
    return Cell(shown.claim.verdict, details=(shown.detects.short,) if shown.detects else ())


def tally(claims: Iterator[Claim] | Sequence[Claim]) -> str:
    """How often each verdict was reached: "3 supported, 1 undecided"."""
    found = Counter(claim.verdict for claim in claims)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


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
    return ", ".join(_SUBJECTS.get(part, part) for part in parts)


def collect_claims(results: Results) -> Claims:
    """The questions in reading order, with their claims in each circle.

    Claims about other people as a whole belong to the main benchmark, those without a teacher to
    the main teacher.
    """
    circles = _circles(results)
    by_key = [{_key(claim): claim for claim in circle.claims} for circle in circles]
    found: dict[str, list[list[Claim | None]]] = {}
    for key in dict.fromkeys(key for circle in by_key for key in circle):
        claims = [circle.get(key) for circle in by_key]
        first = next(claim for claim in claims if claim)
        found.setdefault(rule_of(first), []).append(claims)
    rules, place, chance = [], 0, chance_of(results)
    for name, of_rule in found.items():
        of_rule.sort(key=lambda claims: level_rank(results, _first(claims).levels))
        questions = []
        for claims in of_rule:
            place += 1
            questions.append(_question(results, chance, circles, f"claim-{place}", claims))
        rules.append(Rule(name, _rule_title(name), questions))
    leading = (DECLARED, RAISES, EVERYWHERE, "kd-helps-on-average")
    rules.sort(key=lambda rule: (rule.name != DECLARED, rule.name not in leading))
    return Claims(circles, rules)


def _circles(results: Results) -> list[Circle]:
    main_benchmark = results.main.id if results.main else ""
    main_teacher = next(iter(results.distillers), "")
    found: dict[tuple[str, str], list[Claim]] = {(main_benchmark, main_teacher): []}
    for claim in results.claims:
        on_others = claim.id.startswith("real-people:")
        benchmark = main_benchmark if on_others else claim.benchmark or main_benchmark
        found.setdefault((benchmark, claim.teacher or main_teacher), []).append(claim)
    several = len({teacher for _, teacher in found}) > 1
    order = {b.id: i for i, b in enumerate(results.benchmarks)}
    rank = {t: i for i, t in enumerate(results.distillers)}
    first, *others = found
    others.sort(key=lambda key: (order.get(key[0], 0), rank.get(key[1], len(rank))))
    known = {b.id: b for b in results.benchmarks}
    return [
        Circle(
            known.get(benchmark),
            teacher,
            known[benchmark].short if benchmark in known else benchmark,
            results.teacher_name(teacher) if several else "",
            found[benchmark, teacher],
        )
        for benchmark, teacher in (first, *others)
    ]


def _question(
    results: Results,
    chance: Chance,
    circles: Sequence[Circle],
    anchor: str,
    claims: Sequence[Claim | None],
) -> Question:
    first = _first(claims)
    subject = ", ".join(
        filter(None, (subject_of(results, first), levels_title(results, first.levels)))
    )
    if rule_of(first) == LEVELS_RULE:
        subject = ": ".join(first.id.split(":")[1:3])
        subject += "" if first.teacher else ", without KD"
    tests = [_with_weakest(results, claim) if claim else None for claim in claims]
    return Question(
        anchor,
        subject,
        [
            Shown(claim, _said(of[0]) if of else "", claim_detects(results, chance, claim))
            if claim
            else None
            for claim, of in zip(claims, tests, strict=True)
        ],
        _standing(results, circles, claims),
        strips(next(of for of in tests if of is not None)),
        f"{little_chance(len(results.study.seeds))}.",
    )


def _first(claims: Sequence[Claim | None]) -> Claim:
    return next(claim for claim in claims if claim)


def _standing(
    results: Results, circles: Sequence[Circle], claims: Sequence[Claim | None]
) -> Standing:
    """The first verdict, and in the same breath how far it holds."""
    asked = [
        (circle, claim) for circle, claim in zip(circles, claims, strict=True) if claim is not None
    ]
    first = asked[0][1]
    verdict, teacher = first.verdict, first.teacher
    decided = verdict in ("supported", "not supported")
    same = [circle for circle, claim in asked if claim.verdict == verdict]
    if len(same) == len(asked):
        if decided and teacher and {c.teacher for c in same} <= friendly_teachers(results):
            name = with_article(results.teacher_name(teacher))
            return Standing(f"{verdict} with {name}, the only one tried", mark(verdict))
        return Standing(verdict, mark(verdict))
    if not decided:
        others = tally([claim for _, claim in asked[1:] if claim.verdict != verdict])
        return Standing(f"{verdict} (other tests: {others})", mark(verdict))
    own = [circle for circle, _ in asked if circle.teacher == asked[0][0].teacher]
    if teacher and same == own:
        name = with_article(results.teacher_name(teacher))
        return Standing(f"{verdict} for {name} only", MIXED)
    return Standing(f"{verdict} in {len(same)} of {len(asked)} tests", MIXED)


def mark(verdict: str) -> str:
    """Name of a verdict's shape: its id on the page and its class in the style sheet."""
    return verdict.replace(" ", "-")


def _with_weakest(results: Results, claim: Claim) -> list[Evidence]:
    """A claim's tests; several figures together are that of the weakest, with its interval."""
    tests = [test for test in claim.tests if finite(test.value)]
    if not tests or finite(tests[0].low):
        return tests
    first, *others = tests
    if rule_of(claim) not in (RAISES, EVERYWHERE):
        return [t for t in others if t.value == first.value][:1] + [
            t for t in others if t.value != first.value
        ] or tests
    found = weakest(results, claim.benchmark, claim.teacher, _pairing(results, claim))
    if found is None:
        return tests
    where = found.group if rule_of(claim) == RAISES else f"{found.group}, {found.set}"
    shown = _replaced(tests[0], found, f"weakest group ({where})")
    return [shown, *(t for t in tests[1:] if t.label != found.group)]


def _replaced(test: Evidence, found: Difference, label: str) -> Evidence:
    """A test with the value and interval of a difference."""
    return test.model_copy(
        update={"label": label, "value": found.value, "low": found.low, "high": found.high}
    )


def _pairing(results: Results, claim: Claim) -> tuple[str, str] | None:
    """Training set and levels that a claim is about; None for one about all."""
    if rule_of(claim) == EVERYWHERE:
        return None
    return claim.id.split(":")[1], levels_title(results, claim.levels)


def weakest(
    results: Results,
    benchmark: str | None,
    teacher: str | None,
    pairing: tuple[str, str] | None = None,
) -> Difference | None:
    """Of the gains in accuracy of single groups, the one whose interval reaches lowest.

    Args:
        results: the study.
        benchmark, teacher: their ids.
        pairing: training set and title of its levels; None for those of all pairs.
    """
    groups = next((b.groups for b in results.benchmarks if b.id == benchmark), ())
    found = [
        d
        for d in results.differences
        if (d.benchmark, d.teacher, d.metric) == (benchmark, teacher, "accuracy")
        and d.group in groups
        and pairing in (None, (d.set, levels_title(results, d.levels)))
        and finite(d.value)
    ]
    return min(found, key=lowest, default=None)


def lowest(found: Estimate) -> float:
    """How far an interval reaches down; the value where it has none."""
    return next((bound for bound in (found.low, found.value) if bound is not None), 0.0)


def _said(test: Evidence) -> str:
    share = test.unit == "share"
    scale = 100 if share or test.unit == "points" else 1
    assert test.value is not None
    unit = {"points": "", "share": " %"}.get(test.unit, "")
    return format_estimate(test, scale=scale, sign=not share, unit=unit)


_SUBJECTS = {"with-kd": "against real faces with KD", "without-kd": "against real faces without KD"}
_TITLES = {
    DECLARED: "What the study declared to ask",
    "random-groups": "The same with people dealt to groups at random, where nothing may be found",
    RAISES: "Distillation raises accuracy in every group",
    EVERYWHERE: "Distillation raises accuracy in every group of every pair",
    "kd-helps-on-average": "Distillation raises mean accuracy, averaged over all pairs",
    "kd-lowers-unevenness": "Distillation makes groups more alike",
    "kd-lowers-absolute-unevenness": "Distillation brings the groups' errors closer, in points",
    "kd-lowers-absolute-unevenness-of-fnmr": "The same for FNMR, at one threshold",
    "kd-lowers-absolute-unevenness-of-fmr": "The same for FMR, at one threshold",
    "kd-lowers-relative-unevenness": "Distillation lowers the ratio of worst to best group error",
    "kd-lowers-relative-unevenness-of-fnmr": "The same for FNMR, worst group to mean",
    "kd-lowers-relative-unevenness-of-fmr": "The same for FMR, worst group to mean",
    "worst-group-better-off": "The worst group is better off with distillation",
    "no-group-worse-off": "No group is worse off with distillation",
    "gap-closed": "Distillation narrows the gap between real and synthetic faces",
    "gap-closed-synthetic": "Distilled synthetic faces come nearer to real faces alone",
    "mix-matches-real": "A mix matches real faces, both with distillation",
    "mix-matches-real-plain": "A mix matches real faces, both without distillation",
    "mix-matches-real-without-kd": "A distilled mix matches real faces without distillation",
    "which-mixes-match": "Some mix matches real faces",
    LEVELS_RULE: "Another network or loss does better than the first",
    "real-people": "Distillation helps on other people",
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
