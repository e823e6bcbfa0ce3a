"""Calls in other processes: results, errors, deaths, and a polite stop."""

from __future__ import annotations

import os
import time

import pytest

from evenface.doctor import check_devices
from evenface.errors import DataError, EvenfaceError
from evenface.machine import describe_machine
from evenface.parallel import run_all, usable_cores, worker_pool
from parallel_calls import die, fail, square, threads, wait_politely, write


def collect(calls, **options):
    results = {}
    run_all(calls, workers=2, what="testing", finished=results.__setitem__, **options)
    return results


def test_every_call_is_made_once_and_told_by_its_index():
    watched = []
    calls = [(square, (n,)) for n in range(5)]
    results = collect(calls, watch=lambda: watched.append(1))
    assert results == {n: n * n for n in range(5)}
    assert watched


def test_nothing_to_do_starts_no_process():
    assert collect([], watch=lambda: pytest.fail("nothing to watch")) == {}


def test_processes_have_one_thread():
    assert collect([(threads, ())], watch=lambda: None) == {0: "1"}


def test_an_error_of_a_call_is_that_of_the_whole():
    with pytest.raises(DataError, match="no such face"):
        collect([(fail, ("no such face",))], watch=lambda: None)


def test_a_dead_process_is_explained():
    with pytest.raises(EvenfaceError, match="a testing process died"):
        collect([(die, ())], watch=lambda: None)


def test_leaving_early_stops_the_others_politely(tmp_path):
    def leave() -> None:
        with worker_pool(1, what="testing") as submit:
            submit(wait_politely, tmp_path)
            while not (tmp_path / "began").exists():
                time.sleep(0.01)
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        leave()
    assert (tmp_path / "stopped").exists()
    assert time.monotonic() - begun < 50  # the call itself would last a minute


def test_no_call_begins_after_one_has_failed(tmp_path):
    calls = [(fail, ("stop",)), *((write, (tmp_path / str(n), "x")) for n in range(6))]
    for n in range(6):
        (tmp_path / str(n)).mkdir()
    with pytest.raises(DataError, match="stop"):
        run_all(calls, workers=1, what="testing", finished=lambda *_: None, watch=lambda: None)
    assert list(tmp_path.glob("*/made")) == []


def test_at_least_one_core():
    assert usable_cores() >= 1


def test_cores_are_counted_alike_everywhere(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert usable_cores() == 3
    assert describe_machine("cpu")["cores"] == 3
    assert next(check_devices()).detail == "3 usable cores"
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
