"""One process at a time in a folder."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from evenface.errors import DataError, UsageError
from evenface.files import read_json, whole_folder

try:
    import fcntl
except ImportError:  # Windows: no locks
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".lock"

_BRIEFLY = 0.3
"""Seconds to try again: whoever asks whether a folder is locked holds its lock for a moment."""


class FolderLock:
    """Holds a folder's lock while entered. The system frees it when the process dies, however.

    The lock's file exists only while it is held (a killed process leaves its own, unlocked), and so
    does a folder that was made for it and stayed empty.

    Args:
        folder: made where there is none, unless ``beside``.
        doing: what the holder is about, for the message.
        name: of the lock's file.
        patience: seconds to wait for another holder.
        beside: the lock lies beside the folder, which appears as a whole when it is written.

    Raises:
        UsageError: on entry, when another process (or thread) is at work there, or when ``folder``
            is a file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        doing: str = "is training there. Wait for it, or choose another --out",
        name: str = LOCK_NAME,
        patience: float = _BRIEFLY,
        beside: bool = False,
    ) -> None:
        self._folder = folder
        if beside:
            target = Path(os.path.realpath(folder))  # "." has no name
            self._path = target.with_name(f".{target.name}{name}")
        else:
            self._path = folder / name
        self._doing = doing
        self._patience = patience

    def __enter__(self) -> Self:
        if self._folder.exists() and not self._folder.is_dir():
            raise UsageError(f"{self._folder}: is a file; a folder is needed")
        self._made = not self._path.parent.exists()
        give_up = time.monotonic() + self._patience
        pause = 0.001
        while not self._take():
            if time.monotonic() < give_up:
                time.sleep(pause)
                pause = min(2 * pause, 0.1)
                continue
            holder = _named(self._path)
            raise UsageError(f"{self._folder}: {holder} {self._doing}")
        self._file.write(f"process {os.getpid()} on {platform.node()}")
        self._file.flush()
        return self

    def _take(self) -> bool:
        """Open and lock the file; False where another process holds it, or has just removed it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115
        except FileNotFoundError:  # the last holder has just removed the folder that it made
            return False
        if _try_lock(self._file.fileno()) and _is_at(self._file.fileno(), self._path):
            self._file.truncate(0)
            return True
        self._file.close()
        return False

    def __exit__(self, *error: object) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()
        if self._made:
            with suppress(OSError):  # not empty
                self._path.parent.rmdir()


@contextmanager
def written_together(out: Path, report: Any, name: str) -> Iterator[Path]:
    """Yield where to write a few files that lie beside a report, under the lock of ``out``.

    Args:
        out: a folder that does not exist, is empty, or holds the same report.
        report: what is to be written, as JSON.
        name: of the report's file.

    Raises:
        DataError: ``out`` holds something else.
        UsageError: another process writes it.
    """
    with FolderLock(out, doing="is writing it. Wait for it, or choose another folder", beside=True):
        if out.exists() and any(out.iterdir()):
            held = out / name
            if not held.is_file() or read_json(held) != report:
                raise DataError(f"{out}: holds something else already. Choose a new folder")
        with whole_folder(out) as folder:  # a sibling at first: relative paths hold in either
            yield folder


def lock_holder(folder: Path, *, name: str = LOCK_NAME) -> str | None:
    """Who holds the folder's lock at this moment; None: nobody."""
    try:
        with open(folder / name, encoding="utf-8") as file:
            if _try_lock(file.fileno(), shared=True):
                return None
            return file.read().strip() or "another process"
    except OSError:  # no such file, or not ours to read
        return None


def _named(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip() or "another process"
    except OSError:
        return "another process"


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
