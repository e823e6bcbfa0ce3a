"""One stage of a study: a folder built from declared inputs, and what is written in it about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evenface.errors import DataError
from evenface.files import fingerprint, read_json, write_json
from evenface.lock import FolderLock

MARK_NAME = "stage.json"
LOCK_NAME = ".stage-lock"
_PATIENCE = 120.0
"""Seconds to wait for a process that was stopped elsewhere to leave the folder."""


@dataclass(frozen=True)
class Stage:
    """One of several stages that do not depend on each other.

    Attributes:
        name, inputs, at: as for :meth:`evenface.study.stages.StageLog.run`.
        build: function of a module, called as ``build(folder, *arguments)`` in another process;
            must continue what it finds there.
        arguments: picklable.
        portable: as for :meth:`~evenface.study.stages.StageLog.run`.
        nameless: the folder is the same under whatever name: it may be taken from beside ``at``.
    """

    name: str
    inputs: dict[str, Any]
    at: str
    build: Callable[..., Any]
    arguments: tuple[Any, ...]
    portable: bool = True
    nameless: bool = False

    @property
    def key(self) -> str:
        """Fingerprint of the inputs."""
        return fingerprint(self.inputs)


@dataclass(frozen=True)
class Mark:
    """Content of ``stage.json`` in a stage's folder, written by whoever is at the stage.

    Attributes:
        key: fingerprint of the inputs that the folder is built from.
        finished: whether the folder is complete.
        seconds: spent on it, interrupted attempts included.
        error, attempts: of the last process that gave up: what went wrong, how often it tried.
    """

    key: str
    finished: bool = False
    seconds: float = 0.0
    error: str | None = None
    attempts: int = 0

    @classmethod
    def read(cls, folder: Path) -> Mark | None:
        """The folder's mark; None where there is none. DataError for a damaged one."""
        path = folder / MARK_NAME
        if not path.is_file():
            return None
        content = read_json(path)
        try:
            mark = cls(**content)
            float(mark.seconds), int(mark.attempts)
            if not isinstance(mark.key, str) or not isinstance(mark.finished, bool):
                raise TypeError("key or finished is of another type")
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{path}: damaged ({error}). Delete {folder}: rerunning the command builds it again"
            ) from None
        return mark

    def write(self, folder: Path) -> None:
        """Write it into the stage's folder."""
        write_json(folder / MARK_NAME, asdict(self))


def carry_out(
    folder: Path,
    key: str,
    build: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: Mapping[str, Any] | None = None,
) -> float:
    """Build a stage's folder under its lock, unless another process has finished it meanwhile.

    Returns:
        Seconds spent on it in all.

    Raises:
        UsageError: another process is at it, for minutes.
        Exception: what ``build`` raises.
    """
    doing = "is at this stage. Wait for it"
    with FolderLock(folder, doing=doing, name=LOCK_NAME, patience=_PATIENCE):
        mark = Mark.read(folder)
        if mark is None or mark.key != key:
            mark = Mark(key)
        if mark.finished:
            return mark.seconds
        mark = replace(mark, error=None, attempts=0)
        mark.write(folder)
        start = time.monotonic()
        finished = False
        try:
            build(folder, *arguments, **(options or {}))
            finished = True
        finally:
            seconds = round(mark.seconds + time.monotonic() - start, 2)
            replace(mark, finished=finished, seconds=seconds).write(folder)
        return seconds
