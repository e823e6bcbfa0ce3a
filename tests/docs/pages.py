"""Commands and Python that the pages show: README.md, CONTRIBUTING.md and docs/."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
"""In its folders lies what studies wrote."""
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.parent == RESULTS or RESULTS not in page.parents
    ),
]

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`((?:evenface|make|python|pip|pytest) [^`]+)`")


class Snippet(NamedTuple):
    """A piece of a page."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> Iterator[Snippet]:
    """Fenced blocks of a language, "" for those that name none."""
    for path in PAGES:
        page = path.read_text("utf-8")
        for match in _BLOCK.finditer(page):
            if match[2] == language:
                line = page.count("\n", 0, match.start()) + 2
                yield Snippet(str(path.relative_to(ROOT)), line, textwrap.dedent(match[3]))


def commands() -> Iterator[Snippet]:
    """What follows a "$" in console blocks, continued lines joined."""
    for block in blocks("console"):
        for match in re.finditer(r"^\$ ((?:.*\\\n)*.*)", block.text, re.MULTILINE):
            line = block.line + block.text.count("\n", 0, match.start())
            yield Snippet(block.page, line, match[1].replace("\\\n", " "))


def mentions() -> Iterator[Snippet]:
    """Commands in running text; they may be shortened."""
    for path in PAGES:
        page = path.read_text("utf-8")
        for match in _SPAN.finditer(_BLOCK.sub(lambda m: "\n" * m[0].count("\n"), page)):
            yield Snippet(str(path.relative_to(ROOT)), 0, match[1])
