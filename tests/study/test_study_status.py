"""How far a study is, told from its folder alone, and shown."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from evenface.cli.main import main
from evenface.errors import DataError, UsageError
from evenface.files import read_json, write_json
from evenface.lock import FolderLock
from evenface.study.run_list import StudyRun, read_runs, write_runs
from evenface.study.stage import LOCK_NAME, Mark
from evenface.study.status import RunStatus, StudyStatus, read_status
from evenface.train.recipe import load_recipe

STEPS = 100
NAMES = ("done", "running", "failed", "interrupted", "waiting", "job-failed")


def study(folder: Path, names: tuple[str, ...] = NAMES) -> list[StudyRun]:
    """A prepared study of runs that have not begun."""
    runs = [
        StudyRun(load_recipe("student-mini", {"name": n, "data": str(folder / "sets")}), n, STEPS)
        for n in names
    ]
    write_runs(folder, runs)
    records = {
        run.stage().name: {"key": run.stage().key, "seconds": 0.0, "finished": False}
        for run in runs
    }
    write_json(folder / "stages.json", records)
    for run in runs:
        (folder / run.at).mkdir(parents=True)
    return runs


def finish(folder: Path, run: StudyRun) -> None:
    Mark(run.stage().key, finished=True, seconds=9.0).write(folder / run.at)
    record = {"steps": STEPS, "seconds": 5.0, "batch_size": 64, "final": {"loss": 1.25}}
    write_json(folder / run.at / "run.json", record)


def log(folder: Path, run: StudyRun, *, step: int, begun: int = 0, seconds: float = 10) -> None:
    """A log up to ``step`` and half a line, by a process that began at another step."""
    place = folder / run.at
    write_json(place / "begun.json", {"step": begun})
    line = json.dumps({"step": step, "lr": 0.1, "loss": 2.5}) + "\n"
    (place / "log.jsonl").write_text(line + '{"step": 99')
    now = (place / "begun.json").stat().st_mtime
    os.utime(place / "log.jsonl", (now + seconds, now + seconds))


@pytest.fixture
def folder(tmp_path: Path):
    """One run in each state."""
    runs = {run.name: run for run in study(tmp_path)}
    finish(tmp_path, runs["done"])
    log(tmp_path, runs["running"], step=60, begun=40)
    log(tmp_path, runs["interrupted"], step=30)
    records = read_json(tmp_path / "stages.json")
    records["train: failed"]["failed"] = {"error": "out of memory", "attempts": 2}
    records["train 6 students"] = {"key": "k", "seconds": 0.0, "finished": False}
    write_json(tmp_path / "stages.json", records)
    job = runs["job-failed"]
    Mark(job.stage().key, error="no such face", attempts=2).write(tmp_path / job.at)
    with FolderLock(tmp_path), FolderLock(tmp_path / "runs" / "running", name=LOCK_NAME):
        yield tmp_path


def test_each_run_is_in_its_state(folder):
    status = read_status(folder)
    states = {run.name: run.state for run in status.runs}
    assert states == {**{n: n for n in NAMES}, "job-failed": "failed"}
    by_name = {run.name: run for run in status.runs}
    done, running = by_name["done"], by_name["running"]
    assert (done.step, done.loss, done.images) == (100, 1.25, 64 * 100 / 5)
    assert (running.step, running.steps, running.loss) == (60, 100, 2.5)
    # 20 steps of 64 images in 10 seconds; the 40 before were of another process.
    assert running.pace == pytest.approx(2, rel=1e-3)
    assert running.images == pytest.approx(128, rel=1e-3)
    assert running.eta == pytest.approx(20, rel=1e-3)
    assert by_name["failed"].message == "out of memory"
    assert by_name["job-failed"].message == "no such face"
    assert status.stage == "train 6 students"
    assert status.holder.startswith(f"process {os.getpid()} on ")
    assert not status.finished
    # 40 steps of the running one, 70 of the interrupted and 100 of the waiting, 2 a second.
    assert status.eta == pytest.approx((40 + 70 + 100) / 2, rel=1e-3)


def test_more_runs_at_once_are_done_sooner():
    runs = [RunStatus(n, "running", 50, 100, pace=5.0) for n in "ab"]
    runs += [RunStatus("c", "waiting", 0, 100), RunStatus("d", "failed", 50, 100)]
    assert StudyStatus(Path(), runs).eta == pytest.approx((50 + 50 + 100) / 5 / 2)
    assert StudyStatus(Path(), runs[2:]).eta is None


def test_a_study_that_is_over_is_finished_once_its_results_are_there(tmp_path):
    for run in study(tmp_path, ("a", "b")):
        finish(tmp_path, run)
    assert not read_status(tmp_path).finished
    write_json(tmp_path / "results.json", {})
    assert read_status(tmp_path).finished


def test_marks_and_failures_of_other_inputs_do_not_count(tmp_path):
    (run,) = study(tmp_path, ("a",))
    Mark("other", finished=True).write(tmp_path / run.at)
    records = {run.stage().name: {"key": "o", "finished": False, "failed": {"error": "old"}}}
    write_json(tmp_path / "stages.json", records)
    assert read_status(tmp_path).runs[0].state == "waiting"


def test_a_run_that_is_held_and_has_not_trained_yet_has_no_pace(tmp_path):
    study(tmp_path, ("a",))
    with FolderLock(tmp_path / "runs" / "a", name=LOCK_NAME):
        (run,) = read_status(tmp_path).runs
    assert (run.state, run.step, run.pace, run.eta) == ("running", 0, None, None)


def test_a_clock_that_went_backwards_gives_no_pace(tmp_path):
    (run,) = study(tmp_path, ("a",))
    log(tmp_path, run, step=60, seconds=-3600)
    with FolderLock(tmp_path / "runs" / "a", name=LOCK_NAME):
        (found,) = read_status(tmp_path).runs
    assert (found.state, found.step, found.pace, found.eta) == ("running", 60, None, None)


def test_looking_never_keeps_a_process_out(tmp_path):
    """Whoever looks holds the lock for a moment; whoever wants it tries again."""
    study(tmp_path, ("a",))
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.001):
            read_status(tmp_path)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(50):
            with FolderLock(tmp_path / "runs" / "a", name=LOCK_NAME):
                pass
    finally:
        stop.set()
        thread.join()


def shown(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["study", "status", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    return said.out


def test_the_table_shows_every_run(folder, capsys):
    rows = [" ".join(line.split()) for line in shown(capsys, str(folder)).splitlines()]
    assert rows == [
        "run state step images/s loss ETA",
        "done done 100/100 1,280.0 1.25 –",
        "running running 60/100 128.0 2.5 0:20",
        "failed failed 0/100 – – – out of memory",
        "interrupted interrupted 30/100 – 2.5 –",
        "waiting waiting 0/100 – – –",
        "job-failed failed 0/100 – – – no such face",
        "6 runs: 1 running, 2 failed, 1 interrupted, 1 waiting, 1 done; runs done in about 1:45; "
        "now: train 6 students",
    ]


def test_a_study_is_found_by_its_name(tmp_path, capsys, monkeypatch):
    study(tmp_path / "studies" / "mine", ("a",))
    study(tmp_path / "studies" / "quick", ("b", "c"))
    monkeypatch.chdir(tmp_path)
    assert "1 runs" in shown(capsys, "mine")
    assert shown(capsys, "quick") == shown(capsys, "studies/quick")
    (tmp_path / "quick").mkdir()  # a path comes first
    with pytest.raises(SystemExit):
        main(["study", "status", "quick"])
    assert "no study has begun there" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "work", "report", "bundle"])
def test_other_names_list_the_studies_there_are(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for there, names in (("none", ()), ("mine, quick", ("quick", "mine"))):
        for name in names:
            (tmp_path / "studies" / name).mkdir(parents=True)
        with pytest.raises(SystemExit) as ended:
            main(["study", command, "other"])
        assert ended.value.code == 2
        expected = f"error: other: no such study folder. Studies under ./studies: {there}\n"
        assert capsys.readouterr().err == expected


def test_json_has_what_the_table_has(folder, capsys):
    told = json.loads(shown(capsys, str(folder), "--json"))
    assert [run["state"] for run in told["runs"]][:2] == ["done", "running"]
    assert told["stage"] == "train 6 students"


def test_watching_without_a_terminal_says_a_line_a_change_and_ends(tmp_path, capsys, monkeypatch):
    first, second = study(tmp_path, ("a", "b"))
    finish(tmp_path, first)

    def go_on(seconds: float) -> None:
        if Mark.read(tmp_path / second.at) is None:
            finish(tmp_path, second)
        else:
            write_json(tmp_path / "results.json", {})

    monkeypatch.setattr("time.sleep", go_on)
    lines = shown(capsys, str(tmp_path), "--watch").splitlines()
    idle = ". Not running. Rerun the command to continue."
    assert lines[:2] == [f"2 runs: 1 waiting, 1 done{idle}", f"2 runs: 2 done{idle}"]
    assert lines[2].startswith("2 runs: 2 done; finished, see")


def test_where_rows_are_few_those_that_matter_come_first():
    from rich.console import Console

    from evenface.cli.study_runs import _table

    runs = [RunStatus(f"r{n}", "done", 1, 1) for n in range(9)] + [RunStatus("x", "failed", 0, 1)]
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(_table(runs, 4))
    text = console.export_text().splitlines()
    assert text[1].split()[0] == "x"
    assert text[-1].strip() == "… and 7 more"
    console.file.close()


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no study has begun there"):
        read_status(tmp_path)


@pytest.mark.parametrize(
    "damage", ["{}", '{"runs": [{}]}', '{"runs": [{"recipe": {"x": 1}}]}', "[1]", '{"runs": 3}']
)
def test_a_damaged_list_of_runs_is_named(tmp_path, damage):
    (tmp_path / "runs.json").write_text(damage)
    with pytest.raises(DataError, match=r"runs\.json: damaged"):
        read_runs(tmp_path)


def test_a_name_that_leads_out_of_the_study_is_refused(tmp_path):
    study(tmp_path, ("a",))
    content = read_json(tmp_path / "runs.json")
    content["runs"][0]["recipe"]["name"] = "../../elsewhere"
    write_json(tmp_path / "runs.json", content)
    with pytest.raises(DataError, match="is no name of a run"):
        read_runs(tmp_path)
