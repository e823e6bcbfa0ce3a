"""The log of a run: one JSON object a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from evenface.errors import DataError


class RunLog:
    """Appends records; what was written after the last checkpoint is cut off first.

    Args:
        path: the file, created where there is none.
        keep: its length at the last checkpoint, 0 without one.

    Raises:
        DataError: the file is shorter than that.
    """

    def __init__(self, path: Path, keep: int) -> None:
        size = path.stat().st_size if path.exists() else 0
        if size < keep:
            raise DataError(
                f"{path}: has {size:,} bytes, but {keep:,} were written before the last "
                f"checkpoint. Restore it, or delete {path.parent} to train from the start"
            )
        self._file = open(path, "ab")  # noqa: SIM115 (closed by __exit__)
        self._file.truncate(keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, record: dict[str, Any]) -> None:
        """Append one line, visible to readers at once."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def position(self) -> int:
        """Length in bytes, all of which are on the disk."""
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)


class NoLog:
    """For processes that do not write the log."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def write(self, record: dict[str, Any]) -> None:
        """Nothing."""

    def position(self) -> int:
        """0."""
        return 0


def final_values(path: Path) -> dict[str, float]:
    """Losses and gradient norm in the last line that has them; DataError where there is none."""
    record = last_record(path)
    if not record:
        raise DataError(
            f"{path}: the log is missing or empty. Delete {path.parent} to train from the start"
        )
    return {name: value for name, value in record.items() if name not in ("step", "lr")}


def last_record(path: Path) -> dict[str, Any]:
    """The last whole line with losses, {} where there is none; another process may be writing."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    for line in reversed(lines):
        try:
            record = json.loads(line)
        except ValueError:  # half a line
            continue
        if isinstance(record, dict) and "loss" in record:
            return record
    return {}


_TAIL = 2**16
"""Bytes at the end of a log that hold some lines."""
