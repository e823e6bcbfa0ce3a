"""A look finds what a study's log would keep, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.files import fingerprint, write_json
from evenface.study.look import LookLog
from evenface.study.stage import NotBuilt, Stage
from evenface.study.stage_log import StageLog


def build(folder: Path) -> None:
    (folder / "made").write_text("x", encoding="utf-8")


def never(folder: Path) -> None:
    raise AssertionError(folder)


def test_finished_stages_are_found_and_others_are_not_built(tmp_path):
    StageLog(tmp_path).run(Stage("a", {"n": 1}, "parts/a", build))
    look = LookLog(tmp_path)
    assert look.run(Stage("a", {"n": 1}, "parts/a", never)) == tmp_path / "parts/a"
    with pytest.raises(NotBuilt):
        look.run(Stage("a", {"n": 2}, "parts/a", never))
    with pytest.raises(NotBuilt):
        look.run(Stage("b", {"n": 1}, "parts/b", never))
    assert (tmp_path / "parts/a/made").exists()
    assert not (tmp_path / "parts/b").exists()


def test_what_was_set_aside_is_found(tmp_path):
    for number in (1, 2):
        StageLog(tmp_path).run(Stage("a", {"n": number}, "a", build))
    look = LookLog(tmp_path)
    assert (look.run(Stage("a", {"n": 1}, "a", never)) / "made").exists()
    assert look.run(Stage("a", {"n": 2}, "a", never)) == tmp_path / "a"


def test_an_interrupted_stage_is_not_finished(tmp_path):
    def stop(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StageLog(tmp_path).run(Stage("a", {"n": 1}, "a", stop))
    with pytest.raises(NotBuilt):
        LookLog(tmp_path).run(Stage("a", {"n": 1}, "a", never))


def test_stages_without_marks_are_known_by_their_records(tmp_path):
    (tmp_path / "a").mkdir()
    record = {"key": fingerprint({"n": 1}), "finished": True, "seconds": 3.0}
    write_json(tmp_path / "stages.json", {"a": record})
    look = LookLog(tmp_path)
    assert look.run(Stage("a", {"n": 1}, "a", never)) == tmp_path / "a"
    assert look.find(Stage("a", {"n": 1}, "a", never))[1].seconds == 3.0


def test_nothing_is_there(tmp_path):
    with pytest.raises(NotBuilt):
        LookLog(tmp_path / "none").run(Stage("a", {}, "a", never))
    assert not (tmp_path / "none").exists()
