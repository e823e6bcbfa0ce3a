"""Formats in which face data sets are published: one module each, one line each below."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from evenface.data.formats import (
    agedb,
    bupt,
    digiface,
    fairface,
    fhibe,
    folder,
    hf_parquet,
    images,
    insightface,
    lmdb,
    path_list,
    sfhq,
    table,
    webdataset,
)
from evenface.data.formats.base import NONE, Format, ReadOptions, Record, Source
from evenface.data.formats.verification_bcolz import is_carray
from evenface.data.formats.verification_bin import SUFFIX
from evenface.errors import DataError, UsageError
from evenface.registry import Registry

FORMATS: Registry[Format] = Registry("format")
FORMATS.register("agedb")(agedb.FORMAT)
FORMATS.register("bupt")(bupt.FORMAT)
FORMATS.register("digiface")(digiface.FORMAT)
FORMATS.register("fairface")(fairface.FORMAT)
FORMATS.register("fhibe")(fhibe.FORMAT)
FORMATS.register("folder")(folder.FORMAT)
FORMATS.register("images")(images.FORMAT)
FORMATS.register("list")(path_list.FORMAT)
FORMATS.register("lmdb")(lmdb.FORMAT)
FORMATS.register("parquet")(hf_parquet.FORMAT)
FORMATS.register("recordio")(insightface.FORMAT)
FORMATS.register("sfhq")(sfhq.FORMAT)
FORMATS.register("table")(table.FORMAT)
FORMATS.register("webdataset")(webdataset.FORMAT)

_NO_OPTIONS = ReadOptions()


def detect_format(path: Path) -> Format:
    """The format of what lies at ``path``.

    Raises:
        DataError: nothing there, no known format, or several.
    """
    if is_carray(path) or (path.suffix.lower() == SUFFIX and path.is_file()):
        raise DataError(
            f"{path}: a verification set has pairs, not identities, and cannot be imported. "
            f"Evaluate on it: 'evenface evaluate MODEL --protocol {path} --out FOLDER'"
        )
    found = [FORMATS[name] for name in FORMATS if FORMATS[name].recognises(path)]
    found = [item for item in found if not item.last] or found
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(item.name for item in found)
        raise DataError(f"{path}: looks like {names}; choose one with --format")
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    known = "; ".join(f"{name}: {FORMATS[name].layout}" for name in FORMATS)
    kind = "a folder" if path.is_dir() else "a file"
    raise DataError(f"{path}: {kind} of no known format. Known are {known}")


def choose_format(path: Path, name: str = "") -> Format:
    """The format called ``name``, or that of what lies at ``path``.

    Raises:
        UsageError: no such format.
        DataError: see :func:`detect_format`.
    """
    if name and name not in FORMATS:
        raise UsageError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")
    return FORMATS[name] if name else detect_format(path)


def open_source(path: Path, options: ReadOptions = _NO_OPTIONS, *, format: str = "") -> Source:
    """List the images at ``path``.

    Args:
        path: a file or folder; a pattern of several files where the format has such.
        options: how to read it.
        format: name of the format; "": told from what lies there.

    Raises:
        DataError: nothing there, no known format, or malformed.
        UsageError: no such format, or an option that means nothing in this one.
    """
    chosen = choose_format(path, format)
    if chosen is folder.FORMAT and (options.identity_from or options.identity == NONE):
        chosen = images.FORMAT
    for option in fields(ReadOptions):
        given = getattr(options, option.name) != option.default
        if given and option.name not in chosen.heeds:
            what = option.name.replace("_", "-")
            raise UsageError(f"{path}: --{what} means nothing for the format '{chosen.name}'")
    return chosen.open(path, options)


__all__ = [
    "FORMATS",
    "Format",
    "ReadOptions",
    "Record",
    "Source",
    "choose_format",
    "detect_format",
    "open_source",
]
