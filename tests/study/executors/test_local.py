"""Calls in processes of this machine: order, failures, retries, GPUs, a polite stop."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from evenface.errors import UsageError
from evenface.study.executors import Call, LocalExecutor, create_executor, default_workers
from evenface.study.executors.local import visible_gpus
from executor_told import run
from parallel_calls import end, environment, square, wait_politely


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_every_call_is_made_once_and_told_by_its_index():
    told = run(LocalExecutor(2), [Call(f"square {n}", square, (n,)) for n in range(5)])
    assert told.results == {n: n * n for n in range(5)}
    assert told.failures == {}
    assert told.looks


def test_nothing_to_do_starts_no_process(monkeypatch):
    monkeypatch.setattr(LocalExecutor, "crew", None)
    assert run(LocalExecutor(2), []).results == {}


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1)])
def test_calls_that_fail_in_whatever_way_do_not_touch_the_others(tmp_path, order):
    ends = {how: folder(tmp_path / how) for how in ("raise", "exit", "kill")}
    calls = [Call(how, end, (place, how)) for how, place in ends.items()]
    calls += [Call("square", square, (n,)) for n in (7, 8)]
    told = run(LocalExecutor(2), [calls[n] for n in order])
    by_name = {calls[n].name: told.failures.get(i) for i, n in enumerate(order)}
    assert by_name == {
        "raise": ("on purpose", 2),
        "exit": ("its process ended with exit code 3", 2),
        "kill": ("its process was killed by SIGKILL, as it happens when memory is short", 2),
        "square": None,
    }
    assert sorted(told.results.values()) == [49, 64]
    assert all(len((p / "calls").read_text().split()) == 2 for p in ends.values())


@pytest.mark.parametrize("how", ["raise", "kill"])
def test_a_call_that_fails_once_is_tried_again(tmp_path, how, capsys):
    told = run(LocalExecutor(1), [Call("odd", end, (tmp_path, how, 1)), Call("s", square, (2,))])
    assert told.results == {0: how, 1: 4}
    assert list(told.results) == [1, 0]  # after the others
    assert "warning: odd: " in capsys.readouterr().err


def test_one_attempt_is_one(tmp_path):
    told = run(LocalExecutor(1, attempts=1), [Call("odd", end, (tmp_path, "raise", 1))])
    assert told.failures == {0: ("on purpose", 1)}
    with pytest.raises(ValueError, match="at least 1"):
        LocalExecutor(1, attempts=0)


def test_leaving_early_stops_the_others_politely(tmp_path):
    def leave() -> None:
        if (tmp_path / "began").exists():
            raise KeyboardInterrupt

    executor = LocalExecutor(1, every=0.05)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        executor.run(
            [Call("wait", wait_politely, (tmp_path,))],
            folder=tmp_path,
            finished=lambda *_: None,
            failed=lambda *_: None,
            watch=leave,
        )
    assert (tmp_path / "stopped").exists()
    assert time.monotonic() - begun < 50  # the call itself would last a minute


def test_with_several_gpus_each_process_has_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    assert default_workers() == 2
    variables = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    told = run(create_executor("local"), [Call(f"{n}", environment, variables) for n in range(2)])
    assert told.results == {0: ["5", "1"], 1: ["GPU-7", "1"]}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,GPU-7"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus() == ["0", "1"]


def test_an_unknown_executor_names_the_known():
    with pytest.raises(UsageError, match=r"unknown executor 'cloud'; known: local, ray"):
        create_executor("cloud")
