"""evenface data verification-set: from RFW's or LFW's folders to aligned faces and .bin files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.data import Align, FaceRule, Origin, Workers, _print_table

if TYPE_CHECKING:
    from evenface.data.pair_account import VerificationReport


def verification_set(
    root: Annotated[
        Path,
        typer.Argument(
            help="RFW's folder (images/<Race>/<id>/<id>_0001.jpg and txts/<Race>/"
            "<Race>_pairs.txt), a folder <name>/<name>_0001.jpg with pairs.txt, as LFW, or the "
            "folder of the images of --pairs."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Pairs file: LFW's, CALFW's or CPLFW's, a list path path label, BFW's datatable, "
            "a table with the columns path1, path2, genuine and, if wanted, fold and group; or "
            "CFP's folder Protocol/Split/FP or FF. Default: pairs.txt in the folder."
        ),
    ] = None,
    dataset: Annotated[str, typer.Option(help="Name of the set; default: the folder's name.")] = "",
    origin: Annotated[
        Origin, typer.Option(help="real: photographs of people; synthetic: generated or rendered.")
    ] = Origin.REAL,
    licence: Annotated[str, typer.Option(help="Licence, kept with every image.")] = "unspecified",
    align: Annotated[
        Align,
        typer.Option(
            help="auto: align all images but those of 112×112 pixels, which are assumed aligned; "
            "never: resize the whole image (for crops that are already aligned)."
        ),
    ] = Align.AUTO,
    face: Annotated[
        FaceRule,
        typer.Option(
            help="Which face to take where an image has several: central (for sets of loose "
            "crops) or largest."
        ),
    ] = FaceRule.CENTRAL,
    group_attribute: Annotated[
        str, typer.Option(help="What the groups are; default: ethnicity for RFW, else group.")
    ] = "",
    max_lost_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of pairs that may be lost.")
    ] = 0.0,
    workers: Workers = None,
) -> None:
    """Prepare RFW, LFW or a set of the same layout: align, pack, and account for every pair.

    Writes <group>_test.bin for insightface's evaluation, and manifest.parquet with
    protocol.parquet for this program's. verification-report.json lists each lost pair and why.
    """
    from evenface.data.published_sets import find_published_set
    from evenface.data.verification_sets import prepare_verification_set
    from evenface.evaluate.prepared_sets import write_protocol

    prepared = prepare_verification_set(
        find_published_set(root, pairs, attribute=group_attribute),
        out,
        dataset=dataset or root.resolve().name,
        licence=licence,
        origin=origin.value,
        align=align.value,
        face=face.value,
        max_lost_rate=max_lost_rate,
        workers=workers,
    )
    write_protocol(prepared, out)
    _print_account(prepared.report, out)


def _print_account(report: VerificationReport, out: Path) -> None:
    from evenface.console import note

    rows = [
        (
            name,
            f"{group.pairs:,}",
            f"{group.genuine:,}",
            f"{group.lost:,}",
            str(group.folds or "none"),
            f"{group.images:,}",
        )
        for name, group in report.groups.items()
    ]
    _print_table(("group", "pairs", "genuine", "lost", "folds", "images"), rows)
    for remark in report.remarks:
        note(remark)
    if crossing := report.identities_in_several_groups:
        name, groups = next(iter(crossing.items()))
        note(
            f"{len(crossing):,} identities are in several groups, e.g. {name!r} in "
            f"{' and '.join(groups)}; all are listed in the report"
        )
    note(f"{out}: {report.pairs - report.pairs_lost:,} of {report.pairs:,} pairs")
