"""Processes on this machine, as many at once as its cores or GPUs allow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path

from evenface.parallel import Worker, usable_cores
from evenface.study.executors.base import Call, End, Executor

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class LocalExecutor(Executor):
    """One process a worker; with GPUs, each is pinned to one of them.

    Args:
        workers: processes at once; None: :func:`default_workers`.
        attempts, every: see :class:`~evenface.study.executors.base.Executor`.
    """

    def __init__(
        self, workers: int | None = None, *, attempts: int = 2, every: float = 1.0
    ) -> None:
        super().__init__(attempts=attempts, every=every)
        self.workers = workers

    @contextmanager
    def crew(self, folder: Path) -> Iterator[_LocalCrew]:
        gpus = visible_gpus()
        workers = self.workers or len(gpus) or usable_cores()
        crew = _LocalCrew([{_VISIBLE: gpus[i % len(gpus)]} if gpus else {} for i in range(workers)])
        try:
            yield crew
        except BaseException:
            crew.ask_to_stop()
            raise
        finally:
            crew.close()


class _LocalCrew:
    """Workers, started when there is something to do for them.

    Args:
        places: the environment of each.
    """

    def __init__(self, places: list[Mapping[str, str]]) -> None:
        self._places = places
        self._workers: dict[int, Worker] = {}
        self._at: dict[int, int] = {}  # place → number of the call

    def room(self) -> int:
        return len(self._places) - len(self._at)

    def begin(self, number: int, call: Call) -> None:
        place = next(place for place in range(len(self._places)) if place not in self._at)
        if place not in self._workers:
            self._workers[place] = Worker(self._places[place])
        self._at[place] = number
        self._workers[place].begin(call.function, call.arguments)

    def ended(self, timeout: float) -> list[End]:
        events = {event: place for place in self._at for event in self._workers[place].events}
        ends = []
        for place in {events[event] for event in wait(list(events), timeout)}:
            answer = self._workers[place].answer()
            ends.append(End(self._at.pop(place), answer.result, answer.error))
            if not answer.alive:
                self._workers.pop(place).close()
        return ends

    def ask_to_stop(self) -> None:
        for worker in self._workers.values():
            worker.ask_to_stop()

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()


def visible_gpus() -> list[str]:
    """GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names each."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]
    return given[:count] or [str(number) for number in range(count)]


def default_workers() -> int:
    """Processes at once: one a GPU, or one a core, which a small network uses well."""
    return len(visible_gpus()) or usable_cores()
