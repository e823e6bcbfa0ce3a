"""The per-user cache: where assets lie, and the proof that they are what they claim to be."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import platformdirs

from evenface.assets.entries import Asset, find
from evenface.errors import DataError, MissingAssetError
from evenface.files import read_json, sha256_file, write_json

CACHE_VARIABLE = "EVENFACE_CACHE_DIR"


def cache_dir() -> Path:
    """Root of everything that can be made or fetched again.

    ``$EVENFACE_CACHE_DIR`` where it is set, else the user's cache folder of the platform. The
    folder need not exist yet.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(platformdirs.user_cache_dir("evenface", appauthor=False))


def location(asset: Asset, root: Path | None = None) -> Path:
    """Where the file of ``asset`` belongs below the cache ``root``; it need not exist."""
    return (cache_dir() if root is None else root) / "assets" / asset.name / asset.file_name


def asset_path(name: str, *, cache_dir: Path | None = None) -> Path:
    """Path of the verified file of an asset.

    The SHA-256 is computed when the file was fetched and again whenever its size or time of
    modification differs from what was recorded then.

    Args:
        name: one of :data:`evenface.assets.ASSETS`.
        cache_dir: root of the cache; None for :func:`cache_dir`.

    Raises:
        UsageError: no asset has this name.
        MissingAssetError: it has not been fetched; the message names the command that does.
        DataError: the file is there, but its content is not the asset's.
    """
    asset = find(name)
    path = location(asset, cache_dir)
    remedy = f"evenface assets get {name}"
    if cache_dir is not None:
        remedy += f" --cache-dir {cache_dir}"
    if not path.is_file():
        raise MissingAssetError(
            f"asset '{name}' ({asset.purpose}) is not in the cache ({path.parent}). "
            f"Get it with: {remedy}"
        )
    if not is_intact(asset, path):
        raise DataError(
            f"{path}: damaged (its SHA-256 is not that of asset '{name}'). "
            f"Replace it with: {remedy}"
        )
    return path


def state(name: str, *, cache_dir: Path | None = None) -> Literal["present", "missing", "damaged"]:
    """How an asset stands in the cache. UsageError when no asset has this name."""
    asset = find(name)
    path = location(asset, cache_dir)
    if not path.is_file():
        return "missing"
    return "present" if is_intact(asset, path) else "damaged"


def is_intact(asset: Asset, path: Path) -> bool:
    """Whether the existing file ``path`` has the content of ``asset``."""
    stat = path.stat()
    if stat.st_size != asset.size:
        return False
    stamp = {"sha256": asset.sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    recorded = _read_record(path)
    if stamp.items() <= recorded.items():
        return True
    if sha256_file(path) != asset.sha256:
        return False
    # Without the record the next call hashes again: a cache that is read-only still serves.
    with contextlib.suppress(OSError):
        _write_record(asset, path, recorded.get("obtained_from", "unknown"))
    return True


def record_origin(asset: Asset, path: Path, obtained_from: str) -> None:
    """Write ``origin.json`` beside a file that has just been verified and put in place."""
    _write_record(asset, path, obtained_from)


def origin(name: str, *, cache_dir: Path | None = None) -> dict[str, Any]:
    """Provenance of a fetched asset, e.g. for a model card.

    Keys: name, file, sha256, size, origin, licence, obtained_from, obtained_at (UTC).
    Raises what :func:`asset_path` raises.
    """
    record = _read_record(asset_path(name, cache_dir=cache_dir))
    record.pop("mtime_ns", None)
    return record


def _write_record(asset: Asset, path: Path, obtained_from: str) -> None:
    stat = path.stat()
    write_json(
        path.with_name("origin.json"),
        {
            "name": asset.name,
            "file": asset.file_name,
            "sha256": asset.sha256,
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "origin": asset.origin,
            "licence": asset.licence,
            "obtained_from": obtained_from,
            "obtained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def _read_record(path: Path) -> dict[str, Any]:
    # A missing or broken record only costs one more hash of the file.
    with contextlib.suppress(DataError):
        record = read_json(path.with_name("origin.json"))
        if isinstance(record, dict):
            return record
    return {}
