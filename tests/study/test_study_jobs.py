"""A study as jobs: its list of runs, one done by itself, SLURM's scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenface.cli.main import main
from evenface.errors import EvenfaceError, UsageError
from evenface.files import read_json
from evenface.study import run_list as module
from evenface.study.run_list import StudyRun, choose_run, read_runs, work, write_runs
from evenface.study.slurm import Resources, write_scripts
from evenface.study.stage import Mark
from evenface.train.recipe import load_recipe
from parallel_calls import count


def run_of(folder: Path, name: str = "a", **changes) -> StudyRun:
    overrides = {"name": name, "data": str(folder / "sets" / "real"), **changes}
    return StudyRun(load_recipe("student-mini", overrides), f"key of {name}", 100)


def test_a_moved_study_finds_its_parts_again(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    elsewhere = str(tmp_path / "teacher")
    caches = {"distill.cache": [str(first / "sets" / "cache"), elsewhere]}
    written = [run_of(first, "a"), run_of(first, "b", **caches)]
    write_runs(first, written)
    assert read_runs(first) == written
    first.rename(second)
    a, b = read_runs(second)
    assert a.recipe.data == second / "sets" / "real"
    assert b.recipe.distill.cache == (second / "sets" / "cache", Path(elsewhere))
    assert (b.name, b.at, b.steps, b.key) == ("b", "runs/b", 100, "key of b")


def test_a_run_is_chosen_by_index_or_name(tmp_path):
    listed = [run_of(tmp_path, name) for name in "abc"]
    assert choose_run(listed, index=1) == choose_run(listed, name="b") == listed[1]
    assert choose_run(listed, index=3) is None
    for options, told in (
        ({}, "give either --index or --run"),
        ({"index": 0, "name": "a"}, "give either --index or --run"),
        ({"index": -1}, "must not be negative"),
        ({"name": "d"}, "no run is called 'd'; the study has: a, b, c"),
    ):
        with pytest.raises(UsageError, match=told):
            choose_run(listed, **options)


def test_a_study_that_is_not_prepared_says_how(tmp_path):
    with pytest.raises(UsageError, match="--only prepare"):
        read_runs(tmp_path)


def test_work_tries_again_and_then_records_its_failure(tmp_path, monkeypatch):
    def fails_once(folder: Path, recipe, quiet: bool) -> None:
        if count(folder, "x") == 1:
            raise OSError("once")

    def fails(folder: Path, recipe, quiet: bool) -> None:
        raise OSError("for\never")

    run = run_of(tmp_path)
    monkeypatch.setattr(module, "train_run", fails)
    with pytest.raises(EvenfaceError, match="a: failed 2 times: OSError: for ever"):
        work(tmp_path, run)
    mark = Mark.read(tmp_path / run.at)
    assert (mark.finished, mark.error, mark.attempts) == (False, "OSError: for ever", 2)
    monkeypatch.setattr(module, "train_run", fails_once)
    assert work(tmp_path, run) == tmp_path / "runs" / "a"
    mark = Mark.read(tmp_path / run.at)
    assert (mark.finished, mark.error) == (True, None)
    work(tmp_path, run)
    assert (tmp_path / run.at / "calls").read_text() == "x\nx\n"  # finished: not repeated


def test_a_folder_of_other_inputs_is_not_touched(tmp_path):
    Mark("other", finished=True).write(tmp_path / "runs" / "a")
    with pytest.raises(UsageError, match="holds a run of other inputs"):
        work(tmp_path, run_of(tmp_path))


def directives(script: Path) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script.read_text(), re.MULTILINE)
    return dict(found)


def test_scripts_say_what_was_asked_for(tmp_path):
    resources = Resources("gpu", 1, 4, "16G", "1-12:00:00", 3, "module load cuda")
    script = write_scripts(tmp_path / "my study", "mine", 8, resources)
    steps = {name: script.parent / f"{name}.sh" for name in ("prepare", "runs", "collect")}
    for path in (script, *steps.values()):
        subprocess.run(["bash", "-n", str(path)], check=True)
    runs = directives(steps["runs"])
    assert runs["array"] == "0-7%3"
    assert runs["signal"] == "B:TERM@120"
    assert runs["requeue"] == ""
    assert (runs["partition"], runs["gpus"], runs["cpus-per-task"]) == ("gpu", "1", "4")
    assert (runs["mem"], runs["time"]) == ("16G", "1-12:00:00")
    assert runs["output"] == f'"{tmp_path}/my study/slurm/runs-%A_%a.log"'
    assert "array" not in directives(steps["prepare"])
    assert all("\nmodule load cuda\n" in path.read_text() for path in steps.values())
    assert "--only prepare &" in steps["prepare"].read_text()


def test_embeddings_and_teachers_can_have_jobs_of_their_own(tmp_path):
    resources = Resources(gpus=1, teacher_gpus=8, embed_jobs=6, max_parallel=4)
    script = write_scripts(tmp_path / "study", "mine", 3, resources)
    steps = ("teachers", "embed", "prepare", "runs", "collect")
    asked = {name: directives(script.parent / f"{name}.sh") for name in steps}
    assert [asked[name]["gpus"] for name in steps] == ["8", "1", "1", "1", "1"]
    assert {name: of["array"] for name, of in asked.items() if "array" in of} == {
        "embed": "0-5%4",
        "runs": "0-2%4",
    }
    embed = (script.parent / "embed.sh").read_text()
    assert '--parts 6 --index "$SLURM_ARRAY_TASK_ID" &' in embed
    assert "--only teachers &" in (script.parent / "teachers.sh").read_text()
    alone = write_scripts(tmp_path / "other", "mine", 3, Resources(gpus=1, teacher_gpus=8))
    assert not (alone.parent / "embed.sh").exists()
    assert directives(alone.parent / "prepare.sh")["gpus"] == "8"  # it trains teachers as well


@pytest.mark.parametrize(
    "options",
    [{"partition": "a b"}, {"memory": "much"}, {"time": "soon"}, {"setup": "a\nb"}],
)
def test_what_sbatch_would_not_take_is_refused(options):
    with pytest.raises(UsageError, match=f"--{next(iter(options))}"):
        Resources(**options)


SBATCH = """#!/bin/bash
# Runs a job at once, as SLURM would later; tells its number.
echo "$@" >> "$FAKE/sbatch-calls"
script="${@: -1}"
id=$(wc -l < "$FAKE/sbatch-calls")
array=$(grep -oP '^#SBATCH --array=0-\\K\\d+' "$script")
chdir=$(grep -oP '^#SBATCH --chdir=\\K.*' "$script")
folder=$PWD
for task in $(seq 0 "${array:-0}"); do
  (cd "$chdir" && SLURM_JOB_ID=$id-$task SLURM_ARRAY_TASK_ID=$task bash "$folder/$script" >&2) \\
    || exit 1
