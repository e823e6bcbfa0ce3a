"""A stage is done once, continued after an interruption and redone when its inputs change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenface.errors import DataError, EvenfaceError, UsageError
from evenface.files import read_json
from evenface.lock import FolderLock
from evenface.study.record import StageTime
from evenface.study.stage import Mark, Stage, carry_out
from evenface.study.stage_log import StageLog
from parallel_calls import end_stage, write


def test_finished_stage_is_kept(tmp_path):
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "made").write_text("1")

    first = StageLog(tmp_path).run(Stage("faces", {"seed": 1}, "data/faces", build))
    log = StageLog(tmp_path)
    assert log.run(Stage("faces", {"seed": 1}, "data/faces", build)) == first
    assert len(calls) == 1
    assert log.summary()[0].name == "faces"
    assert log.summary()[0].reused is True


def test_changed_inputs_start_from_an_empty_folder(tmp_path):
    def first(folder: Path) -> None:
        (folder / "old").write_text("1")

    def second(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        (folder / "new").write_text("1")

    StageLog(tmp_path).run(Stage("faces", {"seed": 1}, "faces", first))
    StageLog(tmp_path).run(Stage("faces", {"seed": 2}, "faces", second))
    assert names(tmp_path / "faces") == {"new", "stage.json"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_finished_folder_is_set_aside_and_taken_back_with_its_inputs(tmp_path):
    built = []

    def run(seed: int) -> None:
        def build(folder: Path) -> None:
            built.append(seed)
            (folder / "seed").write_text(str(seed))

        folder = StageLog(tmp_path).run(Stage("faces", {"seed": seed}, "data/faces", build))
        assert (folder / "seed").read_text() == str(seed)

    for seed in (1, 2, 1, 2, 2, 3, 1):
        run(seed)
    assert built == [1, 2, 3]
    assert len(names(tmp_path / "superseded" / "data" / "faces")) == 2


def test_an_unfinished_folder_of_other_inputs_is_removed(tmp_path):
    def stops(folder: Path) -> None:
        (folder / "part").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StageLog(tmp_path).run(Stage("faces", {"seed": 1}, "faces", stops))
    StageLog(tmp_path).run(Stage("faces", {"seed": 2}, "faces", lambda folder: None))
    assert names(tmp_path / "faces") == {"stage.json"}
    assert not (tmp_path / "superseded").exists()


def test_a_folder_finished_before_there_were_marks_is_kept_and_set_aside(tmp_path):
    built = []

    def run(seed: int) -> None:
        StageLog(tmp_path).run(Stage("a", {"seed": seed}, "a", lambda _: built.append(seed)))

    run(1)
    (tmp_path / "a" / "stage.json").unlink()
    run(1)
    run(2)
    run(1)
    assert built == [1, 2]


@pytest.mark.parametrize("wanted", [1, 2])
def test_a_kill_between_two_renames_mixes_nothing_up(tmp_path, wanted, monkeypatch):
    """What a folder holds is told by its own mark, whatever stages.json says."""

    def run(seed: int) -> str:
        def build(folder: Path) -> None:
            (folder / "seed").write_text(str(seed))

        log = StageLog(tmp_path)
        return (log.run(Stage("a", {"seed": seed}, "a", build)) / "seed").read_text()

    run(1)
    run(2)
    with monkeypatch.context() as patch:
        patch.setattr("evenface.study.stage_log.note", lambda _: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            run(1)
    assert (tmp_path / "a" / "seed").read_text() == "1"
    assert run(wanted) == str(wanted)


def test_a_damaged_mark_is_named(tmp_path):
    StageLog(tmp_path).run(Stage("a", {}, "a", lambda folder: None))
    for damage in ("{}", '{"key": 1, "finished": true}', "[]", '{"key": "a", "seconds": "long"}'):
        (tmp_path / "a" / "stage.json").write_text(damage)
        with pytest.raises(DataError, match=r"a/stage\.json: damaged .*Delete"):
            StageLog(tmp_path).run(Stage("a", {}, "a", lambda folder: None))


def test_a_portable_stage_is_taken_from_another_study(tmp_path):
    def build(folder: Path) -> None:
        (folder / "images").write_text("many")
        (folder / "log.jsonl").write_text("1\n")

    def unwanted(folder: Path) -> None:
        pytest.fail("built again")

    first, second = tmp_path / "first", tmp_path / "second"
    StageLog(first).run(Stage("faces", {"seed": 1}, "data/faces", build))
    log = StageLog(second, reuse=[tmp_path / "none", first])
    copy = log.run(Stage("faces", {"seed": 1}, "data/faces", unwanted, portable=True))
    source = first / "data" / "faces"
    assert names(copy) == names(source)
    assert (copy / "images").samefile(source / "images")
    assert not (copy / "log.jsonl").samefile(source / "log.jsonl")  # appended to in place
    assert log.summary()[0].reused is True
    # Another place, other inputs, or a stage that leads out of its folder: built.
    for at, seed, portable in (("b", 1, True), ("data/faces", 2, True), ("data/faces", 1, False)):
        third = tmp_path / f"{at}-{seed}-{portable}".replace("/", "-")
        StageLog(third, reuse=[first]).run(
            Stage("faces", {"seed": seed}, at, build, portable=portable)
        )
        assert not (third / at / "images").samefile(source / "images")


def test_the_same_under_another_name_is_not_built_again(tmp_path):
    def run(*names: str, nameless: bool = True) -> list[bool]:
        wanted = [
            Stage(n, {"same": True}, f"runs/{n}", write, (n,), nameless=nameless) for n in names
        ]
        folders = StageLog(tmp_path).run_together("all", wanted, workers=1).all_finished()
        return [(f / "made").read_text() == n for f, n in zip(folders, names, strict=True)]

    assert run("a") == [True]
    assert run("b") == [False]  # it is what was built as a
    assert run("c", nameless=False) == [True]


def test_what_another_study_set_aside_can_be_taken(tmp_path):
    first = tmp_path / "first"
    for text in ("a", "b"):
        StageLog(first).run_together("w", stages(text), workers=1)
    log = StageLog(tmp_path / "second", reuse=[first])
    (folder,) = log.run_together("w", stages("a"), workers=1).folders
    assert (folder / "made").read_text() == "a"
    assert log.summary()[0].reused is True


def test_interrupted_stage_finds_its_part_again(tmp_path):
    def stops(folder: Path) -> None:
        (folder / "part").write_text("1")
        raise KeyboardInterrupt

    def continues(folder: Path) -> None:
        assert (folder / "part").exists()

    with pytest.raises(KeyboardInterrupt):
        StageLog(tmp_path).run(Stage("train", {"seed": 1}, "run", stops))
    log = StageLog(tmp_path)
    log.run(Stage("train", {"seed": 1}, "run", continues))
    assert log.summary() == [StageTime(name="train", seconds=log.summary()[0].seconds)]


def test_deleted_folder_is_built_again(tmp_path):
    calls = []
    StageLog(tmp_path).run(Stage("a", {}, "a", lambda folder: calls.append(1)))
    shutil.rmtree(tmp_path / "a")
    StageLog(tmp_path).run(Stage("a", {}, "a", lambda folder: calls.append(2)))
    assert calls == [1, 2]


def stages(*texts: str) -> list[Stage]:
    return [
        Stage(f"write {n}", {"text": t}, f"s/{n}", write, (t,), portable=True)
        for n, t in enumerate(texts)
    ]


def test_stages_together_are_one_entry_and_kept_one_by_one(tmp_path):
    log = StageLog(tmp_path)
    folders = log.run_together("write", stages("a", "b"), workers=2).all_finished()
    assert [(folder / "made").read_text() for folder in folders] == ["a", "b"]
    assert [entry.name for entry in log.summary()] == ["write"]

    first = (tmp_path / "s" / "0" / "made").stat().st_mtime_ns
    log = StageLog(tmp_path)
    log.run_together("write", stages("a", "c"), workers=2)
    assert (tmp_path / "s" / "0" / "made").stat().st_mtime_ns == first
    assert (tmp_path / "s" / "1" / "made").read_text() == "c"
    assert log.summary()[0].reused is False

    log = StageLog(tmp_path)
    log.run_together("write", stages("a", "c"), workers=2)
    assert log.summary()[0].reused is True


def test_failed_stages_are_recorded_and_tried_again_by_the_next_call(tmp_path):
    places = [tmp_path / how for how in ("raise", "kill")]
    for place in places:
        place.mkdir()
    failing = [
        Stage(f"fail by {p.name}", {}, f"s/{p.name}", end_stage, (p, p.name, 2)) for p in places
    ]
    log = StageLog(tmp_path)
    together = log.run_together("all", [*stages("a"), *failing], workers=1)
    assert [(f.stage.folder, f.attempts) for f in together.failures] == [
        ("s/raise", 2),
        ("s/kill", 2),
    ]
    assert together.failures[0].error == "on purpose"
    assert (together.folders[0] / "made").read_text() == "a"
    with pytest.raises(EvenfaceError, match=r"2 of 3 stages failed.*\n  fail by raise: on purpose"):
        together.all_finished()
    recorded = read_json(tmp_path / "stages.json")
    assert recorded["fail by raise"]["failed"] == {"error": "on purpose", "attempts": 2}
    assert recorded["fail by kill"]["failed"]["error"].startswith("its process was killed")
    assert not recorded["all"]["finished"]

    log = StageLog(tmp_path)
    assert log.run_together("all", [*stages("a"), *failing], workers=1).failures == []
    recorded = read_json(tmp_path / "stages.json")
    assert recorded["all"]["finished"]
    assert all("failed" not in record for record in recorded.values())


def test_a_stage_that_another_process_finished_meanwhile_is_not_repeated(tmp_path):
    write(tmp_path, "by the other")
    Mark("k", finished=True, seconds=3.5).write(tmp_path)
    assert carry_out(tmp_path, "k", write, ("again",)) == 3.5
    assert (tmp_path / "made").read_text() == "by the other"


def test_a_stage_that_another_process_is_at_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("evenface.study.stage._PATIENCE", 0.2)
    with (
        FolderLock(tmp_path, name=".stage-lock"),
        pytest.raises(UsageError, match="is at this stage"),
    ):
        carry_out(tmp_path, "k", write, ("x",))
    carry_out(tmp_path, "k", write, ("x",))
    assert (tmp_path / "made").exists()


WORK = """
import sys
from pathlib import Path
from evenface.study.record import StageTime
from evenface.study.stage import Stage
from evenface.study.stage_log import StageLog
from parallel_calls import write_slowly
if __name__ == "__main__":
    stages = [Stage(f"w {t}", {"text": t}, f"s/{t}", write_slowly, (t,)) for t in "abcd"]
    StageLog(Path(sys.argv[1])).run_together("write", stages, workers=2).all_finished()
"""


@pytest.mark.parametrize("halves", [0, 1, 3, 5, 7])
def test_killed_at_any_point_it_goes_on_and_repeats_nothing(tmp_path, halves):
    """SIGKILL after so many halves of four stages."""
    script = tmp_path / "work.py"
    script.write_text(WORK)
    command = [sys.executable, str(script), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, env=environment)
    while len(list(tmp_path.glob("s/*/half-*"))) < halves:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    written = {half: half.stat().st_mtime_ns for half in tmp_path.glob("s/*/half-*")}
    done = [p.parent for p in tmp_path.glob("s/*/stage.json") if Mark.read(p.parent).finished]
    begun = {folder: (folder / "calls").read_text() for folder in done}
    subprocess.run(command, env=environment, check=True)
    for text in "abcd":
        assert Mark.read(tmp_path / "s" / text).finished
        assert [(tmp_path / "s" / text / f"half-{h}").read_text() for h in (0, 1)] == [
            f"{text}0",
            f"{text}1",
        ]
    assert {half: half.stat().st_mtime_ns for half in written} == written
    assert {folder: (folder / "calls").read_text() for folder in done} == begun
