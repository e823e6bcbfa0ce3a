"""evenface train on the command line."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest
import yaml

from evenface.cli.main import main
from evenface.distill import list_distillations
from evenface.files import read_json
from evenface.models import list_heads


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["train", *map(str, arguments)])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


@pytest.fixture
def recipe_file(make_recipe, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(make_recipe().model_dump(mode="json")))
    return path


def test_named_recipes_are_listed(run):
    assert run("--list")[:2] == (
        0,
        "student-cpu\nstudent-mini\nstudent-paper\nstudent-paper-corrected\nstudent-paper-faithful\nstudent-renders\nteacher-paper-corrected\nteacher-paper-faithful\nteacher-study\n",
    )


def test_a_recipe_trains_with_keys_changed(run, recipe_file, tmp_path):
    arguments = (recipe_file, "--set", "schedule.steps=4", "--out", tmp_path / "run")
    code, out, err = run(*arguments)
    assert code == 0
    assert "mini_s (0.08 M parameters, 8-d), 4 steps of 8 images" in out
    assert "last step: loss" in out
    assert "train tiny: 32/32" in err
    code, out, _ = run(*arguments, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "run" / "run.json").read_text())


def test_explaining_shows_rate_length_and_lambda(run, recipe_file, cache, tmp_path):
    code, out, _ = run(recipe_file, "--set", f"distill.cache={cache.folder}", "--explain")
    assert code == 0
    assert yaml.safe_load(out)["distill"]["weight"] == 39.0625
    assert "# learning rate: 0.05 at its highest" in out
    assert "# training set: 30 images of 6 identities" in out
    assert "# length: 10 steps of 8 images = 80 images, 3.3 epochs" in out
    assert "# distillation: 39.0625 · (1 − cos), that is λ = 156.25 on the MSE" in out


def test_losses_are_listed_with_options_and_needs(run):
    code, out, _ = run("--list-losses")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert {*list_heads(), *list_distillations()} <= set(rows)
    assert "s 64, m 0.35, std 0.05" in rows["elasticcosface"]
    assert "centres, labels" in rows["proxylesskd"]
    assert "student_layer (required)" in rows["fitnet"]
    assert rows["template"].split()[1] == "39.0625"


def test_explaining_tells_every_loss(run):
    losses = "[{name: rkd}, {name: sp, weight: 7}, {name: template}]"
    arguments = ("--set", "distill.cache=c", "--set", f"distill.losses={losses}")
    arguments += ("--set", "backbone.embedding_size=512")
    code, out, _ = run("student-paper", *arguments, "--explain")
    assert code == 0
    assert "# distillation: rkd, its own weight" in out
    assert "# distillation: sp, weight 7" in out
    assert "# distillation: 39.0625 · (1 − cos), that is λ = 10,000 on the MSE" in out


def test_explaining_a_named_recipe_needs_no_data(run):
    code, out, _ = run("student-paper", "--explain")
    assert code == 0
    assert "# learning rate: 0.025 at its highest" in out
    assert "# backbone: 43.59 M parameters, 512 dimensions" in out
    code, out, _ = run("student-paper", "--set", "distill.cache=c", "--explain")
    assert code == 0
    assert yaml.safe_load(out)["backbone"]["embedding_size"] is None  # the teacher's
    assert "λ = 19.5312 · dimensions on the MSE" in out


def test_explaining_tells_where_values_come_from(run, recipe_file, cache):
    code, out, _ = run(
        recipe_file, "--set", f"distill.cache={cache.folder}", "--set", "batch_size=6",
        "--set", "backbone={name: mini_s}", "--set", "augment.crop.probability=0.2", "--explain",
    )  # fmt: skip
    assert code == 0
    origins = {
        line.split(":")[0].strip(): line.rpartition("# ")[2]
        for line in out.splitlines()
        if not line.startswith("#") and "#" in line
    }
    assert origins["embedding_size"] == "teacher"
    assert origins["batch_size"] == origins["cache"] == origins["probability"] == "--set"
    assert origins["log_every"] == origins["lr"] == str(recipe_file)
    assert origins["weight"] == "default"
    resolved = yaml.safe_load(out)
    assert resolved["backbone"] == {
        "name": "mini_s",
        "embedding_size": 8,
        "dropout": 0.0,
        "start": None,
        "frozen": [],
    }
    assert "# memory, estimated: " in out
    assert "# time: not measured; --probe takes a few steps" in out
    assert "the cached target is of the image before `augment`" in out


def test_a_batch_that_the_training_set_cuts_is_told(run, recipe_file, tmp_path):
    changes = ("--set", "batch_size=512", "--set", "optimizer.lr_batch=128")
    changes += ("--set", "schedule.steps=2", "--set", "schedule.warmup_steps=0")
    told = (
        "the training set has 30 images, fewer than a batch of 512: it is trained with batches of "
        "30, so the learning rate is 0.0117188 instead of 0.2"
    )
    code, out, _ = run(recipe_file, *changes, "--explain")
    assert code == 0
    assert "# learning rate: 0.0117188 at its highest" in out
    assert f"# batch: {told}" in out
    assert "# cut to the training set, from 512" in out
    assert yaml.safe_load(out)["batch_size"] == 30
    code, _, err = run(recipe_file, *changes, "--out", tmp_path / "run", "--set", "log_every=1")
    assert code == 0
    assert told in " ".join(err.split())
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["batch_size"] == 30
    first = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert first["lr"] == pytest.approx(0.05 * 30 / 128)


def test_a_batch_that_fits_is_not_remarked_on(run, recipe_file):
    code, out, _ = run(recipe_file, "--explain")
    assert code == 0
    assert "# batch:" not in out


def test_probing_times_a_few_steps(run, recipe_file):
    code, out, _ = run(recipe_file, "--explain", "--probe")
    assert code == 0
    assert "# time, measured over a few steps on cpu: " in out


@pytest.mark.slow
def test_sigterm_exits_with_75_and_the_same_command_goes_on(recipe_file, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable, "-m", "evenface.cli.main", "train", str(recipe_file), "--out", str(out),
        "--set", "schedule.steps=300", "--set", "checkpoint_every=5",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("checkpoints/step-*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "stopped by SIGTERM. Rerun the same command to continue from the last check" in err
    assert "Traceback" not in err
    assert not (out / "run.json").exists()
    saved = max((out / "checkpoints").iterdir()).stem.removeprefix("step-")
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{out}: resumed at step {int(saved)} of 300" in again.stderr
    assert read_json(out / "run.json")["finished"]


def test_sigterm_exits_with_75_whatever_error_it_ends_as(run, recipe_file, tmp_path, monkeypatch):
    def swallowed(*_):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        raise AttributeError("half imported")

    monkeypatch.setattr("evenface.train.loop.train", swallowed)
    code, _, err = run(recipe_file, "--out", tmp_path / "run")
    assert code == 75
    assert "stopped by SIGTERM" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--out", "x"], "no train recipe or file called 'nothing'"),
        (["student-cpu"], "--out is missing"),
        (["student-cpu", "--out", "x"], "names no training set"),
        (["student-cpu", "--set", "sed=1", "--explain"], "did you mean 'seed'?"),
        (["student-cpu", "--set", "head.name=x", "--explain"], "unknown head 'x'"),
        (["--explain"], "RECIPE is missing"),
        (["student-cpu", "--probe"], "--probe needs --explain"),
        (["student-cpu", "--set", "augment.mosaic={}", "--explain"], "unknown augmentation"),
        (["student-cpu", "--set", "micro_batches=3", "--explain"], "cut into 3 micro-batches"),
        (
            ["student-cpu", "--set", "augment.jpeg={}", "--set", "loader=resident", "--explain"],
            "augment.jpeg needs images that pass the CPU",
        ),
        (["student-cpu", "--set", "recovery.attempts=0", "--explain"], "greater than 0"),
    ],
)
def test_wrong_usage_exits_with_2(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_a_missing_training_set_exits_with_1(run, recipe_file, tmp_path):
    code, _, err = run(
        recipe_file, "--set", f"data={tmp_path / 'nowhere'}", "--out", tmp_path / "run"
    )
    assert code == 1
    assert "nowhere" in err
