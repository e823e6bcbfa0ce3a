"""What draws results: it registers here, so that what computes them imports no report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol


class Display(Protocol):
    """Draws evaluations and studies, and writes their pages."""

    def plot(self, evaluation: Any, what: str, *, ax: Any = None) -> Any:
        """See :meth:`evenface.Evaluation.plot`."""

    def report(self, models: Mapping[str, Any], folder: Path) -> Path:
        """See :meth:`evenface.Evaluation.report`."""

    def study_report(self, folder: Path) -> Path:
        """See :func:`evenface.report.from_python.study_report`."""

    def study_answer(self, results: Any) -> str:
        """See :meth:`evenface.study.from_python.StudyResults.answer`."""


_registered: list[Callable[[], Display]] = []


def register(load: Callable[[], Display]) -> None:
    """Set what draws results; ``load`` is called when something is to be drawn."""
    _registered[:] = [load]


def display() -> Display:
    """What draws results."""
    return _registered[0]()
