"""What draws evaluations: it registers here, so that evaluating imports no report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from evenface.evaluate.results import Evaluation


class Display(Protocol):
    """Draws evaluations and writes their pages."""

    def plot(self, evaluation: Evaluation, what: str, *, ax: Any = None) -> Any:
        """See :meth:`evenface.Evaluation.plot`."""

    def report(self, models: Mapping[str, Evaluation], folder: Path) -> Path:
        """See :meth:`evenface.Evaluation.report`."""


_registered: list[Callable[[], Display]] = []


def register(load: Callable[[], Display]) -> None:
    """Set what draws evaluations; ``load`` is called when something is to be drawn."""
    _registered[:] = [load]


def display() -> Display:
    """What draws evaluations."""
    return _registered[0]()
