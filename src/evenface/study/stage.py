"""One stage of a study: a folder built from declared inputs, and what is written in it about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from evenface.errors import DataError
from evenface.files import fingerprint, read_json, write_json
from evenface.lock import FolderLock

MARK_NAME = "stage.json"
LOCK_NAME = ".stage-lock"
_PATIENCE = 120.0
"""Seconds to wait for a process that was stopped elsewhere to leave the folder."""


@dataclass(frozen=True)
class Cost:
    """What a stage takes; None where it is not known yet.

    Attributes:
        work: what its time is proportional to, in units of its kind: images, views, pairs.
        disk: bytes that it writes.
    """

    work: float | None = None
    disk: int | None = 0


Kind = Literal[
    "assets", "faces", "overlap", "labels", "pairs", "set", "teacher", "embeddings", "gather",
    "untrained", "train", "evaluate", ""
]  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One step of a study: a folder built from declared inputs.

    Attributes:
        name: in reports, messages and ``stages.json``.
        inputs: everything the result depends on (JSON-able): parameters and fingerprints. A
            function gives them once the stages that it needs are finished, and raises
            :class:`NotBuilt` before.
        folder: relative to the study's.
        build: called as ``build(folder, *arguments)`` when there is work; must continue what it
            finds there. Stages that are built together are built in other processes: a function
            of a module and picklable arguments.
        kind: stages of one kind take time in proportion to their work.
        needs: names of the stages that come first.
        cost: what it takes.
        portable: the folder means the same in another study: nothing in it is found by a path
            that leads out of it.
        nameless: the folder is the same under any name: it may be taken from beside ``folder``.
    """

    name: str
    inputs: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    folder: str
    build: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    kind: Kind = ""
    needs: tuple[str, ...] = ()
    cost: Callable[[], Cost] = Cost
    portable: bool = False
    nameless: bool = False

    @cached_property
    def key(self) -> str:
        """Fingerprint of the inputs. NotBuilt: a stage that it needs is not finished."""
        return fingerprint(self.inputs() if callable(self.inputs) else self.inputs)


class NotBuilt(Exception):
    """A stage has to be built first; for code that only looks, not for users."""


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
