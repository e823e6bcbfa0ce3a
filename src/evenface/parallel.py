"""Work in several processes: spawned, one thread each, ended with the process that started them.

Spawned, because forked processes inherit locks and threads of OpenCV and torch. One thread, so that
sums have one order and results do not depend on the number of cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

from evenface.console import err
from evenface.errors import EvenfaceError

SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Variables of processes that use one thread each for linear algebra."""
_STOPPED = 75
"""Exit code of a process that was asked to stop, as of a training that SIGTERM ended."""


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
        with _environment(SINGLE_THREADED):  # processes are started on demand
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


class Worker:
    """A process of its own that makes one call at a time; when it dies, only that call is lost.

    Args:
        environment: variables that the process has besides this one's.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        with _environment(SINGLE_THREADED | dict(environment or {})):
            self._process.start()
        theirs.close()

    @property
    def events(self) -> list[Any]:
        """What :func:`multiprocessing.connection.wait` waits for: an answer, or a death."""
        return [self._pipe, self._process.sentinel]

    def begin(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Hand over a call: a function of a module, picklable arguments."""
        # One that has died meanwhile is told of by `answer`.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send((function, arguments))

    def answer(self) -> Answer:
        """How the call ended. Waits for its end."""
        try:
            return cast(Answer, self._pipe.recv())
        except (EOFError, OSError):
            self._process.join()
            return Answer(error=death(self._process.exitcode), alive=False)

    def ask_to_stop(self) -> None:
        """As a polite kill would: a training saves its checkpoint first."""
        self._process.terminate()

    def close(self) -> None:
        """Wait for the process's end, which follows its call's."""
        self._pipe.close()
        self._process.join()


@dataclass(frozen=True)
class Answer:
    """How a call to a :class:`Worker` ended.

    Attributes:
        result: what it returned.
        error: None, or what went wrong, in one line.
        alive: whether the process can make another call.
    """

    result: Any = None
    error: str | None = None
    alive: bool = True


def one_line(error: BaseException) -> str:
    """What went wrong, for a table or a message: without line breaks, never empty."""
    text = " ".join(str(error).split())
    if isinstance(error, EvenfaceError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def quiet_worker() -> None:
    """What every process does first that works for another one."""
    # Ctrl-C reaches all processes of a terminal; the parent decides what its workers do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    err().quiet = True  # one terminal, one speaker


def _serve(pipe: Connection) -> None:
    """Make calls until the other side closes the pipe."""
    _start(None)
    while True:
        try:
            function, arguments = pipe.recv()
            answer = Answer(function(*arguments))
        except EOFError:
            return
        except KeyboardInterrupt:  # asked to stop, with everything in order
            sys.exit(_STOPPED)
        except Exception as error:
            answer = Answer(error=one_line(error))
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:
            pipe.send(Answer(error=f"its result cannot be sent: {one_line(error)}"))


def death(code: int | None) -> str:
    """How a process ended, from its exit code; negative: the signal that killed it."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        killed = name == "SIGKILL"  # which Windows lacks
        hint = ", as it happens when memory is short" if killed else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with exit code {code}"


def _start(initializer: Callable[[], None] | None) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    quiet_worker()
    if initializer is not None:
        initializer()


def _leave_with_parent() -> None:
    """End this process once its parent is gone: a pool's workers would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Processes started inside have these variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
