"""Calls in other processes: results, errors, deaths, and a polite stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from evenface.doctor import check_devices
from evenface.errors import DataError, EvenfaceError
from evenface.machine import describe_machine
from evenface.parallel import Answer, Worker, one_line, usable_cores, worker_pool
from parallel_calls import die, environment, fail, square, wait_politely


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker({"EVENFACE_TEST": "here"})
    yield worker
    worker.close()


def test_a_worker_makes_one_call_after_another_in_one_process(worker):
    answers = []
    for _ in range(2):
        worker.begin(os.getpid, ())
        answers.append(worker.answer())
    assert answers[0] == answers[1] != Answer(os.getpid())


def test_a_worker_has_one_thread_and_its_own_environment(worker):
    worker.begin(environment, ("OMP_NUM_THREADS", "EVENFACE_TEST"))
    assert worker.answer() == Answer(["1", "here"])
    assert "EVENFACE_TEST" not in os.environ


def test_an_error_of_a_call_is_one_line_and_the_worker_goes_on(worker):
    worker.begin(fail, ("no such\n  face",))
    assert worker.answer() == Answer(error="no such face")
    worker.begin(square, ("three",))
    assert worker.answer().error.startswith("TypeError: can't multiply")
    worker.begin(square, (3,))
    assert worker.answer() == Answer(9)


def test_a_result_that_cannot_be_sent_is_an_error(worker):
    worker.begin(open, (os.devnull,))
    assert worker.answer().error.startswith("its result cannot be sent: TypeError")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ((die, ()), "its process was killed by SIGKILL, as it happens when memory is short"),
        ((os._exit, (3,)), "its process ended with exit code 3"),
        ((signal.raise_signal, (signal.SIGTERM,)), "its process was killed by SIGTERM"),
    ],
)
def test_a_death_is_explained(worker, call, told):
    worker.begin(*call)
    assert worker.answer() == Answer(error=told, alive=False)


def test_a_process_that_dies_in_a_pool_is_explained():
    with (
        pytest.raises(EvenfaceError, match="a testing process died"),
        worker_pool(1, what="testing") as submit,
    ):
        submit(die).result()


def test_a_line_for_every_error():
    assert one_line(DataError("a:\n b")) == "a: b"
    assert one_line(MemoryError()) == one_line(DataError()).replace("Data", "Memory")


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


def test_at_least_one_core():
    assert usable_cores() >= 1


def test_cores_are_counted_alike_everywhere(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert usable_cores() == 3
    assert describe_machine("cpu")["cores"] == 3
    assert next(check_devices({})).detail == "3 usable cores"
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
