"""Identification in an audit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from audits import evaluation
from document import Element, parse

from evenface.evaluate.identification import (
    IdentificationResult,
    OpenSetPoint,
    ProbeCounts,
    RateByGroup,
)
from evenface.record import Estimate
from evenface.report.audit import Audit, collect_audit, write_audit


def rate(value: float | None, *, note: str | None = None) -> RateByGroup:
    low, high = (None, None) if value is None else (value - 0.02, value + 0.02)
    one = Estimate(value=value, low=low, high=high, note=note)
    return RateByGroup(overall=one, groups={"a": one, "b": one})


def search(model: str, rank_1: float) -> IdentificationResult:
    refused = "the unmated probes do not support this"
    return IdentificationResult(
        model=model,
        protocol="gallery",
        fingerprint="f" * 64,
        simulated=True,
        gallery_people=120,
        gallery_images=240,
        probes={
            "a": ProbeCounts(mated=50, unmated=20, people=30),
            "b": ProbeCounts(mated=40, unmated=10, people=25),
        },
        rank_rate={"1": rate(rank_1), "5": rate(0.95)},
        open_set=[
            OpenSetPoint(target_fpir=0.1, threshold=0.4, fpir=rate(0.09), fnir=rate(0.3)),
            OpenSetPoint(
                target_fpir=0.001,
                threshold=None,
                fpir=rate(None, note=refused),
                fnir=rate(None, note=refused),
                note=refused,
            ),
        ],
        level=0.95,
        replicates=100,
        seed=0,
        notes=["the gallery stays as it is"],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search")
    results = [("m", evaluation()), ("m", search("m", 0.9)), ("n", search("n", 0.8))]
    write_audit(collect_audit(results), out)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Element:
    return parse((folder / "report.html").read_text(encoding="utf-8"))


def test_models_on_one_gallery_share_a_table(folder: Path) -> None:
    with open(folder / "tables" / "s1-search.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    first = {row["model"]: row["all probes"] for row in rows if row["measure"] == "rank-1 rate"}
    assert first == {"m": "0.9", "n": "0.8"}
    refused = next(row for row in rows if row["measure"] == "FNIR at FPIR 0.1 %")
    assert (refused["a"], refused["a low"]) == ("", "")


def test_the_answer_is_a_sentence(page: Element) -> None:
    answers = page.one("section", id="answers").text
    assert "How often does n find the person searched for, on gallery?" in answers
    assert "among the 120 in the gallery, 80.00" in answers


def test_simulated_searches_are_said_first(page: Element) -> None:
    statement = page.one("aside").text
    assert "The faces of gallery are computer-made" in statement


def test_searches_are_read_back(folder: Path) -> None:
    audit = Audit.read(folder / "results.json")
    assert [(s.model, s.result) for s in audit.identification] == [
        ("m", search("m", 0.9)),
        ("n", search("n", 0.8)),
    ]
