"""Folders that a report replaces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evenface.errors import DataError


def refuse_other_content(folder: Path, suffixes: Iterable[str], *, of: str) -> None:
    """Raise where replacing the folder would delete what no report has written.

    Args:
        folder: that is to be replaced, if it exists.
        of: what is reported, for the message: "an audit".
        suffixes: of the files that a report writes there, without the dot.

    Raises:
        DataError: it holds something else, which is named.
    """
    expected = {f".{suffix}" for suffix in suffixes}
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_dir() or path.suffix not in expected:
                raise DataError(
                    f"{path}: not of {of}, whose report would replace {folder}. Move it away, "
                    "or give another folder"
                )
