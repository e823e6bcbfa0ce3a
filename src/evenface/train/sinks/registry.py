"""What sinks share: names, and the interface of two methods.

To add one, write a function under ``@SINKS.register`` in a module of this folder. It imports its
package inside, so that others need not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evenface.errors import UsageError
from evenface.registry import Registry
from evenface.train.recipe import TrainRecipe


class Sink(Protocol):
    """Takes a training's values."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take values by name (``train/loss``) as of a step (from 1); steps do not decrease."""

    def close(self) -> None:
        """Write out what is pending; called once, also after an error."""


@dataclass(frozen=True)
class SinkRun:
    """The training whose values a sink gets.

    Attributes:
        out: the run folder.
        recipe: what is trained.
        steps_done: steps before this process; later ones that an earlier process wrote are void.
    """

    out: Path
    recipe: TrainRecipe
    steps_done: int


SINKS: Registry[Callable[[SinkRun], Sink]] = Registry("sink")


def check_sinks(recipe: TrainRecipe) -> None:
    """UsageError if ``recipe.log_to`` names a sink that does not exist."""
    for name in recipe.log_to:
        if name not in SINKS:
            known = ", ".join(SINKS.names())
            raise UsageError(f"recipe '{recipe.name}': log_to: no sink '{name}'; known: {known}")


def open_sinks(names: Iterable[str], run: SinkRun, stack: ExitStack) -> list[Sink]:
    """The sinks of these names, which the stack closes.

    Raises:
        MissingDependencyError: the package of one is not installed.
    """
    sinks = []
    for name in names:
        sinks.append(sink := SINKS[name](run))
        stack.callback(sink.close)
    return sinks
