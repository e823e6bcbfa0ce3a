"""A running Ray cluster: tasks of one core, or one GPU, wherever there is room."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenface.errors import EvenfaceError, MissingDependencyError, UsageError
from evenface.parallel import SINGLE_THREADED, Answer, one_line
from evenface.study.executors.base import Call, End, Executor

_SAVING = 120.0
"""Seconds that calls have to save and end when all is to stop."""
_PROBING = 60.0
"""Seconds in which every node must have answered whether it sees the study's folder."""


class RayExecutor(Executor):
    """Ray tasks on the nodes of a cluster, which must share the study's folder at the same path.

    A call whose node is lost is made again elsewhere, and goes on from its checkpoint.

    Args:
        workers: calls at once; None: as many as the cluster has room for, which may grow.
        address: of the cluster; "auto": the one that this machine belongs to.
        attempts, every: see :class:`~evenface.study.executors.base.Executor`.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str = "auto",
        attempts: int = 2,
        every: float = 1.0,
    ) -> None:
        super().__init__(attempts=attempts, every=every)
        try:
            import ray  # noqa: F401
        except ModuleNotFoundError:
            raise MissingDependencyError("ray", "ray", "the executor 'ray'") from None
        self.workers = workers
        self.address = address

    @contextmanager
    def crew(self, folder: Path) -> Iterator[_RayCrew]:
        with _connected(self.address), _token(folder) as token:
            _check_shared(token)
            crew = _RayCrew(self.workers or sys.maxsize, token)
            try:
                yield crew
            except BaseException:
                crew.stop()
                raise


class _RayCrew:
    """Tasks under way.

    Args:
        most: how many at once.
        token: a file that every node must see.
    """

    def __init__(self, most: int, token: Path) -> None:
        import ray

        self._most = most
        self._token = token
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_make)
        self._tasks: dict[Any, tuple[int, set[str]]] = {}  # → number, nodes alive when it began

    def room(self) -> int:
        return self._most - len(self._tasks)

    def begin(self, number: int, call: Call) -> None:
        task = self._task.remote(call.function, call.arguments, self._token, Path.cwd())
        self._tasks[task] = (number, _alive())

    def ended(self, timeout: float) -> list[End]:
        import ray

        ready, _ = ray.wait(list(self._tasks), timeout=timeout)
        return [self._end(task) for task in ready]

    def stop(self) -> None:
        """Interrupt the tasks, as Ctrl-C would: a training saves its checkpoint first."""
        import ray

        for task in self._tasks:
            ray.cancel(task, force=False)
        if self._tasks:
            ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=_SAVING)

    def _end(self, task: Any) -> End:
        import ray

        number, nodes = self._tasks.pop(task)
        try:
            answer: Answer = ray.get(task)
        except ray.exceptions.RayError as error:
            if nodes - _alive():
                return End(number, error="its node was lost", lost=True)
            if isinstance(error, ray.exceptions.WorkerCrashedError):
                return End(number, error="its process died (killed, or out of memory)")
            return End(number, error=one_line(error))
        return End(number, answer.result, answer.error)


def _make(
    function: Any, arguments: tuple[Any, ...], token: Path, working_directory: Path
) -> Answer:
    """Make a call in a process of Ray."""
    if not token.exists():
        return Answer(error=_unshared(token.parent, platform.node()))
    os.environ.update(SINGLE_THREADED)
    if working_directory.is_dir():  # paths may be relative to it
        os.chdir(working_directory)
    try:
        return Answer(function(*arguments))
    except Exception as error:
        return Answer(error=one_line(error))


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connected to the cluster; left as it was where this process was connected before."""
    import ray

    if ray.is_initialized():
        yield
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise UsageError(
            f"no Ray cluster was found ({one_line(error)}). Start one with 'ray start --head', add "
            "machines with 'ray start --address=HOST:PORT', and run the command on one of them"
        ) from None
    finally:
        if main:  # Ray sets a handler of its own, which would leave without stopping anything
            signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _token(folder: Path) -> Iterator[Path]:
    """A file in the study's folder that nothing else has."""
    path = folder.absolute() / f".shared-{secrets.token_hex(8)}"
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _check_shared(token: Path) -> None:
    """UsageError if a node of the cluster does not see the study's folder."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(_sees)
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    asked = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            token
        ): name
        for node, name in nodes.items()
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_PROBING)
    if silent:
        names = ", ".join(sorted(asked[task] for task in silent))
        raise EvenfaceError(f"nodes of the Ray cluster do not answer: {names}")
    for task in answered:
        try:
            sees = ray.get(task)
        except ray.exceptions.RayError as error:
            raise EvenfaceError(
                f"{asked[task]}: cannot work there: {one_line(error)}. Every node needs the same "
                "evenface, with its extras"
            ) from None
        if not sees:
            raise UsageError(_unshared(token.parent, asked[task]))


def _sees(token: Path) -> bool:
    return token.exists()


def _unshared(folder: Path, node: str) -> str:
    return (
        f"the node {node} does not see {folder}: with Ray, all nodes must share the study's folder "
        "at the same path. Choose an --out on a shared file system"
    )


def _alive() -> set[str]:
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}
