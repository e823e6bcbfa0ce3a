"""Work in several processes: spawned, one thread each, ended with the process that started them.

Spawned, because forked processes inherit locks and threads of OpenCV and torch. One thread, so that
sums have one order and results do not depend on the number of cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any

from evenface.console import err
from evenface.errors import EvenfaceError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def spare_threads() -> int:
    """Threads that this process may start: one where others of its kind share the cores."""
    return 1 if multiprocessing.parent_process() else usable_cores()


@contextmanager
def worker_pool(
    workers: int, *, what: str, initializer: Callable[[], None] | None = None
) -> Iterator[Callable[..., Future[Any]]]:
    """Yield a function that submits a call to one of ``workers`` processes.

    Leaving the context early (an error, Ctrl-C) cancels what has not begun and asks the processes
    to stop as a polite kill would, so that a training saves its checkpoint.

    Args:
        workers: number of processes.
        what: what a process does, for the error message.
        initializer: called once in each process.

    Raises:
        EvenfaceError: a process died.
    """
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(initializer,))

    def submit(call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        with _single_threaded_children():  # processes are started on demand
            return pool.submit(call, *arguments)

    try:
        yield submit
    except BrokenProcessPool:
        raise EvenfaceError(
            f"a {what} process died (killed, or out of memory). Run the same command again to "
            "continue, with fewer workers if memory is short"
        ) from None
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        processes = set(multiprocessing.active_children()) - before
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_all(
    calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]],
    *,
    workers: int,
    what: str,
    finished: Callable[[int, Any], None],
    watch: Callable[[], None],
    every: float = 1.0,
) -> None:
    """Make independent calls (function, arguments), ``workers`` at a time.

    Args:
        calls: functions of modules, with picklable arguments and results.
        workers: processes at once.
        what: what a process does, for the error message.
        finished: called in this process with the index of each call that ended and its result.
        watch: called in this process about once in ``every`` seconds, and at the end.
        every: seconds.

    Raises:
        EvenfaceError: a process died.
        Exception: the first exception that a call raised; calls under way are stopped.
    """
    rest = iter(enumerate(calls))
    waiting: dict[Future[Any], int] = {}
    with worker_pool(workers, what=what) as submit:
        # No more than can begin at once: a process that is told to stop takes the next otherwise.
        while True:
            for index, (function, arguments) in islice(rest, workers - len(waiting)):
                waiting[submit(function, *arguments)] = index
            if not waiting:
                return
            done, _ = wait(waiting, timeout=every, return_when=FIRST_COMPLETED)
            for future in done:
                finished(waiting.pop(future), future.result())
            watch()


def _start(initializer: Callable[[], None] | None) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    # Ctrl-C reaches all processes of a terminal; the parent decides what its workers do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    err().quiet = True  # one terminal, one speaker
    if initializer is not None:
        initializer()


def _leave_with_parent() -> None:
    """End this process once its parent is gone: a pool's workers would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Processes started inside use one thread each for linear algebra."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
