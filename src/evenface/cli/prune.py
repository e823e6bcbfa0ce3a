"""evenface prune: a student with fewer channels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.common import GroupBy, labelled_pairs, names_of
from evenface.errors import asking_for

if TYPE_CHECKING:
    from evenface.export.prune import PruneReport


def register(app: typer.Typer) -> None:
    """Add ``evenface prune``."""
    app.command("prune", no_args_is_help=True)(prune)


def prune(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training.")],
    keep: Annotated[float, typer.Option(help="Share of the channels to keep, e.g. 0.75.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Faces to recover on, by distillation; default: no recovery."),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(
            help="Teacher for recovery, or the folder of its embeddings of --data. Default: RUN."
        ),
    ] = "",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of 64 faces; default: 500.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Learning rate; default: 0.05.")
    ] = None,
    multiple: Annotated[
        int, typer.Option(min=1, help="Keep channels in multiples of this, rounded down.")
    ] = 4,
    audit: Annotated[
        str,
        typer.Option(
            metavar="FACES",
            help="Labelled faces of people that the model has not seen: measures every group "
            "before and after. Pairs in the folder are used; draw:FACES draws new ones.",
        ),
    ] = "",
    group_by: GroupBy = "",
    split: Annotated[str, typer.Option(help="Audit only rows of this split.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of training, pairs and resamples.")] = 0,
) -> None:
    """Prune a student's channels, then recover accuracy by distillation.

    The result is a run like any other: evaluate it, export it. Needs the extra 'prune'.
    Run the same command again to continue an interrupted recovery.
    """
    from evenface.data.manifest import Manifest
    from evenface.errors import UsageError
    from evenface.lock import FolderLock

    with asking_for("prune", "pruning"):
        from evenface.export import prune as pruning

    chosen = {"teacher": teacher, "steps": steps, "rate": rate}
    given = [name for name, value in chosen.items() if value]
    if given and data is None:
        raise UsageError(f"--{given[0]} is of the recovery: add --data DATASET")
    recovery = None
    if data is not None:
        recovery = pruning.Recovery(
            Manifest.read(data),
            teacher=teacher or None,
            steps=steps or pruning.STEPS,
            rate=rate or pruning.RATE,
        )
    groups = names_of(group_by)
    faces = pairs = None
    if audit:
        faces, pairs = labelled_pairs(audit, group_by=groups, split=split, seed=seed)
    doing = "is pruning into it. Wait for it to finish, or choose another --out"
    with FolderLock(out, doing=doing, beside=True):  # a recovery holds the one inside
        report = pruning.prune(
            run,
            out,
            keep=keep,
            multiple=multiple,
            recovery=recovery,
            audit=faces,
            audit_pairs=pairs,
            group_by=groups,
            seed=seed,
        )
    _print(report, out, pairs.pairs_statement if pairs else "")


def _print(report: PruneReport, folder: Path, pairs: str) -> None:
    from evenface.cli.compression_output import print_costs
    from evenface.console import out

    (parameters, left), (macs, fewer) = report.pruned.parameters, report.pruned.macs
    lines = [
        f"{folder}: {left / 1e6:.3f} M of {parameters / 1e6:.3f} M parameters, "
        f"{fewer / 1e6:.1f} M of {macs / 1e6:.1f} M multiplications an image"
    ]
    if pairs:
        lines.append(f"audit: {pairs}")
    costs = {"pruned": report.before_recovery, "recovered": report.after_recovery}
    measured = {name: cost for name, cost in costs.items() if cost is not None}
    lines += [f"{name}: {cost.verdict}" for name, cost in measured.items()]
    if any(cost.simulated for cost in measured.values()):
        lines.append("SIMULATED: audited on synthetic faces; says nothing about real people")
    for line in lines:
        out().print(line, markup=False, highlight=False)
    if measured:
        print_costs("dense", measured)
