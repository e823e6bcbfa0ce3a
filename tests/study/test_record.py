"""Results are written and read through the same classes, and earlier layouts still load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evenface.errors import DataError
from evenface.files import read_json
from evenface.study.record import SCHEMA, Results, read_results

COMMITTED = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*/results.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_committed_results_are_written_as_they_are_read(path: Path) -> None:
    results = read_results(path)
    written = results.to_dict()
    assert list(written)[:2] == ["schema", "study"]
    assert Results.parse(json.loads(json.dumps(written, allow_nan=False))) == results
    assert _holds(written, read_json(path) | {"schema": SCHEMA})


def _holds(written: Any, recorded: Any) -> bool:
    """Whether everything that was recorded is written again, intervals widened to their values."""
    if isinstance(recorded, dict):
        if {"value", "low"} <= set(recorded):
            recorded = {key: recorded[key] for key in recorded if key not in ("low", "high")}
        return all(_holds(written[key], value) for key, value in recorded.items())
    if isinstance(recorded, list):
        return all(_holds(*pair) for pair in zip(written, recorded, strict=True))
    return written == recorded


def test_runs_of_the_second_layout_are_found_by_name() -> None:
    content = read_json(COMMITTED[0]) | {"schema": 2, "files": {}}
    for model in content["models"]:
        del model["runs"]
    results = Results.parse(content)
    assert results.students[0].runs[0].run == f"runs/{results.students[0].id}-s0"
    assert not any(model.runs for model in results.references)


@pytest.mark.parametrize("layout", [1, SCHEMA + 1])
def test_other_layouts_are_refused(layout: int) -> None:
    with pytest.raises(DataError, match=rf"mine: layout {layout} .*reads layouts 2, 3, {SCHEMA}"):
        Results.parse({"schema": layout}, "mine")
