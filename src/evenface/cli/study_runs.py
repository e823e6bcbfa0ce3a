"""evenface study status, work, submit: a study's runs, watched and spread over machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenface.cli.common import resumable
from evenface.cli.study_options import (
    Assignments,
    Folder,
    Out,
    Real,
    Synthetic,
    Teachers,
    Test,
    chosen_study,
    existing_study,
    study_folder,
)
from evenface.study import STUDIES

if TYPE_CHECKING:
    from rich.console import RenderableType

    from evenface.study.status import RunStatus, StudyStatus

_EVERY = 1.0
"""Seconds between two checks of a study's folder."""
_STYLES = {"running": "cyan", "failed": "red", "interrupted": "yellow", "done": "green"}


def register(study: typer.Typer) -> None:
    """Add the commands to ``evenface study``."""
    study.command("status")(status)
    study.command("work")(work)
    study.command("embed")(embed)
    study.command("submit")(submit)


def status(
    folder: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Update every second until the study is finished.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how far a study is, also while another process runs it.

    A run is waiting, running, interrupted, failed or done. Rerun the study's command to continue
    interrupted runs. Ctrl-C ends --watch, not the study.
    """
    import dataclasses
    import json

    from evenface.console import out
    from evenface.errors import UsageError
    from evenface.study.status import read_status

    if watch and as_json:
        raise UsageError("give --watch or --json, not both")
    folder = study_folder(folder)
    now = read_status(folder)
    if as_json:
        runs = [{**dataclasses.asdict(run), "eta": run.eta} for run in now.runs]
        total = {"holder": now.holder, "stage": now.stage, "finished": now.finished, "eta": now.eta}
        total["left_out"] = now.left_out
        typer.echo(json.dumps({**total, "runs": runs}, indent=2))
    elif not watch:
        out().print(_table(now.runs))
        out().print(summary(now), markup=False, highlight=False)
    elif out().is_terminal:
        _watch_live(folder, now)
    else:
        _watch_plainly(folder, now)


def work(
    folder: Folder,
    index: Annotated[
        int | None,
        typer.Option("--index", help="Number of the run, from 0, such as $SLURM_ARRAY_TASK_ID."),
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Name of the run.")] = None,
) -> None:
    """Do one run of a prepared study, such as in a cluster's job. Several may work at once.

    Prepare the study first: evenface study run STUDY --only prepare. SIGTERM saves a checkpoint and
    exits with 75; rerun the same command to continue. A finished run is not repeated.
    """
    from evenface.console import note, out
    from evenface.study import run_list as runs

    folder = study_folder(folder)
    listed = runs.read_runs(folder)
    chosen = runs.choose_run(listed, index=index, name=run)
    if chosen is None:  # an array may be larger than the list, where arms turned out to be equal
        note(f"{folder}: there are {len(listed)} runs; nothing to do for --index {index}")
        return
    with resumable(folder / chosen.at):
        target = runs.work(folder, chosen)
    out().print(f"Done: {target}", markup=False, highlight=False)


def embed(
    folder: Folder,
    index: Annotated[
        int, typer.Option("--index", min=0, help="Part, from 0, such as $SLURM_ARRAY_TASK_ID.")
    ] = 0,
    parts: Annotated[int, typer.Option("--parts", min=1, help="Number of parts.")] = 1,
) -> None:
    """Embed a part of the faces for a study, such as in a cluster's job. Several may work at once.

    Prepare first: evenface study run STUDY --only teachers. Rerun the same command to continue;
    shards that are there are kept.
    """
    from evenface.console import note, out
    from evenface.study.embedding import embed_part, tasks

    folder = study_folder(folder)
    begun = tasks(folder)
    if not begun:
        note(f"{folder}: no embeddings wait; see evenface study run STUDY --only teachers")
    for task in begun:
        count = embed_part(task, index, parts)
        out().print(
            f"{task}: {count:,} shards embedded, part {index} of {parts}",
            markup=False,
            highlight=False,
        )


def submit(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="Name of a study, a study file (YAML), or a study's folder."
        ),
    ],
    slurm: Annotated[bool, typer.Option("--slurm", help="Write a job array for SLURM.")] = False,
    out: Out = None,
    real: Real = None,
    synthetic: Synthetic = None,
    test: Test = None,
    teachers: Teachers = None,
    assignments: Assignments = None,
    partition: Annotated[
        str | None, typer.Option("--partition", help="SLURM's partition. Default: SLURM's.")
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="GPUs of each job.")] = 0,
    cpus: Annotated[int, typer.Option("--cpus", min=1, help="Cores of each job.")] = 1,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Memory of each job, e.g. 16G.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="Longest time of each job, e.g. 04:00:00.")
    ] = None,
    max_parallel: Annotated[
        int | None, typer.Option("--max-parallel", min=1, help="Runs at once. Default: all.")
    ] = None,
    teacher_gpus: Annotated[
        int | None,
        typer.Option(
            "--teacher-gpus", min=0, help="GPUs of the job that trains teachers. Default: --gpus."
        ),
    ] = None,
    embed_jobs: Annotated[
        int,
        typer.Option(
            "--embed-jobs",
            min=0,
            help="Jobs that share the embedding of the faces. Default: none, the job that prepares "
            "does it.",
        ),
    ] = 0,
    setup: Annotated[
        str | None,
        typer.Option("--setup", help="First shell line of every job, e.g. module load …"),
    ] = None,
    go: Annotated[bool, typer.Option("--go", help="Submit the jobs as well.")] = False,
) -> None:
    """Write job scripts for a study: teachers, embeddings, an array of runs, collect.

    The scripts go to slurm/ in the study's folder, which all nodes must share. Nothing is submitted
    without --go. A job that receives SIGTERM (as SLURM sends before the time limit) saves a
    checkpoint, is put back into the queue and continues from there.
    """
    from evenface.console import out as console
    from evenface.errors import UsageError
    from evenface.study import slurm as jobs
    from evenface.study.run import SPEC_NAME, record_study
    from evenface.study.students import number_of_runs

    if not slurm:
        raise UsageError("name the scheduler; --slurm is the only one")
    place = existing_study(study)
    if place is not None:
        out, study = out or place, str(place / SPEC_NAME)
    spec = chosen_study(study, real, synthetic, test, teachers, assignments)
    target = out or STUDIES / spec.name
    record_study(spec, target)
    resources = jobs.Resources(
        partition, gpus, cpus, memory, time, max_parallel, setup, teacher_gpus, embed_jobs
    )
    script = jobs.write_scripts(target, spec.name, number_of_runs(spec), resources)
    if go:
        console().print(jobs.submit(script), markup=False, highlight=False)
        return
    console().print(f"Written: {script.parent}. To submit the jobs:", markup=False, highlight=False)
    console().print(f"  bash {script}", markup=False, highlight=False)


def summary(now: StudyStatus) -> str:
    """How many runs are in which state, the time left, the stage at work, people left out."""
    from evenface.console import duration

    counts = [f"{now.count(state)} {state}" for state in _STATES if now.count(state)]
    parts = [f"{len(now.runs)} runs: {', '.join(counts)}"] if now.runs else ["being prepared"]
    if now.eta is not None:
        parts.append(f"runs done in about {duration(now.eta)}")
    if now.stage is not None:
        parts.append(f"now: {now.stage}")
    if now.finished:
        parts.append(f"finished, see {now.folder / 'report.html'}")
    text = "; ".join(parts)
    if not now.finished and now.holder is None and not now.count("running"):
        text += ". Not running. Rerun the command to continue."
    return "\n".join(filter(None, (text, now.left_out)))


_STATES: tuple[Any, ...] = ("running", "failed", "interrupted", "waiting", "done")
"""In the order of what a reader wants to see first."""


def _table(runs: list[RunStatus], most: int | None = None) -> RenderableType:
    """The runs; where there are more than ``most``, those that matter first."""
    from rich.table import Table
    from rich.text import Text

    from evenface.console import duration

    table = Table(box=None, pad_edge=False, show_header=bool(runs))
    for heading in ("run", "state", "step", "images/s", "loss", "ETA", ""):
        table.add_column(heading, justify="left" if heading in ("run", "state", "") else "right")
    shown = runs
    if most is not None and len(runs) > most:
        shown = sorted(runs, key=lambda run: _STATES.index(run.state))[: max(0, most - 1)]
    for run in shown:
        table.add_row(
            Text(run.name),
            Text(run.state, style=_STYLES.get(run.state, "")),
            f"{run.step:,}/{run.steps:,}",
            "–" if run.images is None else f"{run.images:,.1f}",
            "–" if run.loss is None else f"{run.loss:.4g}",
            "–" if run.eta is None else duration(run.eta),
            Text(run.message),
        )
    if len(shown) < len(runs):
        table.add_row(f"… and {len(runs) - len(shown)} more")
    return table


def _watch_live(folder: Path, now: StudyStatus) -> None:
    import time

    from rich.console import Group
    from rich.live import Live

    from evenface.console import out
    from evenface.study.status import read_status

    def page(now: StudyStatus) -> RenderableType:
        return Group(_table(now.runs, out().height - 4), summary(now))

    with Live(page(now), console=out(), auto_refresh=False) as live:
        while not now.finished:
            time.sleep(_EVERY)
            now = read_status(folder)
            live.update(page(now), refresh=True)


def _watch_plainly(folder: Path, now: StudyStatus) -> None:
    """A line whenever the state of a run, or the stage, has changed."""
    import time

    from evenface.console import out
    from evenface.study.status import read_status

    said: object = None
    while True:
        state = ([run.state for run in now.runs], now.stage, now.finished)
        if state != said:
            said = state
            out().print(summary(now), markup=False, highlight=False)
        if now.finished:
            return
        time.sleep(_EVERY)
        now = read_status(folder)
