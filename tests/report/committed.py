"""The results of studies that the repository holds."""

from __future__ import annotations

from pathlib import Path

RESULTS = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*/results.json"))
NAMES = [path.parent.name for path in RESULTS]


def committed(name: str) -> Path:
    """``results.json`` of a study."""
    return RESULTS[NAMES.index(name)]
