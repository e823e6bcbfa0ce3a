"""`evenface evaluate`: error rates per group of a model on a labelled data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from evenface.cli.audit_output import report_results
from evenface.cli.evaluate_options import (
    AUDIT,
    MODELS,
    OUTPUT,
    PAIRS,
    Cache,
    ExitCode,
    Flip,
    Json,
    Replicates,
    Seed,
    Targets,
    check_targets,
    exit_by,
    read_targets,
    targets_record,
    write_targets,
)
from evenface.cli.teacher import Backbone, Fit, Layout, Mean, Order, Output, Std

if TYPE_CHECKING:
    from rich.console import Console

    from evenface.evaluate import Evaluation
    from evenface.evaluate.identification import IdentificationResult
    from evenface.evaluate.protocol_specs import ProtocolOptions
    from evenface.evaluate.subjects import Subject
    from evenface.evaluate.targets import Target, TargetResult
    from evenface.evaluate.tasks import Result, Settings, Task
    from evenface.evaluate.times import Times

DECLARED = (
    "Groups are the labels that the data set declares; evenface does not judge what a person is."
)
SIMULATED = (
    "SIMULATED: {count:,} of {total:,} images are synthetic. These figures say nothing about "
    "real people."
)
SIMULATED_SEARCH = "SIMULATED: images are synthetic. These figures say nothing about real people."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... [DATASET]",
            help="Models: sface, study, an ONNX or TorchScript file, a run folder or the weights "
            "in one, module:function, or embeddings (.npy, .npz, .parquet, a folder of .npy). "
            "Without --protocol the last is a dataset folder or manifest with identities; "
            "draw:DATASET draws new pairs from one that holds published pairs.",
        ),
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol",
            help="What to evaluate on; may be given several times: a .bin file, a bcolz array "
            "(lfw/ with lfw_list.npy beside it) or a folder of them (<group>_test are groups of "
            "one), a pairs file (PAIRS@IMAGES where images are elsewhere), RFW's or IJB's "
            "folder, a dataset (its own pairs where it holds protocol.parquet, else drawn ones), "
            "draw:DATASET (always drawn), fhibe:DATASET (FHIBE's pairs), "
            "protocol.parquet@DATASET.",
            rich_help_panel=PAIRS,
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Attributes to group by, crossed, separated by commas; 'none' for one group. "
            "Default: the manifest's first attribute.",
            rich_help_panel=PAIRS,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Use only rows of this split.", rich_help_panel=PAIRS)
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(
            min=4,
            help="Most fold pairs per group. Default: 24 per person, from 6,000 to 100,000.",
            rich_help_panel=PAIRS,
        ),
    ] = None,
    max_pairs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Most genuine and most impostor pairs per group for all other measures.",
            rich_help_panel=PAIRS,
        ),
    ] = 100_000,
    impostors: Annotated[
        Literal["within", "across"],
        typer.Option(
            help="Impostor pairs drawn from a dataset: within a group, or across two.",
            rich_help_panel=PAIRS,
        ),
    ] = "within",
    folds: Annotated[
        int, typer.Option(min=2, help="Folds of the accuracy.", rich_help_panel=PAIRS)
    ] = 10,
    simulated: Annotated[
        bool,
        typer.Option(
            "--simulated",
            help="Images of .bin and pairs files are synthetic.",
            rich_help_panel=PAIRS,
        ),
    ] = False,
    seed: Seed = 0,
    replicates: Replicates = 1000,
    scan: Annotated[
        str | None,
        typer.Option(
            metavar="A[,B…]",
            help="Scan all crossings of these attributes of the dataset ('all': of all that it "
            "declares) for the largest differences of FMR and FNMR at one threshold.",
            rich_help_panel=AUDIT,
        ),
    ] = None,
    target: Targets = None,
    exit_code: ExitCode = False,
    flip: Flip = True,
    check_colours: Annotated[
        bool,
        typer.Option(
            "--check-colours",
            help="Measure each model with red and blue swapped too, and warn.",
            rich_help_panel=MODELS,
        ),
    ] = False,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    layout: Layout = None,
    fit: Fit = None,
    output: Output = None,
    backbone: Backbone = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results and their report (report.html); with --protocol "
            "<model>/<protocol>/ and summaries. Existing results are kept.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    cache: Cache = None,
    json: Json = False,
    distance: Annotated[bool, typer.Option("--distance", hidden=True)] = False,
    cosine: Annotated[bool, typer.Option("--cosine", hidden=True)] = False,
) -> None:
    """Verify MODEL on DATASET, or each MODEL on each --protocol: error rates per group.

    Accuracy, EER, AUC and TAR@FAR, with intervals. Tables of scores: evenface evaluate-scores.
    1:N search: evenface evaluate-identification.
    """
    from evenface.cli.common import names_of
    from evenface.console import note
    from evenface.errors import UsageError
    from evenface.evaluate.protocol_specs import IDENTIFY, ProtocolOptions
    from evenface.evaluate.score_table import is_score_table
    from evenface.evaluate.tasks import Settings

    if pairs is not None and pairs < 2 * folds:
        raise UsageError(f"--pairs must be at least 2 × --folds = {2 * folds}, got {pairs}")
    targets = read_targets(target, exit_code)
    tables = [path for path in map(Path, inputs) if is_score_table(path)]
    if tables:
        if protocol or len(tables) < len(inputs):
            raise UsageError(
                "tables of scores need neither model nor protocol; evaluate them with 'evenface "
                "evaluate-scores'"
            )
        from evenface.cli.evaluate_scores import evaluate_tables

        note(_OLD.format(what="scores", command="evaluate-scores"))
        evaluate_tables(
            tables,
            Settings(replicates=replicates, seed=seed),
            out,
            Shown(json, targets, exit_code),
            distance=distance,
            cosine=cosine,
        )
        return
    if any(spec.startswith(IDENTIFY) for spec in protocol or ()):
        note(_OLD.format(what="search", command="evaluate-identification"))
    drawing = ProtocolOptions(
        group_by=_attributes(group_by),
        split=split,
        pairs_per_group=pairs,
        max_pairs=max_pairs,
        folds=folds,
        seed=seed,
        impostors=impostors,
        simulated=simulated,
    )
    settings = Settings(
        replicates=replicates,
        seed=seed,
        views=("original", "flip") if flip else ("original",),
        scan=names_of(scan or "") or (),
    )
    given = {
        "mean": mean,
        "std": std,
        "order": order,
        "layout": layout,
        "fit": fit,
        "output": output,
        "backbone": backbone,
    }
    evaluate_models(
        inputs,
        protocol or [],
        drawing,
        settings,
        Given(options_of(given), out, cache, check_colours),
        Shown(json, targets, exit_code),
    )


_OLD = "{what}: use 'evenface {command}'. This spelling is removed in the next version."


@dataclass(frozen=True)
class Given:
    """How models are read, and where results go."""

    options: dict[str, Any]
    out: Path | None
    cache: Path | None
    check_colours: bool = False


@dataclass(frozen=True)
class Shown:
    """What is printed of results, and what they must keep."""

    json: bool
    targets: list[Target]
    exit_code: bool


def options_of(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in given.items() if value is not None}


def evaluate_models(
    inputs: Sequence[str],
    protocols: Sequence[str],
    drawing: ProtocolOptions,
    settings: Settings,
    given: Given,
    shown: Shown,
) -> None:
    """Evaluate one model on one data set, or each model on each protocol; print and write.

    Args:
        inputs: models; without protocols one model and one data set.
        protocols: see :func:`evenface.evaluate.protocol_specs.tasks_of`.
        drawing, settings: how.
        given, shown: from where, and where to.

    Raises:
        UsageError: the inputs are something else, or several protocols have no ``out``.
    """
    from evenface.errors import UsageError

    if protocols:
        if given.out is None:
            raise UsageError("--protocol needs --out, the folder of the results")
        _suite(inputs, protocols, drawing, settings, given, given.out, shown)
    elif len(inputs) == 2:
        _one(inputs[0], inputs[1], drawing, settings, given, shown)
    else:
        raise UsageError("give MODEL and DATASET, or models and --protocol")


def conclude(
    results: Sequence[tuple[str, Result, Path | None]],
    out: Path | None,
    shown: Shown,
    *,
    single: bool = False,
    table: str | None = None,
) -> None:
    """Print results and verdicts on targets, write the report, and exit with the code asked for.

    Args:
        results: model, result, and the folder that it was written to.
        out: of the report; None for none.
        shown: what to print.
        single: whether JSON is one record, not a list.
        table: Markdown to print in place of each result's tables.
    """
    from evenface.console import note
    from evenface.console import out as stdout
    from evenface.evaluate.times import read_times

    times = [of for _, _, folder in results if folder is not None for of in read_times(folder)]
    checked = [check_targets(result, shown.targets) for _, result, _ in results]
    if shown.json:
        _print_json([result for _, result, _ in results], checked, single)
    elif table is not None:
        console = stdout()
        console.print(DECLARED, highlight=False)
        console.print(table, markup=False, highlight=False)
    else:
        _show([result for _, result, _ in results], times)
    for (model, _, folder), of_result in zip(results, checked, strict=True):
        for target in of_result:
            note(f"target, {model}: {target.statement}")
        if folder is not None and of_result:
            write_targets(folder, of_result)
    if out is not None:
        report_results([(model, result) for model, result, _ in results], out, times)
    if shown.exit_code:
        exit_by([target for of_result in checked for target in of_result])


def _print_json(
    results: Sequence[Result], checked: Sequence[Sequence[TargetResult]], single: bool
) -> None:
    import json

    records = [
        result.model_dump(mode="json") | ({"targets": targets_record(of)} if of else {})
        for result, of in zip(results, checked, strict=True)
    ]
    shown = records[0] if single else records
    typer.echo(json.dumps(shown, ensure_ascii=False, allow_nan=False))


def _suite(
    models: Sequence[str],
    protocols: Sequence[str],
    drawing: ProtocolOptions,
    settings: Settings,
    given: Given,
    out: Path,
    shown: Shown,
) -> None:
    from evenface.console import note
    from evenface.evaluate.protocol_specs import tasks_of
    from evenface.evaluate.subjects import load_subject
    from evenface.evaluate.suite import run_suite, summary_markdown

    subjects = [load_subject(model, **given.options) for model in models]
    tasks = [task for spec in protocols for task in tasks_of(spec, drawing)]
    for subject in subjects:
        note(f"{subject.name}: {_said(subject.details)}")
        if given.check_colours:
            _check_colours(subject, tasks)
    entries = run_suite(subjects, tasks, out, settings=settings, cache=given.cache, timed=True)
    note(f"written: {out} (summary.md, summary.csv, <model>/<protocol>/)")
    conclude(
        [(entry.model, entry.result, entry.folder) for entry in entries],
        out,
        shown,
        table=summary_markdown(entries) if len(entries) > 1 else None,
    )


def _one(
    model: str,
    dataset: str,
    drawing: ProtocolOptions,
    settings: Settings,
    given: Given,
    shown: Shown,
) -> None:
    from evenface.console import note
    from evenface.evaluate.protocol_specs import dataset_task
    from evenface.evaluate.subjects import load_subject
    from evenface.evaluate.suite import measure, write_result

    task = dataset_task(dataset, drawing, name=dataset)
    subject = load_subject(model, **given.options)
    note(f"{subject.name}: {_said(subject.details)}")
    if given.check_colours:
        _check_colours(subject, [task])
    embeddings = subject.embeddings(task, task.rows, settings, given.cache)
    result = measure(subject, task, embeddings, settings)
    if given.out is not None:
        write_result(given.out, result, subject, task, settings, timed=True)
        note(f"written: {given.out}")
    conclude([(subject.name, result, given.out)], given.out, shown, single=True)


def _said(details: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in details.items()) or "no details"


def _check_colours(subject: Subject, tasks: list[Task]) -> None:
    from evenface.console import note, warn
    from evenface.evaluate.channel_order import check_order, some_pairs
    from evenface.evaluate.subjects import ModelSubject

    task = next((t for t in tasks if t.protocol and len(t.protocol.identity) == len(t.faces)), None)
    if not isinstance(subject, ModelSubject) or task is None:
        note(f"{subject.name}: channel orders not compared; it takes a model and pairs of images")
        return
    check = check_order(subject.model, some_pairs(task))
    say = note if check.verdict == "as declared" else warn
    say(f"{subject.name}, channel order on {task.name}: {check}")


def _show(results: Sequence[Result], times: Sequence[Times]) -> None:
    from evenface.console import out as stdout
    from evenface.evaluate import Evaluation

    console = stdout()
    for result in results:
        if isinstance(result, Evaluation):
            _show_evaluation(console, result, times)
        else:
            _show_identification(console, result)


def _show_evaluation(console: Console, evaluation: Evaluation, times: Sequence[Times]) -> None:
    from evenface.evaluate.times import by_protocol
    from evenface.report.audit.answers import intervals_said
    from evenface.report.audit.chapter import Chapter
    from evenface.report.audit.tables import evaluation_tables
    from evenface.report.formats.terminal import fitted, terminal_table

    summary = evaluation.protocol
    if summary.simulated:
        count, total = summary.origins["synthetic"], sum(summary.origins.values())
        console.print(SIMULATED.format(count=count, total=total), style="bold", highlight=False)
    console.print(DECLARED, highlight=False)
    model = evaluation.model or "model"
    of_model = [of for of in times if of.model == model]
    chapter = Chapter(
        "p1", summary.name, {model: evaluation}, [], by_protocol(of_model, summary.name)
    )
    said = f"{model} on {summary.name}. {intervals_said(chapter)}"
    console.print(said, markup=False, highlight=False)
    remarks = [summary.pairs_statement, *summary.notes, *evaluation.notes]
    for table in evaluation_tables(chapter):
        for part in fitted(table, console.width):
            console.print(terminal_table(part))
        remarks += [*table.remarks, *table.notes]
    for remark in dict.fromkeys(filter(None, remarks)):
        console.print(f"• {remark}", markup=False, highlight=False)


def _show_identification(console: Console, result: IdentificationResult) -> None:
    from evenface.report.audit.chapter import SearchChapter
    from evenface.report.audit.tables import search_table
    from evenface.report.formats.terminal import terminal_table

    if result.simulated:
        console.print(SIMULATED_SEARCH, style="bold", highlight=False)
    table = search_table(SearchChapter("s1", result.protocol, {result.model or "model": result}))
    console.print(terminal_table(table))
    for remark in (*table.remarks, *table.notes):
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
