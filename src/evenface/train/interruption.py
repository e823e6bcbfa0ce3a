"""Ctrl-C and SIGTERM between two steps instead of within one."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Preempted(KeyboardInterrupt):
    """A scheduler asked the process to end (SIGTERM); the same command goes on."""

    exit_code = 75
    """EX_TEMPFAIL of sysexits.h: try again."""


class Interruption:
    """While entered, the first SIGINT or SIGTERM only sets :attr:`requested` and :attr:`number`.

    A second one raises KeyboardInterrupt at once, unless ``patient``. Outside the main thread,
    where Python allows no handlers, nothing is changed.

    Args:
        patient: ignore further signals: schedulers and torchrun both send one to every process.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self.requested = False
        self.number = 0
        self._before: dict[int, Any] = {}

    @staticmethod
    def error(number: int) -> KeyboardInterrupt:
        """What to raise once everything is in order: :class:`Preempted` after SIGTERM."""
        return Preempted() if number == signal.SIGTERM else KeyboardInterrupt()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # What the surroundings chose to ignore stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and not self._patient:
            raise KeyboardInterrupt
        self.requested, self.number = True, number
