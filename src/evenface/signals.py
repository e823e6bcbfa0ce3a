"""Signals as exceptions."""

from __future__ import annotations

from types import FrameType


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end.

    Not KeyboardInterrupt itself: where that has passed through ``exec``, as of a dataclass in an
    import, Python ends by SIGINT whatever the exit code.
    """


class Raiser:
    """A handler of signals that raises an exception, and remembers it.

    What is raised within an import or within compiled code may be swallowed there and end as an
    error of another kind; :attr:`raised` tells what was behind it.

    Args:
        error: what to raise.

    Attributes:
        raised: whether a signal has come.
    """

    def __init__(self, error: type[KeyboardInterrupt] = Stopped) -> None:
        self.raised = False
        self._error = error

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
        raise self._error
