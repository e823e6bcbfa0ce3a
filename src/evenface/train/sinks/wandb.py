"""Weights & Biases, offline unless the user asks otherwise (extra ``wandb``)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenface.errors import MissingDependencyError
from evenface.files import write_text
from evenface.train.sinks.registry import SINKS, Sink, SinkRun

_PROJECT = "evenface"
_ID_NAME = "run-id"


class WeightsAndBiases:
    """A sink over a run of ``wandb``."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See :class:`Sink`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See :class:`Sink`."""
        self._run.finish()


@SINKS.register("wandb")
def open_wandb(run: SinkRun) -> Sink:
    """Writes ``wandb/`` in the run folder; ``wandb sync`` uploads it.

    Nothing leaves the machine unless ``WANDB_MODE`` is set to "online": the mode is "offline", and
    wandb's own reports of errors are off. Code, git state and console are never recorded. An
    interrupted training goes on in the same W&B run.
    """
    mode = os.environ.get("WANDB_MODE") or "offline"
    if mode != "online":  # read when wandb is imported
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        import wandb
    except ModuleNotFoundError:
        raise MissingDependencyError("wandb", "wandb", "log_to: [wandb]") from None
    opened = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or _PROJECT,
        name=run.recipe.name,
        id=_run_id(run.out),
        resume="allow" if mode == "online" else None,
        dir=str(run.out),
        mode=mode,
        config=run.recipe.model_dump(mode="json"),
        save_code=False,
        settings=wandb.Settings(console="off", disable_git=True),
    )
    return WeightsAndBiases(opened)


def _run_id(out: Path) -> str:
    """The id of the W&B run of this folder, drawn once."""
    path = out / "wandb" / _ID_NAME
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, secrets.token_hex(8))
    return path.read_text("ascii").strip()
