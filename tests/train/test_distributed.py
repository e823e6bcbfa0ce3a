"""Two processes train what one process with two micro-batches trains."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from tiny_training import assert_same_bits, log, tiny_recipe, weights
from together import SOURCE, finish, run, start

from evenface.errors import UsageError
from evenface.train.distributed import World, open_world, own_device
from evenface.train.loop import train

TORCHRUN = "-m torch.distributed.run --standalone --nproc-per-node 2"
LOSSES = str(Path(__file__).with_name("sharded_losses.py"))


@pytest.fixture
def written(tmp_path, dataset):
    """Writes the tiny recipe with some fields replaced; its arguments to ``python``."""

    def write(name, **changes):
        path = tmp_path / f"{name}.yaml"
        recipe = tiny_recipe(dataset, **changes)
        path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
        return ["-m", "evenface", "train", str(path), "--out", str(tmp_path / name)]

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


# --- what they compute --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_a_sharded_softmax_is_the_whole_one_for_every_head(count):
    for code, _, err in run(count, LOSSES):
        assert code == 0, err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "sharded"),
    [("adaface", False), ("elasticarcface_plus", True), ("magface", True)],
)
def test_two_processes_are_one_with_two_micro_batches(tmp_path, written, cache, head, sharded):
    changes = {
        "backbone": {"name": "mini_s", "embedding_size": 8, "dropout": 0.2},
        "head": {"name": head, "options": {"s": 16.0}, "sharded": sharded},
        "distill": {"cache": str(cache.folder)},
        "augment": {"jpeg": {}},
        "ema": {"decay": 0.9},
        "precision": "fp64",
    }
    (code, out, err), (other_code, other_out, other_err) = run(2, *written("two", **changes))
    assert (code, other_code) == (0, 0), err + other_err
    assert "last step" in out
    assert other_out + other_err == ""
    train(
        tiny_recipe(**{"data": tmp_path / "faces", "micro_batches": 2, **changes}),
        tmp_path / "one",
        quiet=True,
    )
    ours, theirs = weights(tmp_path / "two"), weights(tmp_path / "one")
    for key, value in theirs.items():
        assert torch.allclose(ours[key], value, rtol=1e-9, atol=1e-11), key
    for line, expected in zip(log(tmp_path / "two"), log(tmp_path / "one"), strict=True):
        assert line == pytest.approx(expected, rel=1e-5, abs=2e-6)
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert record["images_seen"] == 80
    assert record["environment"]["processes"] == 2


@pytest.mark.slow
def test_a_stop_of_one_stops_all_and_the_resumed_run_ends_with_the_same_bits(tmp_path, written):
    changes = {
        "backbone": {"name": "mini_s", "embedding_size": 8},
        "head": {"name": "adaface", "sharded": True},
        "schedule": {"kind": "cosine", "steps": 60},
        "log_every": 1,
        "checkpoint_every": 1000,
    }
    whole, stopped = written("whole", **changes), written("stopped", **changes)
    assert [code for code, _, _ in run(2, *whole)] == [0, 0]
    processes = start(2, *stopped)
    wait_for(tmp_path / "stopped" / "log.jsonl", processes)
    processes[1].send_signal(signal.SIGTERM)
    results = finish(processes)
    assert [code for code, _, _ in results] == [75, 75], results
    assert 0 < len(log(tmp_path / "stopped")) < 60
    assert [code for code, _, _ in run(2, *stopped)] == [0, 0]
    assert_same_bits(tmp_path / "stopped", tmp_path / "whole")


def wait_for(path, processes):
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_of_two_can_be_finished_by_one(tmp_path, written, dataset):
    changes = {
        "backbone": {"name": "mini_s", "embedding_size": 8},
        "head": {"name": "cosface", "sharded": True},
        "schedule": {"kind": "cosine", "steps": 60},
        "log_every": 1,
    }
    command = written("shared", **changes)
    processes = start(2, *command)
    wait_for(tmp_path / "shared" / "log.jsonl", processes)
    processes[0].send_signal(signal.SIGTERM)
    assert [code for code, _, _ in finish(processes)] == [75, 75]
    alone = subprocess.run(
        [sys.executable, *command],
        env={"PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "PATH": "", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
    )
    assert alone.returncode == 0, alone.stderr
    assert "processes 2 → 1" in " ".join(alone.stderr.split())


@pytest.mark.slow
def test_torchrun_starts_it(tmp_path, written):
    command = written("run", backbone={"name": "mini_s", "embedding_size": 8})
    done = subprocess.run(
        [sys.executable, *TORCHRUN.split(), *command],
        env={
            "PYTHONPATH": SOURCE,
            "OMP_NUM_THREADS": "1",
            "PATH": "",
            "HOME": str(Path.home()),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("10 steps of 8 images") == 1


@pytest.mark.slow
def test_what_does_not_fit_the_processes_is_refused(tmp_path, written):
    for code, _, err in run(2, *written("odd", batch_size=9)):
        assert code == 2
        assert "9 images cannot be cut into 2 parts" in err
    assert not (tmp_path / "odd").exists()
