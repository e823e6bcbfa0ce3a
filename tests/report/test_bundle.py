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
from evenface.report.study.bundle import write_bundle

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


def test_levels_are_columns_of_models(results: dict[str, Any], bundle: Write) -> None:
    for model in results["models"]:
        model["levels"] = {"backbone": "large"} if model["kind"] == "student" else {}
    folder = bundle(results) / "tables"
    assert {r["level backbone"] for r in records(folder / "tidy/models.csv")} == {"", "large"}


def test_shares_of_real_faces_are_of_identities_and_of_images(
    results: dict[str, Any], bundle: Write
) -> None:
    mix = results["sets"][-1]
    mix |= {"kind": "mix", "real_share": {"identities": 0.7, "images": 0.625}}
    row = records(bundle(results) / "tables/training-sets.csv")[-1]
    assert (row["real, % of identities"], row["real, % of images"]) == ("70.0", "62.5")
    assert "70.0 % of its identities and 62.5 % of its images" in (
        bundle(results) / "methods.md"
    ).read_text("utf-8")


@pytest.mark.parametrize(
    ("balance", "shown"), [("identities", ("70.0", "–")), ("images", ("–", "70.0"))]
)
def test_older_results_have_the_share_that_was_asked_for(
    results: dict[str, Any], bundle: Write, balance: str, shown: tuple[str, str]
) -> None:
    results["sets"][-1] |= {"kind": "mix", "real_fraction": 0.7}
    name = results["sets"][-1]["name"]
    results["study"]["spec"] = {"training_sets": {name: {"balance": balance}}}
    row = records(bundle(results) / "tables/training-sets.csv")[-1]
    assert (row["real, % of identities"], row["real, % of images"]) == shown


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
