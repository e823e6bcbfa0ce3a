"""What an executor says about its calls, gathered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenface.study.executors import Call, Executor


class Told:
    """What an executor says about its calls."""

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self.failures: dict[int, tuple[str, int]] = {}
        self.looks = 0

    def finished(self, number: int, result: Any) -> None:
        assert number not in self.results
        self.results[number] = result

    def failed(self, number: int, error: str, attempts: int) -> None:
        assert number not in self.failures
        self.failures[number] = (error, attempts)

    def watch(self) -> None:
        self.looks += 1


def run(executor: Executor, calls: list[Call], folder: Path = Path()) -> Told:
    told = Told()
    executor.run(calls, folder=folder, finished=told.finished, failed=told.failed, watch=told.watch)
    return told
