"""Options that the evaluating commands share, and the handling of ``--target``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evenface.evaluate.targets import Target, TargetResult
    from evenface.evaluate.tasks import Result

PAIRS = "Pairs"
MODELS = "How a model is read"
STATISTICS = "Statistics"
AUDIT = "Audit"
OUTPUT = "Output"

TARGETS_FILE = "targets.json"
MISSED, UNDECIDED = 3, 4
"""Exit codes of --exit-code."""

Replicates = Annotated[
    int,
    typer.Option(
        min=0, help="Bootstrap replicates; 0 for no intervals.", rich_help_panel=STATISTICS
    ),
]
Seed = Annotated[
    int, typer.Option(help="Seed of pairs, folds and resamples.", rich_help_panel=STATISTICS)
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="LIMIT",
        help="Test a limit: MEASURE<=LIMIT or MEASURE>=LIMIT, at an operating point with "
        "@fmr=FMR, e.g. 'fnmr_ratio<=1.5@fmr=1e-3' or 'accuracy>=95%'. A measure of single "
        "groups must meet it in every group. May be given several times.",
        rich_help_panel=AUDIT,
    ),
]
ExitCode = Annotated[
    bool,
    typer.Option(
        "--exit-code",
        help="With --target: exit with 0 where all targets are met, 3 where one is missed, else 4 "
        "where one is undecided (1 and 2 are errors).",
        rich_help_panel=AUDIT,
    ),
]
Flip = Annotated[
    bool,
    typer.Option(
        "--flip/--no-flip",
        help="Add the mirror image's embedding, as is usual in the field.",
        rich_help_panel=MODELS,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder of kept embeddings (OUT/embeddings if not given).", rich_help_panel=OUTPUT
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the results as JSON.", rich_help_panel=OUTPUT)
]


def read_targets(texts: Sequence[str] | None, exit_code: bool) -> list[Target]:
    """The targets of the command line.

    Raises:
        UsageError: one is not understood, or ``--exit-code`` has nothing to decide.
    """
    from evenface.errors import UsageError
    from evenface.evaluate.targets import parse_target

    if exit_code and not texts:
        raise UsageError("--exit-code needs --target")
    return [parse_target(text) for text in texts or ()]


def check_targets(result: Result, targets: Sequence[Target]) -> list[TargetResult]:
    """What a result says to each target; none for a search.

    Raises:
        UsageError: see :func:`evenface.evaluate.targets.check_target`.
    """
    from evenface.evaluate import Evaluation
    from evenface.evaluate.targets import check_target

    if not isinstance(result, Evaluation):
        return []
    return [check_target(result, target) for target in targets]


def targets_record(checked: Sequence[TargetResult]) -> list[dict[str, Any]]:
    """JSON-able."""
    return [
        {
            "target": of.target.text,
            "verdict": of.verdict,
            "group": of.group,
            "estimate": of.estimate.model_dump(mode="json"),
        }
        for of in checked
    ]


def write_targets(folder: Path, checked: Sequence[TargetResult]) -> None:
    """Write ``targets.json`` into a result's folder."""
    from evenface.files import write_json

    write_json(folder / TARGETS_FILE, targets_record(checked))


def exit_by(checked: Sequence[TargetResult]) -> None:
    """Leave the command as ``--exit-code`` says; return where all targets are met."""
    verdicts = {of.verdict for of in checked}
    if "missed" in verdicts:
        raise typer.Exit(MISSED)
    if "undecided" in verdicts:
        raise typer.Exit(UNDECIDED)
