"""What is shown of a training while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from evenface.console import Ticker, progress
from evenface.train.recipe import TrainRecipe
from evenface.train.sinks import Sink, SinkRun, open_sinks
from evenface.train.watching import Verified


class Monitor:
    """The progress bar, and the sinks that the recipe asks for.

    Args:
        ticker: the bar, counting images; None for none.
        sinks: what gets the log's values as well.
        device: whose memory is told.
    """

    def __init__(self, ticker: Ticker | None, sinks: Sequence[Sink], device: torch.device) -> None:
        self._ticker = ticker
        self._sinks = sinks
        self._device = device
        self._images = 0
        self._since = time.monotonic()
        self._values = ""
        self._verified: dict[str, str] = {}

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
            self._values = f"lr {rate:.3g} {losses} memory {memory / 2**30:.2f} GiB"
            self._say()
        if self._sinks:
            now = time.monotonic()
            speed = self._images / max(now - self._since, 1e-9)
            self._images, self._since = 0, now
            shown = {"lr": rate, **values, "images per second": speed, "memory GiB": memory / 2**30}
            for sink in self._sinks:
                sink.write(step, {f"train/{name}": value for name, value in shown.items()})

    def verified(self, step: int, verified: Verified) -> None:
        """Show a verification; the progress line keeps each protocol's newest."""
        self._verified[verified.protocol] = f"{verified.text()} at step {step:,}"
        self._say()
        for sink in self._sinks:
            sink.write(step, verified.values())

    def _say(self) -> None:
        if self._ticker:
            self._ticker.say("; ".join(filter(None, (self._values, *self._verified.values()))))


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
        MissingDependencyError: the package of a sink is not installed.
    """
    with ExitStack() as stack:
        sinks = open_sinks(recipe.log_to, SinkRun(out, recipe, steps_done), stack)
        ticker = None
        if not quiet:
            bar = progress(f"train {recipe.name}", images, unit="images", done=done)
            ticker = stack.enter_context(bar)
        yield Monitor(ticker, sinks, device)


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
