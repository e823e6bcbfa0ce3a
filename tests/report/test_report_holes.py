"""Results with holes, results that are wrong, and what is said about them."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from document import Element, table_rows

from evenface.errors import DataError, MissingDependencyError
from evenface.report import write_report
from evenface.study.record import Results

Write = Callable[[dict[str, Any]], Element]


def test_study_without_kd_pairs(results: dict[str, Any], write: Write) -> None:
    results["models"] = [m for m in results["models"] if not m["kd"]]
    results["differences"] = []
    results["claims"] = []
    page = write(results)
    assert "draws no conclusion" in page.one("section", id="answers").text
    assert "No training set has students both" in page.one("section", id="groups").text
    assert len(list(page.one("section", id="roc").every("figure"))) == 1


def test_one_group_only(results: dict[str, Any], write: Write) -> None:
    results["benchmarks"] = [
        {**results["benchmarks"][2], "id": "groups", "simulated": True, "title": "one group"}
    ]
    for of_model in results["evaluations"].values():
        of_model["groups"] = of_model.pop("orl")
    results["differences"] = [
        {**d, "benchmark": "groups"} for d in results["differences"] if d["benchmark"] == "orl"
    ]
    results["claims"] = [c for c in results["claims"] if c["id"] == "gap-closed"][:1]
    page = write(results)
    assert "draws no conclusion" not in page.one("section", id="answers").text
    assert "KD on synthetic faces closes 62" in page.one(id="claim-1").text
    notes = page.one(id="accuracy-groups").one("ol").text
    assert "There is one group: nothing to compare" in notes
    assert table_rows(page, "accuracy-groups")["real, KD from SFace"][2:] == ["– 1"] * 3
    assert "– 1" in table_rows(page, "unevenness-groups")["real, KD from SFace"]
    assert "not checked on faces from elsewhere" in page.one("section", id="others").text
    assert "one test by group" in page.one("section", id="others").text


def test_one_teacher_is_not_repeated_in_every_row(results: dict[str, Any], write: Write) -> None:
    results["teachers"] = results["teachers"][:1]
    for part in ("models", "differences", "claims"):
        results[part] = [entry for entry in results[part] if entry["teacher"] != "sface"]
    page = write(results)
    assert list(table_rows(page, "differences-groups-accuracy")) == ["real", "synthetic", "mix"]
    assert "KD from study teacher" not in page.one(id="slope-figure").text
    assert "another teacher" not in page.one("section", id="answers").text
    assert [h.text for h in page.one("table", class_="verdicts").one("thead").every("th")] == [
        "about",
        "all tests together",
        "held-out rendered identities",
        "held-out look: studio",
    ]


def test_number_that_a_seed_lacks_is_a_hole(results: dict[str, Any], write: Write) -> None:
    seeds = results["evaluations"]["real-plain"]["groups"]["seeds"]
    seeds[0]["accuracy"]["asian"] = None
    seeds[1]["mean"] = None
    row = table_rows(write(results), "accuracy-groups")["real, without KD"]
    assert row[3] == "91.30 [90.70, 91.90] seeds 90.90 · – · 91.70"


def test_curves_of_unequal_length(results: dict[str, Any], write: Write) -> None:
    curves = results["curves"]["real-plain"]
    curves[0] = curves[0][:5]
    curves[1] = []
    results["curves"]["mix-plain"][0][-1]["classification"] = None
    page = write(results)
    assert table_rows(page, "models")["mix, without KD"][-1] == "–"


def test_bare_minimum(results: dict[str, Any], write: Write) -> None:
    kept = {"schema", "study", "teachers"}
    bare = {key: value for key, value in results.items() if key in kept}
    page = write({**bare, "models": [], "benchmarks": []})
    holes = [hole.text for hole in page.every("p", class_="hole")]
    assert "This study has no benchmark: there is nothing to sum up." in holes
    assert "No training sets are in the results." in holes


def test_models_and_groups_without_evaluation_leave_visible_holes(
    results: dict[str, Any], write: Write
) -> None:
    del results["evaluations"]["mix-kd-study"]
    del results["evaluations"]["mix-plain"]["groups"]["groups"]["asian"]
    page = write(results)
    rows = table_rows(page, "accuracy-groups")
    assert rows["mix, KD from study teacher"] == ["– 2"] * 7
    assert rows["mix, without KD"][1] == "– 1"
    assert [note.text for note in page.one(id="accuracy-groups").every("li")] == [
        "This group is not in the model's evaluation.",
        "This model was not evaluated on this benchmark.",
    ]


def test_undefined_numbers_are_words(results: dict[str, Any], write: Write) -> None:
    overall = results["evaluations"]["teacher-sface"]["groups"]["overall"]
    overall["ser"] = {
        "value": None,
        "low": 2.5,
        "high": None,
        "note": "undefined: no error seen in asian",
    }
    threshold = results["evaluations"]["teacher-sface"]["groups"]["global_threshold"]
    threshold["fnmr_ratio"] = {"value": None, "low": 1.75, "high": None, "note": "no miss seen"}
    results["differences"][0] |= {"value": None, "low": None, "high": None}
    page = write(results)
    accuracy = table_rows(page, "accuracy-groups")["SFace (teacher)"]
    assert accuracy[5] == "≥ 2.50 1"
    assert "no error seen in asian" in page.one(id="accuracy-groups").one("ol").text
    unevenness = table_rows(page, "unevenness-groups")["SFace (teacher)"]
    assert unevenness[2] == "≥ 2.50 1"
    assert unevenness[-1] == "≥ 1.75 2"
    words = re.findall(r"\b(?:nan|inf|None)\b", page.one("main").text)
    assert words == []


def test_no_real_people(results: dict[str, Any], write: Write) -> None:
    results["benchmarks"] = results["benchmarks"][:2]
    results["claims"] = [c for c in results["claims"] if not c["id"].startswith("real-people")]
    page = write(results)
    assert "not checked on faces from elsewhere" in page.one("section", id="others").text
    assert "ORL, 40" not in page.one("main").text


def test_older_layout_says_to_run_the_study_again(results: dict[str, Any], tmp_path: Path) -> None:
    results["schema"] = 1
    with pytest.raises(DataError, match=r"layout 1 of another version.*Run the study again"):
        write_report(Results.parse(results), tmp_path / "report.html")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r.pop("study"), "study: Field required"),
        (lambda r: r.update(schema="2"), "schema: Input should be"),
        (lambda r: r["study"].pop("seeds"), "study.seeds: Field required"),
        (lambda r: r["claims"][0].update(verdict="proven"), "claims.0.verdict"),
        (lambda r: r["models"][0].update(kind="pupil"), "models.0.kind"),
        (lambda r: r["differences"][0].update(value=math.nan), "differences.0.value"),
        (lambda r: r["sets"][0].update(colour="red"), "sets.0.colour: Extra inputs"),
        (lambda r: r["stages"][0].update(seconds="long"), "stages.0.seconds"),
    ],
)
def test_wrong_results_are_named(
    results: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], Any], named: str
) -> None:
    change(results)
    with pytest.raises(DataError, match=re.escape(named)):
        write_report(Results.parse(results), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema": 1}'])
def test_file_that_is_no_results_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"results\.json"):
        write_report(path, tmp_path / "report.html")


def test_failure_keeps_the_report_that_is_there(results: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("before")
    results["samples"]["real"] = "../x.png"
    with pytest.raises(DataError):
        write_report(Results.parse(results), out)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert out.read_text() == "before"


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_missing_package_names_the_extra(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"evenface\[report\]"):
        write_report(Results.parse(results), tmp_path / "report.html")


def test_rate_that_a_group_is_too_small_for_is_declined(
    results: dict[str, Any], write: Write
) -> None:
    threshold = results["evaluations"]["real-plain"]["groups"]["global_threshold"]
    threshold["fmr"]["asian"] = {"value": 0.001, "low": 0.0, "high": 1.0, "note": None}
    page = write(results)
    assert table_rows(page, "threshold-groups")["real, without KD"][1] == "– 1"
    notes = page.one(id="threshold-groups").one("ol").text.replace("\xa0", " ")
    assert "Too few people or pairs for a rate: its interval would be [0, 100] %." in notes
