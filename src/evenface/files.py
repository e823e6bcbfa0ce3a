"""Atomic writes and fingerprints."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenface.errors import DataError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``target``; rename it over ``target`` on success.

    After an error, a kill or a full disk the old ``target`` is still whole, and no half-written
    file bears its name. The temporary file keeps the target's suffix, because some writers look
    at it. Symbolic links are followed. A device or a pipe is not replaced: what was written is
    copied into it.

    Raises:
        OSError: ``target`` is a folder, or a symbolic link that leads to itself.
    """
    given, target = target, _followed(target)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(given))
    if target.exists() and not target.is_file():
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / f"content{target.suffix}"
            yield temporary
            with open(temporary, "rb") as content, open(target, "wb") as sink:
                shutil.copyfileobj(content, sink)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _followed(path: Path) -> Path:
    """Where symbolic links lead; OSError where they go round in circles."""
    found = Path(os.path.realpath(path))
    if found.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return found


def remove_remains(target: Path) -> None:
    """Delete what killed processes left of :func:`atomic_path` for ``target``.

    Call this only while nobody else writes it.
    """
    target = _followed(target)
    mark = re.compile(
        re.escape(f".{target.stem}.") + r"[0-9a-f]{8}\.tmp" + re.escape(target.suffix)
    )
    for path in target.parent.iterdir():
        if mark.fullmatch(path.name):
            path.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Like :func:`atomic_path` for a folder that must appear whole or not at all."""
    target = Path(os.path.realpath(target))  # "." has no name, and a link is not to be replaced
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def abandoned(target: Path) -> list[Path]:
    """Temporary folders of :func:`atomic_folder` beside ``target``, sorted by name.

    A killed process leaves its own; one that is at work has its own there as well.
    """
    target = Path(os.path.realpath(target))
    mark = re.compile(re.escape(f".{target.name}.") + r"[0-9a-f]{8}\.tmp")
    if not target.parent.is_dir():
        return []
    return sorted(path for path in target.parent.iterdir() if mark.fullmatch(path.name))


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """:func:`atomic_folder` for a new ``target``; one that exists is yielded itself.

    For a few files, each written atomically: what else the user keeps in the folder stays.
    """
    if target.exists():
        yield target
        return
    with atomic_folder(target) as folder:
        yield folder


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write JSON atomically: sorted as given, indented, NaN refused (ValueError)."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; DataError names the file when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{path}: not valid JSON (too deeply nested)") from None


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal, read in blocks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of a JSON-able value in canonical form: equal values, equal fingerprints."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
