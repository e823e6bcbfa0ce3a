"""TensorBoard: event files in the run folder (extra ``tensorboard``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenface.errors import MissingDependencyError
from evenface.train.run import TENSORBOARD_NAME
from evenface.train.sinks.registry import SINKS, Sink, SinkRun


class TensorBoard:
    """A sink over ``torch.utils.tensorboard.SummaryWriter``."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See :class:`Sink`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See :class:`Sink`."""
        self._writer.close()


@SINKS.register("tensorboard")
def open_tensorboard(run: SinkRun) -> Sink:
    """Writes ``tensorboard/`` in the run folder."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "tensorboard", "tensorboard", "log_to: [tensorboard]"
        ) from None
    return TensorBoard(
        SummaryWriter(str(run.out / TENSORBOARD_NAME), purge_step=run.steps_done + 1)
    )
