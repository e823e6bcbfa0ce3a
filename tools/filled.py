"""Pages with places that tools fill: between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``."""

from __future__ import annotations

import re
from pathlib import Path

from evenface.files import write_text


def fill(page: Path, name: str, content: str) -> None:
    """Put ``content`` into the page's place of that name; nothing where it has none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    between = re.compile(f"{begin}.*{end}", re.DOTALL)
    text = page.read_text("utf-8")
    write_text(page, between.sub(lambda _: f"{begin}\n{content}\n{end}", text))
