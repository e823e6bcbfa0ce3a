"""Placeholder replaced as the noun lands."""

import typer


def register(app: typer.Typer) -> None:
    """Nothing yet."""
