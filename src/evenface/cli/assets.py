"""evenface assets: fetch and list pretrained models and small face sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evenface.errors import UsageError

CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        help="Root of the cache instead of $EVENFACE_CACHE_DIR or the user's cache folder.",
        file_okay=False,
    ),
]


_DETECTOR = "yunet"


def register(app: typer.Typer) -> None:
    """Add ``evenface assets``."""
    assets = typer.Typer(
        help="Pretrained models and small face sets: list and fetch them.", no_args_is_help=True
    )
    assets.command("list")(list_assets)
    assets.command("get")(get_assets)
    app.add_typer(assets, name="assets")


def list_assets(
    cache_dir: CacheDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the assets: what they are for, their licence, and whether they are in the cache."""
    import json

    from evenface.assets import catalog
    from evenface.assets.cache import state

    rows: list[dict[str, Any]] = [
        {
            "name": asset.name,
            "state": state(asset.name, cache_dir=cache_dir),
            "purpose": asset.purpose,
            "origin": asset.origin,
            "licence": asset.licence,
            "size": asset.size,
            "download_size": asset.wheel.size,
            "sha256": asset.sha256,
        }
        for asset in catalog()
    ] + [_detector()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return

    from rich.table import Table

    from evenface.console import out

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "state", "size", "licence", "what for"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for row in rows:
        size = f"{row['size'] / 1e6:.1f} MB"
        table.add_row(row["name"], row["state"], size, row["licence"], row["purpose"])
    out().print(table)


def get_assets(
    names: Annotated[list[str] | None, typer.Argument(help="Names of assets.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Fetch all assets.")] = False,
    cache_dir: CacheDir = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Take it from this file, wheel, or folder that holds either; fetch nothing.",
            exists=True,
        ),
    ] = None,
) -> None:
    """Fetch assets that are not in the cache yet; print the path of each."""
    from evenface.assets import catalog, get_asset

    known = [asset.name for asset in catalog()]
    if bool(names) == every:
        raise UsageError(f"name the assets to get, or use --all; known: {', '.join(known)}")
    for name in names or known:
        if name == _DETECTOR:
            from evenface.data.detect import YUNET

            typer.echo(YUNET)
        else:
            typer.echo(get_asset(name, cache_dir=cache_dir, source=source))


def _detector() -> dict[str, Any]:
    """The row of the face detector, which comes with the package and is never fetched."""
    from evenface.data.detect import YUNET
    from evenface.files import sha256_file

    return {
        "name": _DETECTOR,
        "state": "in package",
        "purpose": "finds faces",
        "origin": "OpenCV Zoo, models/face_detection_yunet",
        "licence": "MIT",
        "size": YUNET.stat().st_size,
        "download_size": 0,
        "sha256": sha256_file(YUNET),
    }
