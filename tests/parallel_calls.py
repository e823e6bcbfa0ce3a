"""Functions that tests call in other processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from evenface.errors import DataError


def square(value: int) -> int:
    return value * value


def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


def fail(message: str) -> None:
    raise DataError(message)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_politely(folder: Path) -> None:
    """Wait for SIGTERM and note that it came, as a training that saves its checkpoint."""
    signal.signal(signal.SIGTERM, lambda *_: ((folder / "stopped").touch(), sys.exit(1)))
    (folder / "began").touch()
    time.sleep(60)


def write(folder: Path, text: str) -> None:
    (folder / "made").write_text(text)


def fail_after(folder: Path, other: Path) -> None:
    """Fail once the other stage's file is there."""
    while not (other / "made").exists():
        time.sleep(0.01)
    raise DataError("on purpose")
