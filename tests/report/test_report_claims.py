"""Claims on the page: verdicts in word and shape, rule and tests, repeats beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from document import Element, table_rows

Write = Callable[[dict[str, Any]], Element]


def _main_claims(page: Element) -> list[Element]:
    return list(page.one("ol", class_="claims").every("li", id="claim-")) or [
        item for item in page.one("ol", class_="claims").children if isinstance(item, Element)
    ]


def test_main_claims_come_first_in_the_order_of_the_results(page: Element) -> None:
    questions = [item.one("h3").text for item in _main_claims(page)]
    assert questions == [
        "Does KD raise accuracy in every group, trained on synthetic faces?",
        "Does KD lower the unevenness over groups, trained on synthetic faces?",
        "How much of the gap between synthetic and real faces does KD close?",
        "Does the mix match real faces, both with KD?",
        "Does KD help on orl?",
        "Does KD help on openpeople?",
    ]
    answers = page.one("section", id="answers").text
    assert "held-out rendered identities, KD from study teacher. Each question" in answers


def test_verdicts_are_told_by_word_and_shape(page: Element) -> None:
    words = [item.one("span", class_="verdict").text for item in _main_claims(page)]
    shapes = [item.one("use").attributes["href"] for item in _main_claims(page)]
    verdicts = ["supported", "not supported", "undecided", "undefined", "supported", "supported"]
    assert words == verdicts
    assert shapes == [f"#shape-{verdict.replace(' ', '-')}" for verdict in verdicts]
    drawings = {
        tuple(str(sorted(c.attributes.items())) for c in symbol.every() if c.tag != "symbol")
        for symbol in page.every("symbol")
    }
    assert len(drawings) == 4


def test_verdicts_are_counted(page: Element) -> None:
    tally = [item.text for item in page.one("ul", class_="tally").every("li")]
    assert tally == ["3 supported", "1 not supported", "1 undecided", "1 undefined"]


def test_statement_stands_with_rule_and_tests_behind_it(page: Element) -> None:
    claim = page.one(id="claim-1")
    assert "With KD accuracy is higher in all three groups" in claim.text
    details = claim.one("details")
    assert "open" not in details.attributes
    assert "Supported if every interval lies above zero" in details.text
    assert table_rows(page, "claim-1-tests") == {
        group: ["+1.80 points [+0.70, +2.90]", "0.004", "0.012"]
        for group in ("african", "asian", "caucasian")
    }


def test_tests_are_in_the_unit_of_the_claim(page: Element) -> None:
    assert table_rows(page, "claim-2-tests")["SER"] == ["+0.31 [+0.16, +0.46]", "0.004", "–"]
    share = table_rows(page, "claim-3-tests")["share of the gap"]
    assert share == ["62.00 % [37.00, 87.00]", "–", "–"]
    undefined = table_rows(page, "claim-4-tests")["difference"]
    assert undefined == ["– 1", "–", "0.012"]
    assert "An arm is missing." in page.one(id="claim-4-tests").text


def test_repeats_stand_beside_each_other(page: Element) -> None:
    table = page.one("table", class_="agreement")
    assert [heading.text for heading in table.one("thead").every("th")] == [
        "question",
        "held-out rendered identities KD from study teacher",
        "held-out rendered identities KD from sface",
        "held-out look: studio KD from study teacher",
        "held-out look: studio KD from sface",
    ]
    rows = [[cell.text for cell in row.every("td")] for row in table.one("tbody").every("tr")]
    assert rows == [
        ["supported"] * 4,
        ["not supported", *["undecided differs"] * 3],
        ["undecided"] * 4,
        ["undefined"] * 4,
        ["supported", "supported", "–", "–"],
        ["supported", "supported", "–", "–"],
    ]
    assert "For 5 of 6 questions all verdicts are the same." in page.one(id="answers").text
    echoes = [item.one("p", class_="echo").text for item in _main_claims(page)]
    assert echoes == [
        "3 of 3 repeats agree",
        "0 of 3 repeats agree",
        "3 of 3 repeats agree",
        "3 of 3 repeats agree",
        "1 of 1 repeat agrees",
        "1 of 1 repeat agrees",
    ]


def test_further_tests_speak_for_themselves(results: dict[str, Any], write: Write) -> None:
    results["benchmarks"][1] |= {"title": "albums", "statement": "Other photographs."}
    text = write(results).one("section", id="answers").text
    assert "put again on other test faces and with another teacher." in text
    assert "Albums: Other photographs." in text
    assert "no training set has" not in text


def test_further_test_without_groups_is_a_repeat(results: dict[str, Any], write: Write) -> None:
    results["benchmarks"][1] |= {"group_by": None, "groups": ["african"]}
    headings = write(results).one("table", class_="agreement").one("thead")
    assert [h.text for h in headings.every("th")][3] == (
        "held-out look: studio KD from study teacher"
    )


def test_every_repeat_can_be_read_in_full(page: Element, results: dict[str, Any]) -> None:
    repeats = list(page.one(id="answers").every("details", class_="repeat"))
    assert [len(list(repeat.every("h4"))) for repeat in repeats] == [6, 4, 4]
    anchors = [link.attributes["href"] for link in page.one("table", class_="agreement").every("a")]
    assert len(set(anchors)) == len(results["claims"])


def test_claims_without_repeats(results: dict[str, Any], write: Write) -> None:
    results["claims"] = [
        c for c in results["claims"] if (c["benchmark"], c["teacher"]) == ("groups", "study")
    ]
    answers = write(results).one(id="answers")
    assert "Do the repeats agree?" not in answers.text
    assert "repeats agree" not in answers.text


def test_claim_of_no_teacher_belongs_to_the_main_one(results: dict[str, Any], write: Write) -> None:
    results["claims"] = [
        {**results["claims"][3], "id": "mix-matches-real-plain", "teacher": None, "tests": []}
    ]
    page = write(results)
    assert [item.one("h3").text for item in _main_claims(page)] == [
        "Does the mix match real faces, both with KD?"
    ]
    assert page.one(id="claim-1").one("summary").text == "Rule"


@pytest.mark.parametrize("p", [0.0, 0.0004])
def test_small_p_values_are_bounded(results: dict[str, Any], write: Write, p: float) -> None:
    results["claims"][0]["tests"][0]["p_holm"] = p
    assert table_rows(write(results), "claim-1-tests")["african"][-1] == "< 0.001"
