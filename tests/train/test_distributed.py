"""Two processes train what one process with two micro-batches trains."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import yaml
from tiny_training import assert_same_bits, log, tiny_recipe, weights
from together import SOURCE, finish, run, start

from evenface.errors import UsageError
from evenface.train import loop
from evenface.train.distributed import World, open_world, own_device
from evenface.train.loop import train

TORCHRUN = "-m torch.distributed.run --standalone --nproc-per-node 2 -m evenface train"
HERE = Path(__file__).parent
MINI = {"backbone": {"name": "mini_s", "embedding_size": 8}}
ENVIRONMENT = {
    "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "PATH": "", "HOME": str(Path.home())
}  # fmt: skip


@pytest.fixture
def written(tmp_path, dataset):
    """Writes the tiny recipe of mini_s with some fields replaced."""

    def write(name, **changes):
        path = tmp_path / f"{name}.yaml"
        recipe = tiny_recipe(dataset, **MINI | changes)
        path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
        return str(path)

    return write


# --- what they are ------------------------------------------------------------------------------


def test_one_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with open_world("cpu") as world:
        assert (world.size, world.first) == (1, True)
        assert world.largest(7) == 7
        part = torch.ones(2, 3)
        assert world.gather(part) is part


def test_an_incomplete_environment_is_told(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match="'RANK' is not as torchrun sets it"), open_world("cpu"):
        pass


@pytest.mark.parametrize(("batch", "micro", "fits"), [(8, 2, True), (9, 1, False), (4, 2, False)])
def test_batches_that_cannot_be_cut_are_refused(batch, micro, fits):
    world = World(0, 2, 0)
    if fits:
        world.check(batch, micro)
        return
    with pytest.raises(UsageError, match=f"{batch} images cannot be cut into {2 * micro} parts"):
        world.check(batch, micro)


def test_each_process_has_a_gpu_of_its_own():
    world = World(3, 4, 1)
    assert own_device("cuda", world) == "cuda:1"
    assert own_device("cpu", world) == "cpu"
    with pytest.raises(UsageError, match="'cuda:0' is one GPU for 4 processes"):
        own_device("cuda:0", world)


def test_what_does_not_fit_the_processes_is_refused_before_anything_is_written(
    tmp_path, dataset, monkeypatch
):
    monkeypatch.setattr(loop, "open_world", lambda device: nullcontext(World(1, 2, 1)))
    with pytest.raises(UsageError, match="9 images cannot be cut into 2 parts"):
        train(tiny_recipe(dataset, batch_size=9, **MINI), tmp_path / "odd", quiet=True)
    assert not (tmp_path / "odd").exists()


# --- what they compute --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sharded_softmax_is_the_whole_one_for_every_head():
    for code, _, err in run(3, str(HERE / "sharded_losses.py")):
        assert code == 0, err


@pytest.mark.slow
def test_two_processes_are_one_with_two_micro_batches(tmp_path, written, cache):
    recipes = {
        head: {
            "backbone": {"name": "mini_s", "embedding_size": 8, "dropout": 0.2},
            "head": {"name": head, "options": {"s": 16.0}, "sharded": sharded},
            "distill": {"cache": str(cache.folder)},
            "augment": {"jpeg": {}},
            "ema": {"decay": 0.9},
            "precision": "fp64",
        }
        for head, sharded in [
            ("adaface", False), ("elasticarcface_plus", True), ("magface", True)
        ]
    }  # fmt: skip
    paths = [written(f"{head}-two", **changes) for head, changes in recipes.items()]
    for code, out, err in run(2, str(HERE / "trained_together.py"), *paths):
        assert (code, out, err) == (0, "", "")
    for head, changes in recipes.items():
        one, two = tmp_path / f"{head}-one", tmp_path / f"{head}-two"
        train(tiny_recipe(tmp_path / "faces", micro_batches=2, **changes), one, quiet=True)
        for key, value in weights(one).items():
            assert torch.allclose(weights(two)[key], value, rtol=1e-9, atol=1e-11), (head, key)
        for line, expected in zip(log(two), log(one), strict=True):
            assert line == pytest.approx(expected, rel=1e-5, abs=2e-6), head
        record = json.loads((two / "run.json").read_text())
        assert record["images_seen"] == 80
        assert record["environment"]["processes"] == 2


@pytest.mark.slow
def test_a_stopped_run_is_finished_by_two_with_the_same_bits_or_by_one(tmp_path, written, capsys):
    changes = {
        "head": {"name": "adaface", "sharded": True},
        "schedule": {"kind": "cosine", "steps": 40},
        "log_every": 1,
        "checkpoint_every": 1000,
    }
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    recipe = written("stopped", **changes)
    processes = start(2, "-m", "evenface", "train", recipe, "--out", str(stopped))
    wait_for(stopped / "log.jsonl", processes)
    for _ in range(2):  # to one of them, as from a scheduler and torchrun
        processes[1].send_signal(signal.SIGTERM)
    results = finish(processes)
    assert [code for code, _, _ in results] == [75, 75], results
    assert results[1][2] == ""  # the first one speaks
    assert 0 < len(log(stopped)) < 40

    alone = shutil.copytree(stopped, tmp_path / "alone")
    train(tiny_recipe(tmp_path / "faces", **changes | MINI), alone, quiet=True)
    assert "processes 2 → 1" in " ".join(capsys.readouterr().err.split())

    done = torchrun(recipe, "--out", str(stopped))
    assert done.stdout.count("40 steps of 8 images") == 1
    torchrun(written("whole", **changes), "--out", str(whole))
    assert_same_bits(stopped, whole)


def torchrun(*arguments):
    done = subprocess.run(
        [sys.executable, *TORCHRUN.split(), *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def wait_for(path, processes):
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
