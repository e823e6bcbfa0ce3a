"""evenface doctor: what is installed and present, what is missing, and what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add ``evenface doctor``."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    cache_dir: Annotated[
        Path | None,
        typer.Option("--cache-dir", help="Root of the cache to look at.", file_okay=False),
    ] = None,
) -> None:
    """Check the installation: what works, what is missing, and how to get it.

    Exits with 1 only when the base install is broken.
    """
    import json

    from evenface.console import note, out
    from evenface.doctor import diagnose

    note("importing the installed packages, for some seconds …")
    diagnosis = diagnose(cache_dir)
    if as_json:
        typer.echo(json.dumps(diagnosis.as_dict(), indent=2, ensure_ascii=False))
    else:
        styles = {"ok": "green", "missing": "yellow", "warning": "yellow", "broken": "bold red"}
        topic = ""
        for finding in diagnosis.findings:
            if finding.topic != topic:
                topic = finding.topic
                out().print(topic, style="bold")
            out().print(f"  {finding.status:<8}", style=styles[finding.status], end="")
            out().print(f"{finding.name}: {finding.detail}", markup=False, highlight=False)
            if finding.remedy:
                out().print(f"          → {finding.remedy}", markup=False, highlight=False)
    if not diagnosis.healthy:
        raise typer.Exit(1)
