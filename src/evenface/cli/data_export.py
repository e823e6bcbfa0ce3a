"""evenface data export: write a data set in another program's format."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.common import labelled_pairs, names_of
from evenface.cli.data import Seed, Workers

if TYPE_CHECKING:
    from evenface.data.manifest import Manifest
    from evenface.evaluate.protocols import Protocol


class ExportFormat(StrEnum):
    """Formats that are written."""

    BIN = "bin"
    FOLDER = "folder"
    PARQUET = "parquet"
    RECORDIO = "recordio"
    WEBDATASET = "webdataset"


def export_data(
    path: Annotated[
        str,
        typer.Argument(
            help="A dataset folder, or a manifest file; bin: its own pairs are written where the "
            "folder holds some, draw:PATH draws new ones.",
            metavar="PATH",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="recordio: train.rec/.idx/property/.lst of insightface; bin: verification sets "
            "of insightface, one per group; folder: [<group>/]<identity>/<image>; "
            "webdataset: tar shards; parquet: as on the Hugging Face hub.",
        ),
    ],
    jpeg: Annotated[
        int | None,
        typer.Option(min=1, max=100, metavar="QUALITY", help="Write JPEG instead of lossless PNG."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Use only rows of this split; default: all rows.")
    ] = "",
    group_by: Annotated[
        str,
        typer.Option(
            "--group-by",
            metavar="A[,B…]",
            help="folder, bin: attributes that make the groups; default: the first one there is; "
            "none: no groups.",
        ),
    ] = "",
    shard_images: Annotated[
        int | None,
        typer.Option(min=1, help="webdataset, parquet: images per shard; default: 10,000."),
    ] = None,
    protocol: Annotated[
        Path | None,
        typer.Option(
            help="bin: protocol.parquet with the pairs; default: that in the folder, else "
            "pairs are drawn."
        ),
    ] = None,
    pairs_per_group: Annotated[
        int | None,
        typer.Option(
            min=2, help="bin: most pairs to draw per group. Default: 24 per person, at least 6,000."
        ),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Write a data set, manifest or mix for another program.

    The folder appears when all is written. export-report.json in it says what the format could not
    carry.
    """
    from evenface.console import note
    from evenface.data.export import Encoding, export
    from evenface.data.manifest import Manifest
    from evenface.errors import UsageError

    groups = () if group_by == "none" else names_of(group_by)
    pairs = None
    if format is ExportFormat.BIN:
        manifest, pairs = _pairs(path, protocol, groups, split, pairs_per_group, seed)
        groups = None
    elif protocol or pairs_per_group:
        raise UsageError(f"--protocol and --pairs-per-group mean nothing for '{format.value}'")
    else:
        manifest = Manifest.read(path, split=split)
    report = export(
        manifest,
        out,
        format.value,
        encoding=Encoding("jpg", jpeg) if jpeg else Encoding(),
        group_by=groups,
        shard_images=shard_images,
        protocol=pairs,
        workers=workers,
    )
    for remark in report.remarks:
        note(remark)
    note(f"{out}: {report.images:,} images of {report.identities:,} identities as {format.value}")


def _pairs(
    dataset: str,
    path: Path | None,
    groups: tuple[str, ...] | None,
    split: str,
    pairs_per_group: int | None,
    seed: int,
) -> tuple[Manifest, Protocol]:
    from evenface.data.manifest import Manifest
    from evenface.errors import UsageError
    from evenface.evaluate.protocols import Protocol

    if path is None:
        return labelled_pairs(
            dataset, group_by=groups, split=split, pairs_per_group=pairs_per_group, seed=seed
        )
    if groups is not None or pairs_per_group is not None:
        raise UsageError("the protocol holds groups and pairs: leave --group-by, --pairs-per-group")
    return Manifest.read(dataset, split=split), Protocol.read(path)
