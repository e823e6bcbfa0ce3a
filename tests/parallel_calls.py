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


def environment(*names: str) -> list[str | None]:
    return [os.environ.get(name) for name in names]


def fail(message: str) -> None:
    raise DataError(message)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_politely(folder: Path) -> None:
    """Wait for SIGTERM or SIGINT and note that it came, as a training that saves its checkpoint."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ((folder / "stopped").touch(), sys.exit(1)))
    (folder / "began").touch()
    for _ in range(600):
        time.sleep(0.1)


def write(folder: Path, text: str) -> None:
    (folder / "made").write_text(text)


def count(folder: Path, text: str) -> int:
    """How often this was called with the folder, this call included; noted in a file."""
    with open(folder / "calls", "a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return len((folder / "calls").read_text("utf-8").splitlines())


def end(folder: Path, how: str, times: int = 99) -> str:
    """Fail in the way called ``how`` the first ``times`` times."""
    if count(folder, how) <= times:
        match how:
            case "raise":
                raise DataError("on purpose")
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
    return how


def end_stage(folder: Path, place: Path, how: str, times: int) -> None:
    """A stage's builder that fails as :func:`end` does."""
    end(place, how, times)


def write_slowly(folder: Path, text: str, seconds: float = 0.05) -> None:
    """Write two halves, going on where an earlier call was killed."""
    count(folder, "begun")
    for half in range(2):
        part = folder / f"half-{half}"
        if not part.exists():
            time.sleep(seconds)
            part.write_text(f"{text}{half}")
