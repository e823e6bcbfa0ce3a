"""What compression cost every group, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evenface.cli.common import print_table
from evenface.console import out
from evenface.evaluate.text import interval, parts

if TYPE_CHECKING:
    from evenface.export.compression import Compression


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
            parts(columns[0][group].before)[0],
            *(
                f"{parts(of[group].after)[0]} {interval(of[group].change, sign=True)}"
                for of in columns
            ),
        )
        for group in columns[0]
    ]
    out().print("accuracy in %, [95 % interval of the change]:", markup=False, highlight=False)
    print_table(("group", before, *after), rows)
