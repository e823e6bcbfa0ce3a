"""A stage is done once, continued after an interruption and redone when its inputs change."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.errors import DataError
from evenface.study.stages import Stage, StageLog
from parallel_calls import fail_after, write


def test_finished_stage_is_kept(tmp_path):
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "made").write_text("1")

    first = StageLog(tmp_path).run("faces", {"seed": 1}, build, at="data/faces")
    log = StageLog(tmp_path)
    assert log.run("faces", {"seed": 1}, build, at="data/faces") == first
    assert len(calls) == 1
    assert log.summary()[0]["name"] == "faces"
    assert log.summary()[0]["reused"] is True


def test_changed_inputs_start_from_an_empty_folder(tmp_path):
    def first(folder: Path) -> None:
        (folder / "old").write_text("1")

    def second(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        (folder / "new").write_text("1")

    StageLog(tmp_path).run("faces", {"seed": 1}, first, at="faces")
    StageLog(tmp_path).run("faces", {"seed": 2}, second, at="faces")
    assert [p.name for p in (tmp_path / "faces").iterdir()] == ["new"]


def test_interrupted_stage_finds_its_part_again(tmp_path):
    def stops(folder: Path) -> None:
        (folder / "part").write_text("1")
        raise KeyboardInterrupt

    def continues(folder: Path) -> None:
        assert (folder / "part").exists()

    with pytest.raises(KeyboardInterrupt):
        StageLog(tmp_path).run("train", {"seed": 1}, stops, at="run")
    log = StageLog(tmp_path)
    log.run("train", {"seed": 1}, continues, at="run")
    assert log.summary() == [
        {"name": "train", "seconds": log.summary()[0]["seconds"], "reused": False}
    ]


def test_deleted_folder_is_built_again(tmp_path):
    calls = []
    StageLog(tmp_path).run("a", {}, lambda folder: calls.append(1), at="a")
    (tmp_path / "a").rmdir()
    StageLog(tmp_path).run("a", {}, lambda folder: calls.append(2), at="a")
    assert calls == [1, 2]


def stages(*texts: str) -> list[Stage]:
    return [Stage(f"write {n}", {"text": t}, f"s/{n}", write, (t,)) for n, t in enumerate(texts)]


def test_stages_together_are_one_entry_and_kept_one_by_one(tmp_path):
    log = StageLog(tmp_path)
    folders = log.run_together("write", stages("a", "b"), workers=2)
    assert [(folder / "made").read_text() for folder in folders] == ["a", "b"]
    assert [entry["name"] for entry in log.summary()] == ["write"]

    first = (tmp_path / "s" / "0" / "made").stat().st_mtime_ns
    log = StageLog(tmp_path)
    log.run_together("write", stages("a", "c"), workers=2)
    assert (tmp_path / "s" / "0" / "made").stat().st_mtime_ns == first
    assert (tmp_path / "s" / "1" / "made").read_text() == "c"
    assert log.summary()[0]["reused"] is False

    log = StageLog(tmp_path)
    log.run_together("write", stages("a", "c"), workers=2)
    assert log.summary()[0]["reused"] is True


def test_a_failed_stage_leaves_the_others_finished(tmp_path):
    both = [*stages("a"), Stage("fail", {}, "s/fail", fail_after, (tmp_path / "s" / "0",))]
    with pytest.raises(DataError, match="on purpose"):
        StageLog(tmp_path).run_together("both", both, workers=1)
    log = StageLog(tmp_path)
    assert log.finished(both) == 1
