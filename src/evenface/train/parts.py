"""What a recipe can name: heads, distillation losses and samplers, with options and needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from evenface.distill.registry import DISTILLATIONS, LOSS_ARGUMENTS
from evenface.models.registry import HEAD_ARGUMENTS, HEADS
from evenface.train.samplers import list_samplers

ARGUMENTS = LOSS_ARGUMENTS | HEAD_ARGUMENTS
"""Parameters that no recipe sets as options."""


def describe_losses() -> str:
    """A text of three tables: heads with their options' defaults, distillation losses with weight,
    options, needs and source, and samplers."""
    heads = [(name, _options(HEADS[name])) for name in HEADS]
    losses = [("name", "weight", "options", "needs, besides embeddings", "source")]
    for name in DISTILLATIONS:
        loss = DISTILLATIONS[name]
        weight = inspect.signature(loss).parameters["weight"].default
        needs = ", ".join(sorted(loss.needs)) or "-"
        losses.append((name, f"{weight:g}", _options(loss), needs, loss.source))
    return "\n".join(
        [
            "heads",
            *_table([("name", "options"), *heads]),
            "",
            "distillation losses",
            *_table(losses),
            "",
            "samplers: " + ", ".join(list_samplers()),
        ]
    )


def _options(factory: Callable[..., Any]) -> str:
    words = []
    for name, parameter in inspect.signature(factory).parameters.items():
        if name in ARGUMENTS:
            continue
        default = parameter.default
        if default is parameter.empty:
            words.append(f"{name} (required)")
        else:
            words.append(
                f"{name} {default:g}" if type(default) in (int, float) else f"{name} {default}"
            )
    return ", ".join(words) or "-"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
