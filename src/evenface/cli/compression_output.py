"""What compression cost every group, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evenface.cli.common import print_table
from evenface.console import out

if TYPE_CHECKING:
    from evenface.export.compression import Change, Compression


def print_costs(before: str, after: Mapping[str, Compression]) -> None:
    """Accuracy of every group before and after, on standard output.

    Args:
        before: heading of the network that the others are compared with.
        after: heading → what it cost, all of the same protocol; at least one.
    """
    columns = [cost.groups for cost in after.values()]
    rows = [
        (
            group,
            _percent(columns[0][group].before.value),
            *(f"{_percent(of[group].after.value)} {_interval(of[group].change)}" for of in columns),
        )
        for group in columns[0]
    ]
    out().print("accuracy in %, [95 % interval of the change]:", markup=False, highlight=False)
    print_table(("group", before, *after), rows)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _interval(change: Change) -> str:
    if change.low is None or change.high is None:
        return ""
    return f"[{100 * change.low:+.2f}, {100 * change.high:+.2f}]"
