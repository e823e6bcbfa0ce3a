"""`evenface evaluate-scores`: error rates per group of tables of scores from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.evaluate import Shown, conclude
from evenface.cli.evaluate_options import (
    OUTPUT,
    ExitCode,
    Json,
    Replicates,
    Seed,
    Targets,
    read_targets,
)

if TYPE_CHECKING:
    from evenface.evaluate.tasks import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate-scores")(evaluate_scores)


def evaluate_scores(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE...",
            help="Tables of scores, a pair a row (.csv, .tsv, .parquet): columns score and "
            "genuine; if wanted group, group2, fold, identity1, identity2. Each is a model, called "
            "by its file name.",
        ),
    ],
    distance: Annotated[
        bool, typer.Option("--distance", help="Scores are distances: lower is closer.")
    ] = False,
    cosine: Annotated[
        bool, typer.Option("--cosine", help="Scores are cosines: use the reference grid.")
    ] = False,
    missing: Annotated[
        float | None,
        typer.Option(
            help="The score that says that a comparison failed, e.g. --missing=-inf; empty cells "
            "and NaN always say so. Failures are reported by group, with generalised error rates.",
        ),
    ] = None,
    seed: Seed = 0,
    replicates: Replicates = 1000,
    target: Targets = None,
    exit_code: ExitCode = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results and their report (report.html); <table>/ below it where "
            "there are several.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Evaluate TABLES of scores from elsewhere: error rates per group, with intervals."""
    from evenface.evaluate.tasks import Settings

    settings = Settings(replicates=replicates, seed=seed)
    shown = Shown(json, read_targets(target, exit_code), exit_code)
    evaluate_tables(tables, settings, out, shown, distance=distance, cosine=cosine, missing=missing)


def evaluate_tables(
    tables: Sequence[Path],
    settings: Settings,
    out: Path | None,
    shown: Shown,
    *,
    distance: bool,
    cosine: bool,
    missing: float | None = None,
) -> None:
    """Evaluate tables of scores; print and write.

    Raises:
        UsageError: options that exclude each other, or two tables of one name.
    """
    from evenface.console import note
    from evenface.errors import UsageError
    from evenface.evaluate.score_evaluation import evaluate_scores
    from evenface.evaluate.score_table import read_scores
    from evenface.evaluate.suite import RUN_FILE
    from evenface.evaluate.times import write_times

    if distance and cosine:
        raise UsageError("--distance and --cosine exclude each other")
    if len({table.stem for table in tables}) < len(tables):
        raise UsageError("two tables have the same name; rename one")
    results = []
    for path in tables:
        evaluation = evaluate_scores(
            read_scores(path, distance=distance, missing=missing),
            cosine=cosine,
            replicates=settings.replicates,
            seed=settings.seed,
            level=settings.level,
            model=path.stem,
            name=str(path),
        )
        folder = out if out is None or len(tables) == 1 else out / path.stem
        if folder is not None:
            (folder / RUN_FILE).unlink(missing_ok=True)  # of another evaluation in this folder
            evaluation.write(folder)
            write_times(folder, [])
            note(f"written: {folder}")
        results.append((path.stem, evaluation, folder))
    conclude(results, out, shown)
