"""Options and tables that several commands share."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evenface.data.manifest import Manifest
    from evenface.evaluate.protocols import Protocol

GroupBy = Annotated[
    str,
    typer.Option(
        "--group-by",
        metavar="A[,B…]",
        help="Attributes that define the groups, crossed; default: the first one there is.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def names_of(text: str) -> tuple[str, ...] | None:
    """Names separated by commas; None for an empty text."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) or None


def labelled_pairs(
    dataset: str,
    *,
    group_by: Sequence[str] | None = None,
    split: str = "",
    pairs_per_group: int | None = None,
    seed: int = 0,
) -> tuple[Manifest, Protocol]:
    """A data set and the pairs that its folder holds, or pairs drawn from it.

    Args:
        dataset: a data set folder or manifest; after ``draw:`` its pairs are drawn in any case.
        group_by, split, pairs_per_group, seed: of pairs that are drawn.
    """
    from evenface.evaluate.protocol_specs import ProtocolOptions, dataset_pairs

    options = ProtocolOptions(group_by, split or None, pairs_per_group, seed=seed)
    return dataset_pairs(dataset, options)


def print_table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on standard output: the first column to the left, the others to the right."""
    from rich.table import Table
    from rich.text import Text

    from evenface.console import out

    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number and any(headings) else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out().print(table)


@contextmanager
def resumable(folder: Path, *, speaks: bool = True) -> Iterator[None]:
    """A training inside that SIGTERM ended makes the command exit with 75, EX_TEMPFAIL.

    Args:
        folder: the run's, for the message.
        speaks: whether this process, of several, says so.
    """
    from evenface.console import note
    from evenface.signals import Raiser
    from evenface.train.interruption import Preempted

    preemption = Raiser(Preempted)
    signal.signal(signal.SIGTERM, preemption)
    try:
        yield
    except (Preempted, Exception) as error:
        if not (isinstance(error, Preempted) or preemption.raised):
            raise
        if speaks:
            note(
                f"{folder}: stopped by SIGTERM. Rerun the same command to continue from the last "
                "checkpoint."
            )
        raise typer.Exit(Preempted.exit_code) from None
