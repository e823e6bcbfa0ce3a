"""A study's teacher is trained by all GPUs, or by several processes of a machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenface.errors import EvenfaceError
from evenface.study import teaching
from evenface.study.teaching import train_teacher
from evenface.train.recipe import TrainRecipe, load_recipe
from pattern_people import write_people

STEPS = 40


def recipe_of(folder: Path, **changes) -> TrainRecipe:
    if not folder.exists():
        write_people(folder, [(f"p{i}", "east", 4) for i in range(8)])
    overrides = {"name": "own", "data": str(folder), "batch_size": 8, "device": "cpu"}
    overrides |= {"schedule.steps": STEPS, "schedule.warmup_steps": 0, "log_every": 1}
    return load_recipe("student-mini", overrides | changes).with_embedding_size()


@pytest.mark.parametrize(
    ("gpus", "batch", "micro", "processes", "expected"),
    [
        (8, 128, 1, "auto", 8),
        (3, 128, 1, "auto", 2),  # of 3, no equal parts
        (8, 8, 2, "auto", 2),  # parts of two images at least
        (0, 128, 1, "auto", 1),
        (1, 128, 1, "auto", 1),
        (0, 128, 1, 4, 4),
    ],
)
def test_as_many_processes_as_can_share_a_batch(
    tmp_path, monkeypatch, gpus, batch, micro, processes, expected
):
    started = []

    class Started:
        def __init__(self, command, env):
            started.append(next(w for w in command if "nproc" in w))

        def wait(self):
            return 0

    monkeypatch.setattr(teaching, "visible_gpus", lambda: [str(i) for i in range(gpus)])
    monkeypatch.setattr(teaching.subprocess, "Popen", Started)
    monkeypatch.setattr("evenface.train.loop.train", lambda recipe, folder: started.append("1"))
    recipe = recipe_of(tmp_path / "data", batch_size=batch, micro_batches=micro)
    train_teacher(tmp_path / "run", recipe, processes)
    assert started == ["1" if expected == 1 else f"--nproc-per-node={expected}"]


@pytest.mark.slow
def test_two_processes_train_are_stopped_and_go_on(tmp_path):
    recipe = recipe_of(tmp_path / "data")
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    run = tmp_path / "run"
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from evenface.signals import Raiser\n"
        "from evenface.study.teaching import train_teacher\n"
        "from evenface.train.recipe import TrainRecipe\n"
        "signal.signal(signal.SIGTERM, Raiser())\n"
        "recipe = TrainRecipe.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "train_teacher(Path(sys.argv[2]), recipe, 2)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "recipe.json"), str(run)]
    )
    log, deadline = run / "log.jsonl", time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) != 0
    done = len(log.read_text().splitlines())
    assert not (run / "run.json").exists()
    assert 2 <= done < STEPS
    train_teacher(run, recipe, 2)
    assert json.loads((run / "run.json").read_text())["steps"] == STEPS
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_a_training_that_fails_is_told(tmp_path):
    recipe = recipe_of(tmp_path / "data", batch_size=9)
    with pytest.raises(EvenfaceError, match="by 2 processes ended with exit code"):
        train_teacher(tmp_path / "run", recipe, 2)
