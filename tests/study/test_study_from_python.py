"""Studies from Python: planned as the command plans them, and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import evenface
from evenface.errors import DataError, UsageError
from evenface.study import run
from evenface.study.from_python import choose_study
from evenface.study.plan import plan_study
from evenface.study.spec import load_study

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "quick"


def test_a_plan_is_the_command_s(tmp_path: Path) -> None:
    found = evenface.plan_study("smoke", tmp_path / "s", settings={"training_seeds": [0, 1]})
    wanted = plan_study(load_study("smoke", {"training_seeds": [0, 1]}), tmp_path / "s")
    assert found.runs == wanted.runs
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_a_name_a_file_a_dictionary_or_a_study(tmp_path: Path) -> None:
    spec = load_study("smoke")
    assert choose_study(spec) == choose_study(spec.model_dump(mode="json")) == spec
    assert choose_study("smoke", teachers=["study"]).teachers == ("study",)
    with pytest.raises(UsageError, match="no such key; did you mean 'training_seeds'"):
        evenface.plan_study("smoke", settings={"training_seed": [1]})


def test_results_are_read(tmp_path: Path) -> None:
    study = evenface.read_study(RESULTS)
    assert "measures" in study.tables()
    table = study.table("measures")
    assert {"model", "group", "measure", "value", "low", "high"} <= set(table.column_names)
    assert study.results.study.name == "quick"
    assert "points" in study.answer
    assert study.report.is_file()
    with pytest.raises(DataError, match="no table 'sizes'"):
        study.table("sizes")
    with pytest.raises(DataError, match="no results of a study"):
        evenface.read_study(tmp_path)


def test_running_passes_on_what_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[Any] = []
    monkeypatch.setattr(run, "run_study", lambda *given, **options: calls.append((given, options)))
    study = evenface.run_study("smoke", teachers=["study"], settings={"seed": 3})
    ((spec, folder), options) = calls[0]
    assert (spec.name, spec.seed, spec.teachers) == ("smoke", 3, ("study",))
    assert folder == study.folder == Path("studies/smoke")
    command = options["command"]
    assert command.startswith("evenface.run_study('smoke', 'studies/smoke', teachers=['study']")
    assert eval(command, {"evenface": evenface}) == study  # the same again
    assert calls[1] == calls[0]
