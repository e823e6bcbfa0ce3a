"""The page of a run: what it shows, what is left out, what is damaged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from document import Element, parse, table_rows
from fabricated import fabricated_results
from fabricated_grid import arm_id, draw_runs, grid_results

from evenface.errors import DataError
from evenface.report.study.run_pages import (
    RunFiles,
    find_pages,
    read_run,
    render_run,
    without_paths,
    write_run_pages,
)
from evenface.study.record import Results

_FIRST = arm_id("balanced", {"backbone": "mini_l", "head": "elasticarcface"}, kd=False)
_SECOND = arm_id("balanced", {"backbone": "mini_l", "head": "elasticarcface"}, kd=True)


def _page(grid_path: Path, model: str) -> Element:
    path = grid_path.parent / "pages" / f"{model}-s1.html"
    return parse(path.read_text(encoding="utf-8"))


def test_page_has_curves_recipe_fingerprints_and_environment(grid_path: Path) -> None:
    page = _page(grid_path, _SECOND)
    assert page.one("h1").text == "balanced, mini_l, elasticarcface, KD from study teacher, seed 1"
    titles = [p.text for p in page.every("p", class_="panel-title")]
    assert titles == ["Loss", "Learning rate"]
    assert [item.text for item in page.one("ul", class_="legend").every("li")] == [
        "whole loss",
        "classification",
        "distillation",
    ]
    recipe = yaml.safe_load(str(page.one("pre").one("code").children[0]))
    assert recipe["seed"] == 1
    assert recipe["distill"] == {"name": "template", "weight": 39.0625}
    text = page.text
    for part in ("1" * 64, "d" * 64, "b" * 64, "Fabricated CPU", "torch 2.13.0", "38,400"):
        assert part in text
    assert page.one("p", class_="imprint").one("a").attributes["href"] == "../report.html"


def test_run_without_distillation_has_one_loss(grid_path: Path) -> None:
    legend = _page(grid_path, _FIRST).one("ul", class_="legend")
    assert [item.text for item in legend.every("li")] == ["classification"]


def test_results_of_one_seed_are_by_group(grid_path: Path) -> None:
    rows = table_rows(_page(grid_path, _FIRST), "accuracy")
    # The middle seed is the mean.
    assert rows["held-out rendered identities"] == ["89.80", "91.80", "92.30", "91.30"]
    assert list(rows) == ["held-out rendered identities", "held-out look: studio"]


def test_simulation_and_stand_ins_are_said_first(grid_path: Path) -> None:
    page = _page(grid_path, _FIRST)
    assert "All numbers on this page are fabricated" in page.one("aside").text
    assert "stand in for IResNet-50" in page.one("aside").text


def test_page_is_small_asks_for_nothing_and_holds_no_path(grid_path: Path) -> None:
    for path in (grid_path.parent / "pages").iterdir():
        text = path.read_text(encoding="utf-8")
        assert len(text) < 100_000
        assert "<script" not in text
        assert "://" not in text
        assert "/home/someone" not in text
        assert str(grid_path.parent) not in text


def test_paths_are_left_out_of_recipes_at_any_depth() -> None:
    recipe = {"data": "x", "distill": {"cache": "y", "weight": 1}, "validation": {"data": "z"}}
    assert without_paths(recipe) == {"distill": {"weight": 1}}


def test_study_whose_runs_are_elsewhere_has_no_pages(tmp_path: Path) -> None:
    study = Results.parse(grid_results())
    assert find_pages(study, tmp_path) == {}
    write_run_pages(study, tmp_path, tmp_path / "report.html", {})
    assert list(tmp_path.iterdir()) == []


def test_runs_of_older_results_are_found_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "real-plain-s2"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    study = Results.parse(fabricated_results())
    assert find_pages(study, tmp_path) == {"runs/real-plain-s2": "pages/real-plain-s2.html"}


@pytest.mark.parametrize(
    "run", ["../runs/x", "/etc", "runs/../../x", "runs/a/b", "runs/", "other/a"]
)
def test_run_outside_the_study_is_refused(tmp_path: Path, run: str) -> None:
    results = grid_results()
    results["models"][0]["runs"][0]["run"] = run
    with pytest.raises(DataError, match=re.escape("runs lie in runs/<name>")):
        find_pages(Results.parse(results), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.jsonl", None, "log.jsonl is missing"),
        ("log.jsonl", '{"step": 1, "loss": 2}\n{"ste', "log.jsonl is damaged in line 2"),
        ("log.jsonl", "[1]\n", "log.jsonl is damaged in line 1"),
        ("run.json", "{", "run.json is damaged"),
        ("run.json", "[]", "run.json is damaged"),
        ("recipe.yaml", "a: [", "recipe.yaml is damaged"),
        ("recipe.yaml", None, "recipe.yaml is damaged"),
        ("recipe.yaml", "!!python/object/apply:os.system [ls]", "recipe.yaml is damaged"),
    ],
)
def test_damaged_files_are_named_on_the_page(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    results = grid_results()
    draw_runs(results, tmp_path, models=1)
    folder = tmp_path / results["models"][0]["runs"][0]["run"]
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    assert read_run(folder).holes == [said]


def test_page_of_a_run_that_cannot_be_read_still_says_what_is_known() -> None:
    study = Results.parse(grid_results())
    model = study.models[0]
    files = RunFiles({}, {}, [], ["run.json is damaged"])
    page = parse(render_run(study, model, model.runs[0], files, back="a&b.html"))
    assert "Run.json is damaged." in page.one("section", id="facts").text
    assert "The run has no log." in page.one("section", id="curves-section").text
    recipe = page.one("pre").one("code").children[0]
    assert yaml.safe_load(str(recipe))["seed"] == 0  # from the results
    assert page.one("p", class_="imprint").one("a").attributes["href"] == "../a%26b.html"


def test_numbers_that_are_none_are_not_drawn(tmp_path: Path) -> None:
    study = Results.parse(grid_results())
    model = study.models[0]
    log = [{"step": 1, "loss": float("nan"), "lr": "x"}, {"step": 2, "classification": True}]
    files = RunFiles({"steps": "many", "seconds": 0}, {}, json.loads(json.dumps(log)), [])
    page = parse(render_run(study, model, model.runs[0], files, back="report.html"))
    assert "nan" not in page.one("main").text


def test_folder_of_others_is_not_replaced(tmp_path: Path) -> None:
    results = grid_results()
    draw_runs(results, tmp_path, models=1)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "thesis.docx").write_text("")
    study = Results.parse(results)
    with pytest.raises(DataError, match=r"thesis\.docx: not of a study"):
        write_run_pages(study, tmp_path, tmp_path / "r.html", find_pages(study, tmp_path))
    assert [p.name for p in (tmp_path / "pages").iterdir()] == ["thesis.docx"]


def test_verification_while_training_is_drawn_by_group() -> None:
    study = Results.parse(grid_results())
    model = study.models[0]
    log = [
        {"step": 5, "loss": 2.0, "classification": 2.0, "lr": 0.1},
        {"step": 5, "protocol": "rfw", "accuracy": {"African": 0.71, "Asian": 0.8}, "eer": {}},
        {"step": 9, "loss": 1.0, "classification": 1.0, "lr": 0.1},
        {"step": 9, "protocol": "rfw", "accuracy": {"African": 0.75, "Asian": 0.82}, "eer": 3},
    ]
    recipe = without_paths({"watch": {"protocol": "/home/someone/rfw", "every": 5}})
    files = RunFiles({}, recipe, log, [])
    page = parse(render_run(study, model, model.runs[0], files, back="report.html"))
    titles = [p.text for p in page.every("p", class_="panel-title")]
    assert titles == ["Loss", "Learning rate", "Accuracy, rfw"]  # no EER, nothing to draw
    legends = [item.text for item in page.one("figure", id="verification-figure").every("li")]
    assert legends == ["African", "Asian"]
    assert "It chose nothing" in page.one("figure", id="verification-figure").text
    assert "/home/someone" not in page.text
