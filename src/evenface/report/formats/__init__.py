"""Tables of text as files: Markdown to read, CSV to compute with, LaTeX to print."""

import re
from collections.abc import Callable

from evenface.report.formats.csv import to_csv
from evenface.report.formats.latex import to_latex
from evenface.report.formats.markdown import to_markdown
from evenface.report.table import Table

FORMATS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "tex": to_latex,
}
"""Writers by the suffix of their files."""


def file_stem(identifier: str) -> str:
    """A table's id as the name of its files, without their suffix."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", identifier)


__all__ = ["FORMATS", "file_stem", "to_csv", "to_latex", "to_markdown"]
