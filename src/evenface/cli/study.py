"""evenface study: run a study, list those at hand, rebuild a report."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add ``evenface study``."""
    study = typer.Typer(
        help="Studies: from faces to a report with per-group answers.", no_args_is_help=True
    )
    study.command("run")(run)
    study.command("list")(list_all)
    study.command("report")(report)
    app.add_typer(study, name="study")


def run(
    name: Annotated[
        str, typer.Argument(metavar="STUDY", help="quick, smoke, or a study file (YAML).")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the study; studies/STUDY if not given.")
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            "--real",
            help="Your real faces, [<group>/]<identity>/<image>; a share of the identities is "
            "held out for the tests.",
        ),
    ] = None,
    synthetic: Annotated[
        Path | None, typer.Option("--synthetic", help="Your synthetic faces, laid out alike.")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            "--test", help="Your test faces, laid out alike, instead of held-out real ones."
        ),
    ] = None,
    teachers: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher",
            help="study, sface, an ONNX file, or a run folder, instead of the study's; may be "
            "repeated.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a key of the study, e.g. --set seed=1."),
    ] = None,
) -> None:
    """Run a study; the same command continues an interrupted one."""
    from evenface import recipes
    from evenface.console import out as console
    from evenface.study.run import run_study
    from evenface.study.spec import load_study, own_faces
    from evenface.teachers import teacher_names

    overrides: dict[str, object] = own_faces(real, synthetic, test)
    if teachers:
        overrides["teachers"] = [
            str(Path(teacher).resolve())
            if Path(teacher).exists() and teacher not in teacher_names()
            else teacher
            for teacher in teachers
        ]
    spec = load_study(name, overrides | recipes.parse_overrides(assignments or []))
    target = out or Path("studies") / spec.name
    options = [
        ("--out", out),
        ("--real", real),
        ("--synthetic", synthetic),
        ("--test", test),
        *(("--teacher", teacher) for teacher in teachers or []),
        *(("--set", assignment) for assignment in assignments or []),
    ]
    command = ["evenface", "study", "run", name]
    for option, value in options:
        command += [option, str(value)] if value is not None else []

    page = run_study(spec, target, command=shlex.join(command))
    _print_tables(target)
    console().print(f"Report: {page}", highlight=False)


def list_all() -> None:
    """List the studies that come with the package."""
    from evenface.console import out as console
    from evenface.study.spec import list_studies, load_study

    for name in list_studies():
        console().print(f"{name}: {load_study(name).description}", highlight=False)


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a finished study.")],
) -> None:
    """Build the report of a finished study anew from its results.json."""
    from evenface.console import out as console
    from evenface.study.run import build_report

    page = build_report(folder)
    _print_tables(folder)
    console().print(f"Report: {page}", highlight=False)


def _print_tables(folder: Path) -> None:
    from evenface.console import out as console
    from evenface.files import read_json
    from evenface.study.results import answers_tables, group_table, real_people_table
    from evenface.study.run import RESULTS_NAME

    results = read_json(folder / RESULTS_NAME)
    console().print(results["study"]["statement"], style="bold", highlight=False)
    console().print(group_table(results))
    people = real_people_table(results)
    if people is not None:
        console().print(people)
    for answers in answers_tables(results):
        console().print(answers)
