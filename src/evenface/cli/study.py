"""evenface study: run a study, list those at hand, rebuild a report."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from evenface.cli import study_plan, study_rehearsal, study_runs
from evenface.cli.study_options import (
    Assignments,
    Folder,
    Out,
    Real,
    Reuse,
    Synthetic,
    Teachers,
    Test,
    chosen_study,
    study_folder,
)
from evenface.study import STUDIES


class _ListsStudies(TyperCommand):
    """A command whose help ends with the studies that come with the package."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Read the studies only when the help is asked for: that takes pydantic."""
        from evenface import recipes
        from evenface.study.spec import list_studies

        lines = ["Studies:"]
        for name in list_studies():
            description = recipes.read("study", name)["description"]
            question_and_design = re.split(r"(?<=[.?]) ", description)[:2]
            lines.append(f"{name}: {' '.join(question_and_design)}")
        self.epilog = "\n\n".join(lines)
        super().format_help(ctx, formatter)


class Phase(StrEnum):
    """The part of a study after which it stops."""

    teachers = "teachers"
    prepare = "prepare"


def register(app: typer.Typer) -> None:
    """Add ``evenface study``."""
    study = typer.Typer(
        help="Studies: from faces to a report with per-group answers.", no_args_is_help=True
    )
    study.command("run", cls=_ListsStudies)(run)
    study.command("list")(list_all)
    study.command("report")(report)
    study_runs.register(study)
    study_plan.register(study)
    app.add_typer(study, name="study")


def run(
    name: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="A study listed below, or a study file (YAML)."),
    ],
    out: Out = None,
    real: Real = None,
    synthetic: Synthetic = None,
    test: Test = None,
    teachers: Teachers = None,
    assignments: Assignments = None,
    only: Annotated[
        Phase | None,
        typer.Option(
            "--only",
            help="prepare: stop before the students are trained, with everything prepared for it; "
            "teachers: stop before teachers embed, for 'evenface study embed' to do so.",
        ),
    ] = None,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Try every stage and model on a few faces, in a separate folder; show what "
            "works, what will fail, and what the study needs. Exits with 1 if something will"
            " fail.",
        ),
    ] = False,
    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            help="Where to train and evaluate the students: local (this machine's cores or GPUs) "
            "or ray (a running Ray cluster whose nodes share the study's folder).",
        ),
    ] = "local",
    reuse: Reuse = None,
) -> None:
    """Run a study and write its report; rerun the same command after an interruption."""
    from evenface.console import out as console
    from evenface.study.executors import create_executor
    from evenface.study.run import run_study

    spec = chosen_study(name, real, synthetic, test, teachers, assignments)
    target = out or STUDIES / spec.name
    options = [
        ("--out", out),
        ("--real", real),
        *(("--synthetic", folder) for folder in synthetic or []),
        ("--test", test),
        *(("--teacher", teacher) for teacher in teachers or []),
        *(("--set", assignment) for assignment in assignments or []),
    ]
    command = ["evenface", "study", "run", name]
    for option, value in options:
        command += [option, str(value)] if value is not None else []
    if rehearse:
        study_rehearsal.rehearse(
            spec, target, shlex.join([*command, "--rehearse"]), executor, only=only, reuse=reuse
        )
        return

    made = run_study(
        spec,
        target,
        command=shlex.join(command),
        executor=create_executor(executor, spec.workers),
        reuse=[study_folder(folder) for folder in reuse or []],
        prepare_only=only is Phase.prepare,
        embeddings_later=only is Phase.teachers,
    )
    if only is not None:
        console().print(f"Prepared: {made}", highlight=False)
        return
    _print_results(target)
    console().print(f"Report: {made}", highlight=False)


def list_all() -> None:
    """List the studies that come with the package."""
    from evenface.console import out as console
    from evenface.study.spec import list_studies, load_study

    for name in list_studies():
        console().print(f"{name}: {load_study(name).description}", highlight=False)


def report(folder: Folder) -> None:
    """Rebuild the report of a finished study from its results.json."""
    from evenface.console import out as console
    from evenface.report.from_python import study_report

    folder = study_folder(folder)
    page = study_report(folder)
    _print_results(folder)
    console().print(f"Report: {page}", highlight=False)


def _print_results(folder: Path) -> None:
    from evenface.console import out as console
    from evenface.report.study.names import readable
    from evenface.report.study.terminal import answer_lines, result_tables, verdict_lines
    from evenface.study.record import read_results
    from evenface.study.run import RESULTS_NAME

    results = readable(read_results(folder / RESULTS_NAME))
    for table in result_tables(results):
        console().print(table)
    for verdict in verdict_lines(results):
        console().print(verdict, markup=False, highlight=False)
    if results.left_out:
        console().print(results.left_out.sentence, markup=False, highlight=False)
    # Last, where a terminal shows it without scrolling.
    answer, *numbers, caveat = answer_lines(results)
    console().print(f"\n{answer}", style="bold", markup=False, highlight=False)
    for number in numbers:
        console().print(number, markup=False, highlight=False)
    console().print(caveat, style="bold yellow", markup=False, highlight=False)
