"""Verdicts on the page: one row a question, a column a test, and no more said than is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from committed import RESULTS, committed
from document import Element, parse

from evenface.report.drawings.strip import strips
from evenface.report.study.claims import collect_claims, verdict_table
from evenface.report.study.names import readable
from evenface.study.record import Evidence, Results, read_results

Write = Callable[[dict[str, Any]], Element]


def _rows(page: Element, rule: str) -> list[list[str]]:
    heading = f"rule-{rule}"
    table = next(t for t in page.every("table") if t.attributes.get("aria-labelledby") == heading)
    return [
        [row.one("th").text, *(cell.text for cell in row.every("td"))]
        for row in table.one("tbody").every("tr")
    ]


def test_each_question_has_a_column_for_each_test(page: Element) -> None:
    table = page.one("section", id="answers").one("table")
    assert [heading.text for heading in table.one("thead").every("th")] == [
        "about",
        "all tests together",
        "held-out rendered identities study teacher",
        "held-out rendered identities SFace",
        "held-out look: studio study teacher",
        "held-out look: studio SFace",
    ]
    assert _rows(page, "kd-raises-accuracy") == [
        ["synthetic", "supported", *["supported +1.80 [+0.70, +2.90]"] * 4]
    ]
    assert _rows(page, "gap-closed")[0][2:] == ["undecided 62.00 % [37.00, 87.00] detects 36 %"] * 4
    assert _rows(page, "mix-matches-real")[0][1:] == ["undefined"] * 5


def test_verdict_that_tests_disagree_on_is_neither_green_nor_red(page: Element) -> None:
    row = _rows(page, "kd-lowers-unevenness")[0]
    assert row[1] == "not supported in 1 of 4 tests"
    assert [cell.split(" ")[0] for cell in row[3:]] == ["undecided"] * 3
    marks = [span.attributes["class"] for span in page.every("span", class_="verdict")]
    assert marks[1] == "verdict mixed"


def test_verdict_for_one_teacher_says_so(results: dict[str, Any], write: Write) -> None:
    for claim in results["claims"]:
        if claim["teacher"] == "sface":
            claim["verdict"] = "undecided"
    page = write(results)
    assert _rows(page, "kd-raises-accuracy")[0][1] == "supported for the study teacher only"
    assert not list(page.every("span", class_="verdict supported"))


def test_verdict_of_the_friendly_teacher_alone_says_that_no_other_was_tried(grid: Element) -> None:
    assert _rows(grid, "kd-helps-on-average")[0][1] == (
        "supported with the study teacher, the only one tried"
    )


def test_green_stands_only_where_every_test_agrees(committed_page: Path) -> None:
    page = parse(committed_page.read_text("utf-8"))
    tables = list(page.every("table", class_="verdicts"))
    assert tables
    for table in tables:
        for row in table.one("tbody").every("tr"):
            mark = row.one("span", class_="verdict").attributes["class"].removeprefix("verdict ")
            verdicts = {
                re.match(r"supported|not supported|undecided|undefined", cell.text)[0]  # type: ignore[index]
                for cell in list(row.every("td"))[1:]
                if cell.text != "–"
            }
            if mark in ("supported", "not-supported"):
                assert verdicts == {mark.replace("-", " ")}
            if mark == "mixed":
                assert len(verdicts) > 1


def test_every_group_prints_the_interval_of_the_weakest() -> None:
    study = readable(read_results(committed("quick")))
    claims = collect_claims(study)
    rule = next(rule for rule in claims.rules if rule.name == "kd-raises-accuracy")
    for question in rule.questions:
        shown = question.claims[0]
        assert shown is not None
        low = float(shown.effect.split("[")[1].split(",")[0].replace("−", "-"))
        lows = [
            100 * d.low
            for d in study.differences
            if (d.set, d.teacher, d.benchmark, d.metric)
            == (question.subject, "study", "groups", "accuracy")
            and d.group != "mean"
            and d.low is not None
        ]
        assert low == pytest.approx(min(lows), abs=0.005)
        assert "weakest group (" in question.figures[0]


def test_every_verdict_with_a_figure_draws_its_interval() -> None:
    for path in RESULTS:
        for rule in collect_claims(readable(read_results(path))).rules:
            for question in rule.questions:
                for drawing in question.figures:
                    assert drawing.count("<circle") == drawing.count('class="span"')
                    assert "hollow" not in drawing


def test_rule_and_answer_are_folded_below_the_row(page: Element) -> None:
    claim = page.one(id="claim-1")
    assert "With KD accuracy is higher in all three groups" in claim.text
    text = page.one("section", id="answers").text
    assert "Supported if every interval lies above zero" in text
    link = next(page.one("table", class_="verdicts").every("a"))
    assert link.attributes["href"] == "#claim-1"


def test_verdicts_are_told_by_word_and_shape(page: Element) -> None:
    drawings = {
        tuple(str(sorted(c.attributes.items())) for c in symbol.every() if c.tag != "symbol")
        for symbol in page.every("symbol")
    }
    assert len(drawings) == 5
    for span in page.every("span", class_="verdict"):
        assert span.text
        shape = span.one("use").attributes["href"]
        assert shape == f"#shape-{span.attributes['class'].removeprefix('verdict ')}"


def test_further_tests_speak_for_themselves(results: dict[str, Any], write: Write) -> None:
    results["benchmarks"][1] |= {"title": "albums", "statement": "Other photographs."}
    text = write(results).one("section", id="answers").text
    assert "the same question on other test faces and with another teacher." in text
    assert "Albums: Other photographs." in text


def test_claims_without_repeats(results: dict[str, Any], write: Write) -> None:
    results["claims"] = [
        c for c in results["claims"] if (c["benchmark"], c["teacher"]) == ("groups", "study")
    ]
    page = write(results)
    assert len(_rows(page, "kd-raises-accuracy")[0]) == 3


def test_claim_of_no_teacher_belongs_to_the_main_one(results: dict[str, Any], write: Write) -> None:
    results["claims"] = [
        {**results["claims"][3], "id": "mix-matches-real-plain", "teacher": None, "tests": []}
    ]
    page = write(results)
    assert _rows(page, "mix-matches-real-plain") == [
        ["Does the mix match real faces, both with KD?", "undefined", "undefined"]
    ]


def test_verdict_table_has_each_question_once(results: dict[str, Any]) -> None:
    table = verdict_table(collect_claims(readable(Results.parse(results))))
    questions = [row.header for row in table.rows]
    assert len(questions) == len(set(questions)) == 6
    assert [cell.text for cell in table.rows[1].cells][:2] == [
        "not supported in 1 of 4 tests",
        "not supported",
    ]


def test_figure_of_a_claim_has_its_tests_by_unit() -> None:
    tests = [
        Evidence(label="a <b>", value=0.01, low=0.004, high=0.02, unit="points"),
        Evidence(label="c", value=-0.3, low=-0.5, high=0.1, unit="ratio"),
        Evidence(label="d", value=None, unit="points"),
        Evidence(label="e", value=0.0, unit="points"),
    ]
    points, ratio = strips(tests)
    assert "a &lt;b&gt; +1.00, e 0.00" in points
    assert points.count("<circle") == 2
    assert points.count('class="span"') == 1  # e has no interval
    assert "percentage points" in points
    assert "c −0.30" in ratio
    assert strips([]) == []
