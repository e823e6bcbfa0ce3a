"""`evenface evaluate`: error rates per group of a model on a labelled data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from evenface.evaluate import Estimate, Evaluation
    from evenface.evaluate.results import Overall

DECLARED = (
    "Groups are the labels that the data set declares; evenface does not judge what a person is."
)
SIMULATED = (
    "SIMULATED: {count:,} of {total:,} images are synthetic. These figures say nothing about "
    "real people."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="sface, study, an ONNX file, a run folder or the weights in one."),
    ],
    dataset: Annotated[
        Path, typer.Argument(help="Dataset folder or manifest (.parquet) with identities.")
    ],
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Attributes to group by, crossed, separated by commas; 'none' for one group. "
            "Default: the manifest's first attribute."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only rows of this split.")] = None,
    pairs: Annotated[
        int | None, typer.Option(min=4, help="Most fold pairs a group (6,000 if not given).")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the accuracy.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides pairs, folds and resamples.")] = 0,
    replicates: Annotated[
        int, typer.Option(min=0, help="Bootstrap replicates; 0 for no intervals.")
    ] = 1000,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for evaluation.json, replicates.npz and protocol.parquet."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Verify MODEL on DATASET: accuracy, EER, AUC and TAR@FAR per group, with intervals."""
    import json as json_format

    from evenface.console import note
    from evenface.console import out as stdout
    from evenface.data.manifest import Manifest
    from evenface.errors import DataError, UsageError
    from evenface.evaluate import evaluate_model, protocol_from_manifest
    from evenface.teachers import load_teacher

    if pairs is not None and pairs < 2 * folds:
        raise UsageError(f"--pairs must be at least 2 × --folds = {2 * folds}, got {pairs}")
    manifest = Manifest.read(dataset)
    if split is not None:
        manifest = manifest.where(split=split)
        if not len(manifest):
            raise DataError(f"{dataset}: no rows of split {split!r}")
    protocol = protocol_from_manifest(
        manifest,
        group_by=_attributes(group_by),
        folds=folds,
        pairs_per_group=pairs,
        seed=seed,
        name=str(dataset),
    )
    evaluation = evaluate_model(
        load_teacher(model), manifest, protocol, replicates=replicates, seed=seed
    )
    if out is not None:
        evaluation.write(out)
        protocol.write(out / "protocol.parquet")
        note(f"written: {out}")
    if json:
        typer.echo(json_format.dumps(evaluation.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    console = stdout()
    if protocol.simulated:
        count, total = protocol.origins["synthetic"], sum(protocol.origins.values())
        console.print(SIMULATED.format(count=count, total=total), style="bold", highlight=False)
    console.print(DECLARED, highlight=False)
    console.print(_group_table(evaluation))
    console.print(_overall_table(evaluation))
    for remark in [*evaluation.protocol.notes, *evaluation.notes]:
        console.print(f"• {remark}", markup=False, highlight=False)


def _attributes(group_by: str | None) -> tuple[str, ...] | None:
    from evenface.errors import UsageError

    if group_by is None:
        return None
    if group_by == "none":
        return ()
    names = tuple(name.strip() for name in group_by.split(","))
    if not all(names):
        raise UsageError(f"--group-by takes attributes separated by commas, got {group_by!r}")
    return names


def _group_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    level = f"{evaluation.bootstrap.level:.0%}"
    table = Table(
        title=f"{evaluation.model} on {evaluation.protocol.name}: % with {level} intervals",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    levels = list(next(iter(evaluation.groups.values())).tar_at_far)
    table.add_column("group")
    for heading in ("accuracy", "EER", "AUC", *(f"TAR@FAR {far}" for far in levels)):
        table.add_column(heading, justify="right")
    table.add_column("identities", justify="right")
    for name, result in evaluation.groups.items():
        figures = (result.accuracy, result.eer, result.auc, *result.tar_at_far.values())
        cells = [_percent(figure).replace(" ", "\n", 1) for figure in figures]
        table.add_row(name, *cells, f"{result.identities:,}")
    return table


def _overall_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    overall, one = evaluation.overall, evaluation.global_threshold
    table = Table(title="Over groups", title_justify="left", box=None, pad_edge=False)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("remark")
    worst = overall.worst_group
    rows = [
        ("mean accuracy, %", _percent(overall.accuracy), overall.accuracy.note),
        ("STD (sample), points", _percent(overall.std_sample), overall.std_sample.note),
        ("STD of equal groups, points", _percent(overall.std_expected), _std_excess(overall)),
        ("STD (population), points", _percent(overall.std_population), None),
        ("SER", _plain(overall.ser), overall.ser.note),
        ("gap, points", _percent(overall.gap), overall.gap.note),
        ("d′ gap", _plain(overall.dprime_gap), overall.dprime_gap.note),
        ("probit gap", _plain(overall.probit_gap), overall.probit_gap.note),
        ("worst group", worst.value or "–", worst.note or _worst_share(evaluation)),
        (f"FDR at one threshold (FMR {one.target_fmr:g})", _plain(one.fdr), one.fdr.note),
        ("FNMR ratio at one threshold", _plain(one.fnmr_ratio), one.fnmr_ratio.note),
    ]
    for label, figure, remark in rows:
        table.add_row(label, figure, remark or "")
    return table


def _std_excess(overall: Overall) -> str | None:
    if overall.std_excess_p is None:
        return overall.std_expected.note
    return f"by chance alone; p of the observed STD {overall.std_excess_p:.3f}"


def _worst_share(evaluation: Evaluation) -> str | None:
    worst = evaluation.overall.worst_group
    if worst.value is None or worst.share is None:
        return None
    return f"the worst in {worst.share[worst.value]:.0%} of resamples"


def _percent(estimate: Estimate) -> str:
    return _figure(estimate, 100)


def _plain(estimate: Estimate) -> str:
    return _figure(estimate, 1)


def _figure(estimate: Estimate, scale: float) -> str:
    value = "–" if estimate.value is None else f"{scale * estimate.value:.2f}"
    if estimate.low is None and estimate.high is None:
        return value
    low = "…" if estimate.low is None else f"{scale * estimate.low:.2f}"
    high = "…" if estimate.high is None else f"{scale * estimate.high:.2f}"
    return f"{value} [{low}, {high}]"
