"""One process at a time in a folder."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Self

from evenface.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows: no locks, as before
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".lock"

_BRIEFLY = 0.3
"""Seconds to try again: whoever asks whether a folder is locked holds its lock for a moment."""


class RunLock:
    """Holds the folder's lock while entered. The system frees it when the process dies, however.

    Args:
        folder: made where there is none.
        doing: what the holder is about, for the message.
        name: of the lock's file.
        patience: seconds to wait for another holder.

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
    ) -> None:
        self._path = folder / name
        self._doing = doing
        self._patience = patience

    def __enter__(self) -> Self:
        folder = self._path.parent
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: is a file; a folder is needed")
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(self._path, "a+", encoding="utf-8")
        give_up = time.monotonic() + self._patience
        pause = 0.001
        while not _try_lock(self._file.fileno()):
            if time.monotonic() < give_up:
                time.sleep(pause)
                pause = min(2 * pause, 0.1)
                continue
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise UsageError(f"{folder}: {holder} {self._doing}")
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {platform.node()}")
        self._file.flush()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.truncate(0)
        self._file.close()


def lock_holder(folder: Path, *, name: str = LOCK_NAME) -> str | None:
    """Who holds the folder's lock at this moment; None: nobody."""
    try:
        with open(folder / name, encoding="utf-8") as file:
            if _try_lock(file.fileno(), shared=True):
                return None
            return file.read().strip() or "another process"
    except OSError:  # no such file, or not ours to read
        return None


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
