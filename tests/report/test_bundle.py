"""The files beside a study's results: the numbers of the results, and text that is well-formed."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evenface.cli.main import build_app
from evenface.errors import DataError
from evenface.report.bundle import write_bundle

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def bundle(tmp_path: Path) -> Write:
    """Writes the bundle of results and returns its folder."""

    def build(content: dict[str, Any]) -> Path:
        path = tmp_path / "results.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        written = write_bundle(path, tmp_path / "out")
        assert all(file.is_file() for file in written)
        return tmp_path / "out"

    return build


def records(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_measures_are_those_of_the_results(results: dict[str, Any], bundle: Write) -> None:
    rows = records(bundle(results) / "tables/tidy/measures.csv")
    found = {(r["model"], r["seed"], r["benchmark"], r["group"], r["measure"]): r for r in rows}
    assert len(found) == len(rows), "one record for each"
    evaluation = results["evaluations"]["mix-plain"]["groups"]
    for group, of in evaluation["groups"].items():
        for measure in ("accuracy", "eer", "auc", "dprime"):
            row = found["mix-plain", "", "groups", group, measure]
            for bound in ("value", "low", "high"):
                assert float(row[bound]) == of[measure][bound]
        unknown = found["mix-plain", "", "groups", group, "tar_at_far.1e-3"]
        assert unknown["value"] == ""
        fmr = found["mix-plain", "", "groups", group, "global.fmr"]
        assert float(fmr["high"]) == evaluation["global_threshold"]["fmr"][group]["high"]
    ser = found["mix-plain", "", "groups", "", "ser"]
    assert float(ser["value"]) == evaluation["overall"]["ser"]["value"]
    second = found["mix-plain", "1", "groups", "asian", "accuracy"]
    assert float(second["value"]) == evaluation["seeds"][1]["accuracy"]["asian"]


def test_the_papers_table(results: dict[str, Any], bundle: Write) -> None:
    folder = bundle(results) / "tables"
    lines = (folder / "paper-groups.tex").read_text("utf-8").splitlines()
    heads = next(line for line in lines if line.startswith("    training set & KD"))
    assert heads.split(" & ")[2:] == ["african", "asian", "caucasian", "mean", "STD", r"SER \\"]
    rows = [line for line in lines if line.startswith("    ") and line.endswith(r"\\")][1:]
    assert len(rows) == 9
    plain, study = rows[3].split(" & "), rows[4].split(" & ")
    assert [plain[0].strip(), plain[1]] == ["synthetic", "none"]
    assert [study[0].strip(), study[1]] == ["", "study teacher"]
    # Differences have a half-width of 1.1 points: KD gains more in asian, and less in african.
    assert study[3].startswith(r"\textbf{")
    assert "textbf" not in plain[3]
    text = "\n".join(lines)
    assert text.count("{") == text.count("}")
    assert text.startswith("% \\usepackage{booktabs}\n\\begin{table}")
    assert all(line.count(" & ") == 7 for line in rows)
    assert r"\caption{Simulated faces." in text
    assert "**" in (folder / "paper-groups.md").read_text("utf-8")


def test_bold_needs_a_decision(results: dict[str, Any], bundle: Write) -> None:
    for difference in results["differences"]:
        difference["p_holm"], difference["low"] = 0.2, -0.1
    assert "textbf" not in (bundle(results) / "tables/paper-groups.tex").read_text("utf-8")


def test_bold_is_for_the_better(results: dict[str, Any], bundle: Write) -> None:
    for difference in results["differences"]:
        difference |= {"value": -0.02, "low": -0.03, "high": -0.01, "p_holm": 0.01}
    text = (bundle(results) / "tables/paper-groups.tex").read_text("utf-8")
    rows = [line.split(" & ") for line in text.splitlines() if " & study teacher & " in line]
    for row in rows:
        assert ["textbf" in cell for cell in row[2:]] == [False] * 4 + [True] * 2


def test_factors_are_columns(results: dict[str, Any], bundle: Write) -> None:
    results["schema"] = 3
    for model in results["models"]:
        if model["kind"] == "student":
            model["levels"] = {"backbone": "large" if model["set"] == "real" else "small"}
    for difference in results["differences"]:
        difference["levels"] = {"backbone": "large" if difference["set"] == "real" else "small"}
    folder = bundle(results) / "tables"
    assert "training set & backbone & KD" in (folder / "paper-groups.tex").read_text("utf-8")
    models = records(folder / "tidy/models.csv")
    assert models[0]["level backbone"] == "large"


def test_users_words_are_harmless(results: dict[str, Any], bundle: Write) -> None:
    evil = r"=cmd|' /C calc'!A0 \input{x} & % $ # _ ~ ^ [0.5ex]"
    for model in results["models"]:
        if model["set"] == "real":
            model["set"] = model["title"] = evil
    results["benchmarks"][1]["id"] = "../../escaped"
    for of in results["evaluations"].values():
        of["../../escaped"] = of.pop("studio")
    folder = bundle(results)
    tex = (folder / "tables/paper-groups.tex").read_text("utf-8")
    assert r"\input" not in tex
    assert r"\& \% \$ \# \_" in tex
    row = next(r for r in records(folder / "tables/tidy/models.csv") if "cmd" in r["title"])
    assert row["title"].startswith("'=")
    assert not list(folder.parent.parent.glob("escaped*"))
    assert (folder / "tables/paper--escaped.csv").is_file()


def test_holes_are_left_empty(results: dict[str, Any], bundle: Write) -> None:
    del results["evaluations"]["synthetic-plain"]
    folder = bundle(results)
    rows = records(folder / "tables/paper-groups.csv")
    assert rows[3]["african"] == ""
    assert not any(
        r["model"] == "synthetic-plain" for r in records(folder / "tables/tidy/measures.csv")
    )


def test_methods_and_references(results: dict[str, Any], bundle: Write) -> None:
    folder = bundle(results)
    assert (folder / "methods.md").read_text("utf-8").startswith("# Methods of the study quick\n")
    entries = (folder / "references.bib").read_text("utf-8")
    assert re.search(r"^@\w+\{wang2020rlrbn,$", entries, re.MULTILINE)


def test_the_same_results_give_the_same_bytes(results: dict[str, Any], bundle: Write) -> None:
    folder = bundle(results)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    bundle(results)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_results_no_files(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="not the results of a study"):
        write_bundle(tmp_path / "results.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(results: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    done = CliRunner().invoke(build_app(), ["study", "bundle", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "references.bib").is_file()
