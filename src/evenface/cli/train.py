"""evenface train: one recipe, one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.common import resumable
from evenface.errors import asking_for

if TYPE_CHECKING:
    from evenface.train.run import RunResult


def register(app: typer.Typer) -> None:
    """Add ``evenface train``."""
    app.command("train", no_args_is_help=True)(train)


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="A named recipe (see --list) or a YAML file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder to write; continued if interrupted.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a key, e.g. --set data=FOLDER --set head.options.m=0.4"),
    ] = None,
    explain_only: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Print the resolved recipe, where each value comes from, steps and memory; stop.",
        ),
    ] = False,
    probing: Annotated[
        bool, typer.Option("--probe", help="With --explain: time a few steps as well.")
    ] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="List the named recipes and stop.")
    ] = False,
    list_losses: Annotated[
        bool,
        typer.Option(
            "--list-losses",
            help="List heads, distillation losses with what they need, and samplers; stop.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the run's record as JSON.")
    ] = False,
) -> None:
    """Train one student (or teacher) by a recipe. Needs the extra 'train'.

    Run the same command again to continue. A training that SIGTERM ended exits with 75.
    """
    import json
    import os

    from evenface.errors import UsageError
    from evenface.recipes import parse_overrides
    from evenface.train.recipe import list_recipes, load_recipe, value_origins

    if list_all:
        for name in list_recipes():
            typer.echo(name)
        return
    if list_losses:
        typer.echo(_losses())
        return
    if recipe is None:
        raise UsageError("RECIPE is missing. 'evenface train --list' lists the named ones")
    if probing and not explain_only:
        raise UsageError("--probe needs --explain")
    overrides = parse_overrides(assignments or [])
    resolved = load_recipe(recipe, overrides)
    if explain_only:
        with asking_for("train", "training"):
            from evenface.train.explain import explain
        typer.echo(explain(resolved, value_origins(recipe, overrides), probing=probing))
        return
    if out is None:
        raise UsageError("--out is missing. Name the run folder to write: --out FOLDER")
    first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes, one speaks
    with resumable(out, speaks=first):
        with asking_for("train", "training"):
            from evenface.train.loop import train as run
        result = run(resolved, out)
    if first:
        typer.echo(json.dumps(result, indent=2) if as_json else _summary(out, result))


def _summary(out: Path, result: RunResult) -> str:
    from evenface.console import duration

    losses = ", ".join(f"{name} {value:.4g}" for name, value in result["final"].items())
    return (
        f"{out}: {result['backbone']} ({result['parameters'] / 1e6:.2f} M parameters, "
        f"{result['embedding_size']}-d), {result['steps']:,} steps of {result['batch_size']} "
        f"images in {duration(result['seconds'])}\n"
        f"last step: {losses}"
    )


def _losses() -> str:
    with asking_for("train", "training"):
        from evenface.train.parts import describe_losses
    return describe_losses()
