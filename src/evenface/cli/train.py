"""evenface train: one recipe, one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


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
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the resolved recipe and stop.")
    ] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="List the named recipes and stop.")
    ] = False,
) -> None:
    """Train one student (or teacher) by a recipe. Needs the extra 'train'."""
    import json

    from evenface.errors import MissingDependencyError, UsageError
    from evenface.recipes import parse_overrides
    from evenface.train.recipe import list_recipes, load_recipe

    if list_all:
        for name in list_recipes():
            typer.echo(name)
        return
    if recipe is None:
        raise UsageError("which recipe? 'evenface train --list' lists the named ones")
    resolved = load_recipe(recipe, parse_overrides(assignments or []))
    try:
        from evenface.train.loop import train as run
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "train", "training") from None

    if explain:
        typer.echo(_explain(resolved))
        return
    if out is None:
        raise UsageError("--out FOLDER is missing: where shall the run be written?")
    record = run(resolved, out)
    typer.echo(json.dumps({"run": str(out), **record}, indent=2))


def _explain(recipe: Any) -> str:
    """The recipe as YAML, with what its numbers come to."""
    import yaml

    from evenface.distill import mse_lambda

    lines = [yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False).rstrip()]
    optimizer = recipe.optimizer
    rate = optimizer.lr * recipe.batch_size / optimizer.lr_batch
    lines.append(f"# learning rate at batch {recipe.batch_size}: {rate:g}")
    if recipe.distill is not None and recipe.backbone.embedding_size is not None:
        weight, size = recipe.distill.weight, recipe.backbone.embedding_size
        lines.append(
            f"# distillation: {weight:g} · (1 − cos), "
            f"that is λ = {mse_lambda(weight, size):g} on the MSE at {size} dimensions"
        )
    return "\n".join(lines)
