"""evenface study run --rehearse: what works, what the study takes, what will fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evenface.cli.common import print_table

if TYPE_CHECKING:
    from evenface.study.rehearsal import Finding, Rehearsal
    from evenface.study.rehearsal_needs import Need
    from evenface.study.spec import StudySpec


def rehearse(
    spec: StudySpec,
    out: Path,
    command: str,
    executor: str,
    *,
    only: object = None,
    reuse: object = None,
) -> None:
    """Rehearse a study and print what was found.

    Raises:
        UsageError: with ``--only`` or ``--reuse``, which mean nothing here.
        typer.Exit: with 1, if something will fail.
    """
    from evenface.errors import UsageError
    from evenface.study.executors import create_executor
    from evenface.study.rehearsal import rehearse_study

    if only or reuse:
        raise UsageError("--rehearse tries all stages anew: leave --only and --reuse out")
    made = rehearse_study(
        spec, out, command=command, executor=create_executor(executor, spec.workers)
    )
    show(made)
    if made.fails:
        raise typer.Exit(1)


def show(made: Rehearsal) -> None:
    """Print a rehearsal: what works, what it takes, and last what will fail."""
    from evenface.console import out
    from evenface.study.rehearsal import REHEARSAL_NAME

    print_table(("", "", ""), [_finding_row(of) for of in made.findings if of.state != "fails"])
    out().print()
    heading = ("the full study will", "take", "reckoned from")
    print_table(("", "", ""), [heading, *map(_need_row, made.needs)])
    for line in _summary(made):
        out().print(line, markup=False, highlight=False)
    failing = [finding for finding in made.findings if finding.state == "fails"]
    if failing:
        out().print("\nWill fail:", style="bold red")
    for finding in failing:
        out().print(f"- {finding.what}: {finding.detail}", markup=False, highlight=False)
        if finding.remedy:
            out().print(f"  {finding.remedy}.", markup=False, highlight=False)
    end = "Nothing found that will fail." if not failing else f"{len(failing)} things will fail."
    out().print(f"{end} {made.folder / REHEARSAL_NAME}", markup=False, highlight=False)


def _finding_row(finding: Finding) -> tuple[str, ...]:
    remedy = f". {finding.remedy}" if finding.remedy else ""
    return finding.state, finding.what, finding.detail + remedy


def _need_row(need: Need) -> tuple[str, ...]:
    from evenface.console import duration

    return need.stage, "unknown" if need.seconds is None else duration(need.seconds), need.basis


def _summary(made: Rehearsal) -> Sequence[str]:
    from evenface.console import duration

    known = [need.seconds for need in made.needs if need.seconds is not None]
    lacking = len(made.needs) - len(known)
    more = f", without {lacking} of which nothing is known" if lacking else ""
    lines = [f"Together about {duration(sum(known))} on this machine{more}."]
    for what, count in (("Disk to be written", made.disk), ("free", made.free)):
        if count is not None:
            lines.append(f"{what}: {count / 1e9:,.1f} GB.")
    if made.memory is not None:
        lines.append(
            f"Device memory of the largest training: {made.memory / 1e9:,.1f} GB; work space comes "
            "on top."
        )
    return [*lines, f"The rehearsal took {duration(made.seconds)}."]
