"""Formats in which face data sets are published: one module each, one line each below."""

from __future__ import annotations

from pathlib import Path

from evenface.data.formats import folder, insightface
from evenface.data.formats.base import Format, Record, Source
from evenface.errors import DataError
from evenface.registry import Registry

FORMATS: Registry[Format] = Registry("format")
FORMATS.register("folder")(folder.FORMAT)
FORMATS.register("recordio")(insightface.FORMAT)


def open_source(path: Path, *, group_attribute: str = "group") -> Source:
    """List the images at ``path``, whose format is told from what lies there.

    Args:
        path: a folder (or, for other formats, a file).
        group_attribute: attribute that a group level becomes.

    Raises:
        DataError: nothing there, no known format, or malformed.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    for name in FORMATS:
        if FORMATS[name].recognises(path):
            return FORMATS[name].open(path, group_attribute)
    known = "; ".join(f"{name}: {FORMATS[name].layout}" for name in FORMATS)
    kind = "a folder" if path.is_dir() else "a file"
    raise DataError(f"{path}: {kind} of no known format. Known are {known}")


__all__ = ["FORMATS", "Format", "Record", "Source", "open_source"]