done
echo "$id"
"""
SCONTROL = """#!/bin/bash
echo "$@" >> "$FAKE/scontrol-calls"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Commands called sbatch and scontrol; the folder where they note their calls."""
    fake = tmp_path / "fake"
    fake.mkdir()
    for name, text in (("sbatch", SBATCH), ("scontrol", SCONTROL)):
        (fake / name).write_text(text)
        (fake / name).chmod(0o755)
    monkeypatch.setenv("FAKE", str(fake))
    monkeypatch.setenv("PATH", f"{fake}{os.pathsep}{os.environ['PATH']}")
    return fake


TINY = {
    "student.overrides": {"schedule.steps": 6, "batch_size": 8, "log_every": 1},
    "training_seeds": [0, 1],
    "training_sets": ["real", "synthetic"],
    "evaluation.real_people": [],
    "evaluation.replicates": 100,
    "evaluation.folds": 2,
}


def called(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", *arguments])
    assert ended.value.code == 0


@pytest.mark.slow
def test_prepared_worked_and_collected_by_jobs(slurm, face_folders, teacher_file, tmp_path):
    """Eight runs: prepare, an array, collect. A job in between is stopped and goes on."""
    out = tmp_path / "study"
    options = [f"--set={key}={json.dumps(value)}" for key, value in TINY.items()]
    options += ["--teacher", str(teacher_file), "--out", str(out)]
    options += ["--real", str(face_folders["real"]), "--synthetic", str(face_folders["synthetic"])]
    called("submit", "smoke", "--slurm", "--max-parallel", "2", "--go", *options)

    dependencies = [
        re.findall(r"--dependency=(\S+)", line) for line in lines(slurm / "sbatch-calls")
    ]
    assert dependencies == [[], ["afterok:1"], ["afterok:1,afterany:2"]]
    assert not (slurm / "scontrol-calls").exists()
    results = read_json(out / "results.json")
    assert [s["name"] for s in results["stages"] if s["name"].startswith("train 8")]
    students = [m for m in results["models"] if m["kind"] == "student"]
    assert len(students) == 4
    runs = read_runs(out)
    assert len(runs) == 8
    for run in runs:
        assert Mark.read(out / run.at).finished
        log = (out / run.at / "log.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in log] == list(range(1, 7))
    trained = next(s for s in results["stages"] if s["name"].startswith("train 8"))
    assert trained["reused"]


@pytest.mark.slow
def test_a_job_that_is_stopped_saves_and_is_queued_again(slurm, tmp_path):
    """SIGTERM to the batch shell reaches the training; scontrol puts the job back."""
    out = tmp_path / "study"
    script = write_scripts(out, "mine", 1, Resources())
    job = script.parent / "runs.sh"
    trainer = tmp_path / "train.py"
    trainer.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), sys.exit(75)))\n"
        f"open({str(tmp_path / 'began')!r}, 'w').close()\n"
        "time.sleep(60)\n"
    )
    text = job.read_text()
    command = re.search(r"^.* study work .*(?= &$)", text, re.MULTILINE)
    job.write_text(text.replace(command[0], f"{sys.executable} {trainer}"))
    process = subprocess.Popen(["bash", str(job)], env=os.environ | {"SLURM_JOB_ID": "17"})
    deadline = time.monotonic() + 60
    while not (tmp_path / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert lines(slurm / "scontrol-calls") == ["requeue 17"]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_nothing_is_submitted_unless_told(slurm, teacher_file, tmp_path, capsys):
    out = tmp_path / "study"
    options = ["--teacher", str(teacher_file), "--out", str(out), "--set", "training_seeds=[0]"]
    called("submit", "smoke", "--slurm", *options)
    assert f"bash {out / 'slurm' / 'submit.sh'}" in capsys.readouterr().out
    assert not (slurm / "sbatch-calls").exists()
    assert directives(out / "slurm" / "runs.sh")["array"] == "0-5"
    called("submit", str(out), "--slurm", "--partition", "gpu")  # by its folder
    assert directives(out / "slurm" / "runs.sh")["partition"] == "gpu"
    assert directives(out / "slurm" / "runs.sh")["array"] == "0-5"


def test_without_sbatch_it_is_said_what_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main(["study", "submit", "smoke", "--slurm", "--go", "--out", str(tmp_path / "study")])
    assert ended.value.code == 1
    assert "sbatch was not found" in capsys.readouterr().err
