"""`evenface evaluate-identification`: how often a 1:N search finds the right person, per group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenface.cli.evaluate import Given, Shown, evaluate_models, options_of
from evenface.cli.evaluate_options import OUTPUT, Cache, Flip, Json, Replicates, Seed
from evenface.cli.teacher import Backbone, Fit, Layout, Mean, Order, Output, Std


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate-identification")(evaluate_identification)


def evaluate_identification(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Models, as in evenface evaluate.")
    ],
    gallery: Annotated[
        str,
        typer.Option(
            help="Dataset of the enrolled people, or one with the splits gallery and probe."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the results (<model>/<protocol>/) and their report (report.html).",
            rich_help_panel=OUTPUT,
        ),
    ],
    probes: Annotated[
        str | None,
        typer.Option(help="Dataset of the probe images; their people need not be enrolled."),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(help="Attributes to group probes by, separated by commas.")
    ] = None,
    seed: Seed = 0,
    replicates: Replicates = 1000,
    flip: Flip = True,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    layout: Layout = None,
    fit: Fit = None,
    output: Output = None,
    backbone: Backbone = None,
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Search PROBES in GALLERY with each MODEL: rank rates, and FNIR at given FPIR, per group."""
    from evenface.cli.common import names_of
    from evenface.evaluate.protocol_specs import IDENTIFY, ProtocolOptions
    from evenface.evaluate.tasks import Settings

    views = ("original", "flip") if flip else ("original",)
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
        models,
        [IDENTIFY + (gallery if probes is None else f"{gallery},{probes}")],
        ProtocolOptions(group_by=names_of(group_by or ""), seed=seed),
        Settings(replicates=replicates, seed=seed, views=views),
        Given(options_of(given), out, cache),
        Shown(json, targets=[], exit_code=False),
    )
