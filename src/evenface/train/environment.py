"""What a run computes on: equal bits are promised where this is equal."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from evenface.console import warn
from evenface.machine import describe_machine
from evenface.train.recipe import TrainRecipe


def environment(recipe: TrainRecipe, device: torch.device) -> dict[str, Any]:
    """Machine, versions, threads and options that may change the last bits of a result."""
    cuda = device.type == "cuda"
    return {
        **describe_machine(device.type),
        "gpu": torch.cuda.get_device_name(device) if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
        "processes": dist.get_world_size() if dist.is_initialized() else 1,
        "channels_last": recipe.channels_last,
        "compile": recipe.compile,
    }


def warn_of_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Warn where an interrupted run goes on in another environment."""
    changes = [
        f"{key} {before.get(key)} → {now[key]}" for key in now if before.get(key) != now[key]
    ]
    if changes:
        warn(
            "this run began under other conditions, so its last bits may differ from those of an "
            f"uninterrupted one: {', '.join(changes)}"
        )
