"""What the person at the terminal sees: one console, progress with rate and ETA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


@cache
def out() -> Console:
    """Results go to standard output."""
    return Console(soft_wrap=True)


@cache
def err() -> Console:
    """Progress, notes and errors go to standard error, so that output can be piped."""
    return Console(stderr=True, soft_wrap=True)


def note(message: str) -> None:
    """Say something about the course of things (standard error)."""
    err().print(message, style="dim", markup=False, highlight=False)


def warn(message: str) -> None:
    """Warn on standard error."""
    err().print(f"warning: {message}", style="yellow", markup=False, highlight=False)


class _RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text("–/s", style="progress.data.speed")
        unit = task.fields.get("unit", "")
        return Text(f"{speed:,.1f} {unit}/s", style="progress.data.speed")


class Ticker:
    """Handle to one running progress bar."""

    def __init__(
        self, bar: Progress, description: str, total: int | None, unit: str, done: int
    ) -> None:
        self._bar = bar
        self._id = bar.add_task(description, total=total, completed=done, unit=unit, state="")
        self._said = done

    def advance(self, amount: int = 1) -> None:
        """Count ``amount`` more items as done."""
        self._bar.update(self._id, advance=amount)
        if not err().is_terminal:
            self._say_every_tenth()

    def say(self, state: str) -> None:
        """Show ``state`` beside the bar until the next call."""
        self._bar.update(self._id, state=state)

    def _say_every_tenth(self) -> None:
        task = self._bar.tasks[0]
        if not task.total or task.completed - self._said < task.total / 10:
            return
        self._said = int(task.completed)
        rate = f", {task.speed:,.1f} {task.fields['unit']}/s" if task.speed else ""
        eta = f", ETA {task.time_remaining:.0f} s" if task.time_remaining else ""
        state = f", {task.fields['state']}" if task.fields["state"] else ""
        note(f"{task.description}: {int(task.completed):,}/{int(task.total):,}{rate}{eta}{state}")


@contextmanager
def progress(
    description: str, total: int | None, *, unit: str = "", done: int = 0
) -> Iterator[Ticker]:
    """A progress bar on standard error with count, rate and ETA.

    Args:
        description: text before the bar.
        total: number of items, or None when unknown.
        unit: what is counted, for the rate ("images" gives "31.2 images/s").
        done: items finished before this run (a resumed job); they do not count in the rate.

    Where standard error is no terminal, a line is printed at every tenth instead of a bar.
    """
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=err(),
        disable=not err().is_terminal,
    ) as bar:
        yield Ticker(bar, description, total, unit, done)
