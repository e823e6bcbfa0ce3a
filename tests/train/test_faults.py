"""Trainings that are killed, locked out, resumed elsewhere, or diverge and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
import yaml
from tiny_training import assert_same_bits, log, steps_saved, tiny_recipe, weights

from evenface.errors import TrainingDivergedError, UsageError
from evenface.lock import FolderLock
from evenface.train.batches import BatchSource
from evenface.train.learner import Learner
from evenface.train.loop import train
from evenface.train.schedule import Schedule

# A process that trains; before it, code of the test.
TRAIN = """
import sys
from pathlib import Path
{before}
from evenface.train import load_recipe
from evenface.train.loop import train
train(load_recipe(sys.argv[1]), Path(sys.argv[2]), quiet=True)
"""

# Dies in the middle of the n-th write of a checkpoint, or before its rename.
DIE_WRITING = """
import os, signal
count = 0
write, replace = Path.write_bytes, os.replace
def counted(path):
    global count
    count += "step-" in Path(path).name
    return count == {number}
def half(path, data):
    if counted(path):
        write(path, data[:len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, data)
def never(source, target):
    if counted(target):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target)
if {rename}:
    os.replace = never
else:
    Path.write_bytes = half
"""


@pytest.fixture
def start(tmp_path):
    """Starts a process that trains a recipe into a folder."""
    processes = []

    def start_(recipe, out, before=""):
        path = tmp_path / f"recipe-{len(processes)}.yaml"
        path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
        code = TRAIN.format(before=textwrap.dedent(before))
        process = subprocess.Popen([sys.executable, "-c", code, str(path), str(out)])
        processes.append(process)
        return process

    yield start_
    for process in processes:
        process.kill()
        process.wait()


# The heads and parts with a state of their own.
STATEFUL = {
    "head": {"name": "adaface"},
    "ema": {"decay": 0.9},
    "augment": {"crop": {}, "rescale": {}, "jpeg": {"probability": 0.5}},
    "micro_batches": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize(("rename", "number"), [(False, 2), (True, 1)])
def test_killed_while_it_writes_a_checkpoint(dataset, tmp_path, start, rename, number):
    recipe = tiny_recipe(dataset, **STATEFUL, precision="bf16")
    train(recipe, tmp_path / "whole", quiet=True)
    out = tmp_path / "killed"
    process = start(recipe, out, DIE_WRITING.format(rename=rename, number=number))
    assert process.wait(60) == -signal.SIGKILL
    assert not (out / "run.json").exists()
    assert steps_saved(out) == [3, 6][: number - 1]
    assert list((out / "checkpoints").glob(".step-*"))
    train(recipe, out, quiet=True)
    assert_same_bits(tmp_path / "whole", out)
    assert not list((out / "checkpoints").glob(".step-*"))


@pytest.mark.slow
def test_killed_at_any_moment_again_and_again(dataset, tmp_path, start):
    recipe = tiny_recipe(
        dataset, **STATEFUL, schedule={"kind": "cosine", "steps": 60}, checkpoint_every=2
    )
    train(recipe, tmp_path / "whole", quiet=True)
    out = tmp_path / "killed"
    random = np.random.default_rng()
    kills = 0
    for _ in range(2):
        saved = steps_saved(out)
        process = start(recipe, out)
        while process.poll() is None and steps_saved(out) == saved:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.2))
        kills += process.poll() is None
        process.kill()
        process.wait()
    assert kills
    train(recipe, out, quiet=True)
    assert_same_bits(tmp_path / "whole", out)


def test_a_damaged_newest_checkpoint_costs_only_time(make_recipe, tmp_path, break_at, capsys):
    recipe = make_recipe(**STATEFUL)
    train(recipe, tmp_path / "whole", quiet=True)
    mend = break_at(9, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", quiet=True)
    mend()
    newest = tmp_path / "run" / "checkpoints" / "step-000000009.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    train(recipe, tmp_path / "run", quiet=True)
    assert f"{newest}: damaged checkpoint" in capsys.readouterr().err
    assert_same_bits(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_a_folder_serves_one_process_even_after_a_kill(dataset, tmp_path, start):
    recipe = tiny_recipe(dataset, schedule={"kind": "cosine", "steps": 400}, checkpoint_every=5)
    out = tmp_path / "run"
    process = start(recipe, out)
    while not steps_saved(out):
        assert process.poll() is None
        time.sleep(0.01)
    with pytest.raises(UsageError, match=rf"process {process.pid} on .* is training there"):
        train(recipe, out, quiet=True)
    process.kill()
    process.wait()
    with FolderLock(out):
        pass


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").write_text("x")
    with (
        pytest.raises(UsageError, match=r"run: is a file; a folder is needed"),
        FolderLock(tmp_path / "run"),
    ):
        pass


def test_a_lock_is_refused_within_a_process_and_freed(tmp_path):
    second = FolderLock(tmp_path / "run")
    with FolderLock(tmp_path / "run"), pytest.raises(UsageError, match="is training there"):
        second.__enter__()
    with second:
        pass


def test_resuming_in_another_environment_is_told(make_recipe, tmp_path, break_at, capsys):
    mend = break_at(5, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(make_recipe(), tmp_path / "run", quiet=True)
    mend()
    result = train(make_recipe(threads=2), tmp_path / "run", quiet=True)
    assert "its last bits may differ" in capsys.readouterr().err
    assert result["environment"]["threads"] == 2


# --- setbacks -----------------------------------------------------------------------------------


@pytest.fixture
def poison(monkeypatch):
    """Makes the loss NaN wherever a batch with some rows is trained on."""

    def install(rows):
        step = Learner.step

        def poisoned(self, batch, rate, seed):
            values = step(self, batch, rate, seed)
            if np.array_equal(batch.rows, rows):
                return values | {"loss": values["loss"] * float("nan")}
            return values

        monkeypatch.setattr(Learner, "step", poisoned)
        return lambda: monkeypatch.setattr(Learner, "step", step)

    return install


def rows_of_step(manifest, step):
    return BatchSource(manifest, None, batch_size=8, seed=0, flip=True).rows(step)


@pytest.mark.parametrize("bad_step", [0, 4, 9])
def test_a_setback_goes_on_lower_with_other_images(
    make_recipe, manifest, tmp_path, poison, capsys, bad_step
):
    poison(rows_of_step(manifest, bad_step))
    recipe = make_recipe(recovery={"attempts": 2, "lower": 0.5}, log_every=1)
    result = train(recipe, tmp_path / "run", quiet=True)
    assert result["setbacks"] == 1
    message = capsys.readouterr().err
    assert f"diverged at step {bad_step + 1}: loss nan" in message
    assert "setback 1 of 2" in message
    records = log(tmp_path / "run")
    back = bad_step // 3 * 3
    (setback,) = [record for record in records if "setback" in record]
    assert (setback["step"], setback["setback"]) == (back, 1)
    assert setback["reason"].startswith("loss nan")
    steps = [record for record in records if "loss" in record]
    assert [record["step"] for record in steps] == list(range(1, 11))
    schedule = Schedule(recipe.schedule, recipe.optimizer, batch_size=8, batches_per_epoch=3)
    rates = [schedule.rate(step) for step in range(10)]
    lowered = [rate * (0.5 if step >= back else 1) for step, rate in enumerate(rates)]
    assert [record["lr"] for record in steps] == pytest.approx(lowered)


def test_setbacks_survive_an_interruption(make_recipe, manifest, tmp_path, poison, break_at):
    recipe = make_recipe(recovery={"attempts": 2})
    poison(rows_of_step(manifest, 4))
    train(recipe, tmp_path / "whole", quiet=True)
    for stop in (5, 7):  # the first step after the setback, and a later one
        mend = break_at(stop + 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        out = tmp_path / f"broken-{stop}"
        with pytest.raises(KeyboardInterrupt):
            train(recipe, out, quiet=True)
        mend()
        poison(rows_of_step(manifest, 4))
        assert train(recipe, out, quiet=True)["setbacks"] == 1
        for key, value in weights(tmp_path / "whole").items():
            assert torch.equal(value, weights(out)[key]), key


def test_setbacks_are_bounded(make_recipe, tmp_path, monkeypatch):
    step = Learner.step
    monkeypatch.setattr(
        Learner,
        "step",
        lambda self, *arguments: step(self, *arguments) | {"loss": torch.tensor(float("inf"))},
    )
    recipe = make_recipe(recovery={"attempts": 2})
    with pytest.raises(TrainingDivergedError, match="at step 1 "):
        train(recipe, tmp_path / "run", quiet=True)
    assert len([r for r in log(tmp_path / "run") if "setback" in r]) == 2
    assert json.loads((tmp_path / "run" / "diverged.json").read_text())["step"] == 1
    assert not (tmp_path / "run" / "run.json").exists()


# --- the average of the weights -----------------------------------------------------------------


@pytest.mark.parametrize("evaluate", [True, False])
def test_both_weights_are_saved_and_the_record_says_which_count(make_recipe, tmp_path, evaluate):
    recipe = make_recipe(ema={"decay": 0.9, "evaluate": evaluate})
    result = train(recipe, tmp_path / "run", quiet=True)
    train(make_recipe(), tmp_path / "plain", quiet=True)
    plain = weights(tmp_path / "plain")["linear.weight"]
    names = {True: ("average", "last-step"), False: ("last-step", "average")}[evaluate]
    assert result["weights"] == names[0]
    other = tmp_path / "run" / f"weights-{names[1]}.safetensors"
    assert other.exists()
    assert torch.equal(weights(tmp_path / "run")["linear.weight"], plain) is not evaluate
