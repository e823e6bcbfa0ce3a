"""What the person at the terminal sees: one console, progress with rate and ETA, durations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
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
)
from rich.text import Text

SILENCE_SECONDS = 30.0
"""Longest silence of long work where standard error is no terminal."""


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
    _pulse.said()
    err().print(message, style="dim", markup=False, highlight=False)


def warn(message: str) -> None:
    """Warn on standard error."""
    _pulse.said()
    err().print(f"warning: {message}", style="yellow", markup=False, highlight=False)


def duration(seconds: float) -> str:
    """Seconds as "0:31", "25:46" or "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Pulse:
    """A thread that says what is under way whenever nothing was said for a while."""

    def __init__(self) -> None:
        self._under_way: list[Callable[[], str]] = []
        self._said = 0.0
        self._over = threading.Event()

    def said(self) -> None:
        """Something was printed just now."""
        self._said = time.monotonic()

    def begin(self, text: Callable[[], str]) -> None:
        """Add work; the newest speaks."""
        self._under_way.append(text)
        if len(self._under_way) == 1:
            self.said()
            self._over = threading.Event()
            threading.Thread(target=self._beat, args=(self._over,), daemon=True).start()

    def end(self, text: Callable[[], str]) -> None:
        """Remove work."""
        self._under_way.remove(text)
        if not self._under_way:
            self._over.set()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(max(0.01, self._said + SILENCE_SECONDS - time.monotonic())):
            newest = self._under_way[-1:]  # empty between the last end and `over`
            if newest and time.monotonic() >= self._said + SILENCE_SECONDS:
                note(newest[0]())


_pulse = _Pulse()


@contextmanager
def heartbeat(what: str | Callable[[], str]) -> Iterator[None]:
    """Print a line whenever 30 seconds have passed without one, unless on a terminal.

    Where several are under way, the innermost speaks.

    Args:
        what: the work ("evaluate" gives "evaluate: still running, 0:31"), or what makes the line.
    """
    if err().is_terminal:
        yield
        return
    begun = time.monotonic()

    def text() -> str:
        if isinstance(what, str):
            return f"{what}: still running, {duration(time.monotonic() - begun)}"
        return what()

    _pulse.begin(text)
    try:
        yield
    finally:
        _pulse.end(text)


class _RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text("–/s", style="progress.data.speed")
        unit = task.fields.get("unit", "")
        return Text(f"{speed:,.1f} {unit}/s", style="progress.data.speed")


class _DurationColumn(ProgressColumn):
    """Time since the start, or time left."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def render(self, task: Task) -> Text:
        seconds = getattr(task, self._name)
        return Text("–:––" if seconds is None else duration(seconds), style="progress.elapsed")


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
        task = self._bar.tasks[0]
        tenth = task.total and task.completed - self._said >= task.total / 10
        if tenth and not err().is_terminal:
            note(self.line())

    def say(self, state: str) -> None:
        """Show ``state`` beside the bar until the next call."""
        self._bar.update(self._id, state=state)

    def line(self) -> str:
        """How far it is, in words: what a bar shows."""
        task = self._bar.tasks[0]
        self._said = int(task.completed)
        unit = task.fields["unit"]
        total = f"/{int(task.total):,}" if task.total else f" {unit}".rstrip()
        parts = [f"{task.description}: {int(task.completed):,}{total}"]
        if task.speed:
            parts.append(f"{task.speed:,.1f} {unit}/s")
        if task.time_remaining:
            parts.append(f"ETA {duration(task.time_remaining)}")
        elif not task.finished:
            parts.append(f"{duration(task.elapsed or 0)} so far")
        if task.fields["state"]:
            parts.append(task.fields["state"])
        return ", ".join(parts)


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

    Where standard error is no terminal, a line is printed at every tenth, and every 30 seconds,
    instead of a bar.
    """
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        _DurationColumn("elapsed"),
        TextColumn("ETA"),
        _DurationColumn("time_remaining"),
        TextColumn("{task.fields[state]}", markup=False),
        console=err(),
        disable=not err().is_terminal,
    ) as bar:
        ticker = Ticker(bar, description, total, unit, done)
        with heartbeat(ticker.line):
            yield ticker
