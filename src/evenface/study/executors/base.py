"""Independent calls, made somewhere: failures isolated, retried, then told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evenface.console import warn


@dataclass(frozen=True)
class Call:
    """A function of a module with picklable arguments, which may be called again after a failure.

    Attributes:
        name: what it is called in messages.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class End:
    """How a call ended.

    Attributes:
        number: which one.
        result: what it returned.
        error: None, or what went wrong, in one line.
        lost: it did not fail but lost what it ran on: not an attempt of its own.
    """

    number: int
    result: Any = None
    error: str | None = None
    lost: bool = False


class Crew(Protocol):
    """Processes that make calls, while an executor is at work."""

    def room(self) -> int:
        """How many more calls can begin now."""
        ...

    def begin(self, number: int, call: Call) -> None:
        """Begin a call. ``number`` names it in its :class:`End`."""
        ...

    def ended(self, timeout: float) -> list[End]:
        """Calls that ended, waiting ``timeout`` seconds at most for the first."""
        ...


class Executor(ABC):
    """Makes independent calls; subclasses say where, by :meth:`crew`.

    Args:
        attempts: how often a call that fails is made in all.
        every: seconds between two looks at what is under way.
    """

    workers: int | None = None
    """Calls at once; None: as many as there is room for."""

    def __init__(self, *, attempts: int = 2, every: float = 1.0) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {attempts}")
        self.attempts = attempts
        self.every = every

    @abstractmethod
    def crew(self, folder: Path) -> AbstractContextManager[Crew]:
        """Processes to make calls. Leaving early asks those at work to stop, politely.

        Args:
            folder: the study's, which the processes must see.
        """

    def run(
        self,
        calls: Sequence[Call],
        *,
        folder: Path,
        finished: Callable[[int, Any], None],
        failed: Callable[[int, str, int], None],
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Make all calls. One that raises, or whose process dies, does not stop the others.

        It is made again after the others that wait, until its attempts are used up.

        Args:
            calls: what to do, in the order to begin in.
            folder: where the calls read and write; on several machines, it must be shared.
            finished: called here with the index of each call that returned, and its result.
            failed: called here with the index of each call that failed for good, the error in one
                line, and the number of attempts.
            watch: called here about once in :attr:`every` seconds, and at the end.
        """
        if not calls:
            return
        waiting = deque(range(len(calls)))
        attempts = [0] * len(calls)
        losses = [0] * len(calls)
        left = len(calls)
        with self.crew(folder) as crew:
            while left:
                for _ in range(min(crew.room(), len(waiting))):
                    number = waiting.popleft()
                    attempts[number] += 1
                    crew.begin(number, calls[number])
                for end in crew.ended(self.every):
                    number, again = end.number, False
                    if end.error is not None:
                        if end.lost and losses[number] < _MOST_LOSSES:
                            losses[number] += 1
                            attempts[number] -= 1
                        again = attempts[number] < self.attempts
                    if again:
                        warn(f"{calls[number].name}: {end.error}; it is tried again")
                        waiting.append(number)
                        continue
                    left -= 1
                    if end.error is None:
                        finished(number, end.result)
                    else:
                        failed(number, end.error, attempts[number])
                watch()


_MOST_LOSSES = 10
"""How often a call may lose its machine before that counts as its own failure."""
