"""One process at a time in a run folder."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Self

from evenface.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows: no locks, as before
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".lock"


class RunLock:
    """Holds the folder's lock while entered. The system frees it when the process dies, however.

    Args:
        folder: made where there is none.

    Raises:
        UsageError: on entry, when another process (or thread) is at work there, or when ``folder``
            is a file.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME

    def __enter__(self) -> Self:
        folder = self._path.parent
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: is a file; --out takes a folder")
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(self._path, "a+", encoding="utf-8")
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise UsageError(
                f"{folder}: {holder} is training there. Wait for it, or choose another --out"
            ) from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {platform.node()}")
        self._file.flush()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.truncate(0)
        self._file.close()
