"""What is shown of a training while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from evenface.console import Ticker, progress
from evenface.errors import MissingDependencyError
from evenface.train.recipe import TrainRecipe
from evenface.train.run import TENSORBOARD_NAME


class Monitor:
    """The progress bar, and TensorBoard's files where the recipe asks for them.

    Args:
        ticker: the bar, counting images; None for none.
        board: a ``SummaryWriter``, or None.
        device: whose memory is told.
    """

    def __init__(self, ticker: Ticker | None, board: Any, device: torch.device) -> None:
        self._ticker = ticker
        self._board = board
        self._device = device
        self._images = 0
        self._since = time.monotonic()

    def advance(self, images: int) -> None:
        """Count images."""
        self._images += images
        if self._ticker:
            self._ticker.advance(images)

    def report(self, step: int, rate: float, values: Mapping[str, float]) -> None:
        """Show the values of a log line."""
        memory = memory_used(self._device)
        if self._ticker:
            losses = " ".join(f"{name} {value:.4g}" for name, value in values.items())
            self._ticker.say(f"lr {rate:.3g} {losses} memory {memory / 2**30:.2f} GiB")
        if self._board:
            now = time.monotonic()
            speed = self._images / max(now - self._since, 1e-9)
            self._images, self._since = 0, now
            shown = {"lr": rate, **values, "images per second": speed, "memory GiB": memory / 2**30}
            for name, value in shown.items():
                self._board.add_scalar(f"train/{name}", value, step)


@contextmanager
def monitor(
    recipe: TrainRecipe,
    out: Path,
    device: torch.device,
    *,
    images: int,
    done: int,
    steps_done: int,
    quiet: bool,
) -> Iterator[Monitor]:
    """A monitor of a run that is to see ``images`` and has seen ``done``.

    Raises:
        MissingDependencyError: TensorBoard is asked for and not installed.
    """
    board = _open_board(out, steps_done) if recipe.tensorboard else None
    try:
        if quiet:
            yield Monitor(None, board, device)
        else:
            with progress(f"train {recipe.name}", images, unit="images", done=done) as ticker:
                yield Monitor(ticker, board, device)
    finally:
        if board:
            board.close()


def memory_used(device: torch.device) -> int:
    """Peak bytes: allocated on a GPU, else resident of this process (0 on other than Linux)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not getrusage: there a process begins with the peak of the one that started it.
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text("ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _open_board(out: Path, steps_done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise MissingDependencyError("tensorboard", "tensorboard", "recipe.tensorboard") from None
    return SummaryWriter(str(out / TENSORBOARD_NAME), purge_step=steps_done + 1)
