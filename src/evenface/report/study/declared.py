"""Contrasts that a study declares: its answer in words, and the harms behind it as a drawing."""

from __future__ import annotations

from functools import partial

from evenface.report.drawings import intervals, marks
from evenface.report.drawings.intervals import Dumbbell
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import INK
from evenface.report.figure import Figure
from evenface.report.numbers import coverage, number
from evenface.report.study.claims import DECLARED, rule_of
from evenface.study.record import Benchmark, Claim, Results

_ANSWERS = {"supported": "yes", "not supported": "no"}


def headline(results: Results, benchmark: Benchmark) -> list[Claim]:
    """The first declared contrast with its first two endpoints; none where none is declared."""
    found = _claims(results, benchmark)
    first = [c for c in found if _part(c, 1) == _part(found[0], 1)]
    return [c for c in first if c.tests and finite(c.tests[0].value)][:2]


def answer(claim: Claim) -> str:
    """ "In points of FNMR at one threshold: yes. <first sentence of the statement>" """
    scale = claim.question.rstrip("?").rpartition(", ")[2]
    said = _ANSWERS.get(claim.verdict, claim.verdict)
    return f"{scale[:1].upper()}{scale[1:]}: {said}. {claim.statement.partition('. ')[0]}."


def harm_picture(results: Results, benchmark: Benchmark) -> Figure | None:
    """The harms of every contrast with the first endpoint; None where that is not in points."""
    claims = _claims(results, benchmark)
    claims = [c for c in claims if _part(c, 2) == _part(claims[0], 2)]
    asked, other = Style.of_series(0), Style(INK).without_kd()
    rows, said = [], []
    for claim in claims:
        harms = [t for t in claim.tests if t.label.startswith("harm ")] or list(claim.tests[:1])
        if any(t.unit != "points" or t.value is None for t in harms):
            continue
        styles = (other, asked) if len(harms) > 1 else (asked,)
        name = _part(claim, 1).replace("-", " ")
        rows.append(Dumbbell(name, list(zip(reversed(harms), styles, strict=True))))
        values = [f"{number(100 * (t.value or 0), digits=1)} {t.label[5:]}" for t in harms]
        said.append(f"{name}: {', '.join(values)}")
    horizontal = marks.limits((e for row in rows for e, _ in row.ends), zero=True)
    if horizontal is None:
        return None
    chart = Figure(
        "picture",
        "Harm of being starved, mean over groups: by how many points a group's error moves away "
        f"from the others'. Bars are {coverage(results.level)} intervals; paired differences are "
        "surer than they suggest.",
        "",
        simulated=benchmark.simulated,
    )
    chart.picture(
        partial(
            intervals.dumbbell_chart,
            label=f"Harm in points. {'; '.join(said)}.",
            rows=rows,
            horizontal=horizontal,
            unit="harm, points",
        ),
        height=60 + 30 * len(rows),
    )
    chart.explain("condition asked about", asked, line=False, marker=True)
    chart.explain("compared with", other, line=False, marker=True)
    return chart


def _claims(results: Results, benchmark: Benchmark) -> list[Claim]:
    return [c for c in results.claims if rule_of(c) == DECLARED and c.benchmark == benchmark.id]


def _part(claim: Claim, place: int) -> str:
    """Of a claim's id, "declared-contrasts:<contrast>:<endpoint>"."""
    return claim.id.split(":")[place]
