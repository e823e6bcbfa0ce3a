"""Names of executors."""

from __future__ import annotations

from collections.abc import Callable

from evenface.errors import UsageError
from evenface.registry import Registry
from evenface.study.executors.base import Executor
from evenface.study.executors.local import LocalExecutor
from evenface.study.executors.ray import RayExecutor

EXECUTORS: Registry[Callable[[int | None], Executor]] = Registry("executor")
"""Name → what makes the executor, given how many calls may be under way at once (None: as fits)."""

EXECUTORS.register("local")(LocalExecutor)
EXECUTORS.register("ray")(RayExecutor)


def create_executor(name: str, workers: int | None = None) -> Executor:
    """The executor called ``name``.

    Args:
        name: one of :data:`EXECUTORS`.
        workers: calls at once; None for as many as there is room for.

    Raises:
        UsageError: no such executor, or it cannot be used here.
    """
    try:
        make = EXECUTORS[name]
    except ValueError as error:
        raise UsageError(str(error)) from None
    return make(workers)
