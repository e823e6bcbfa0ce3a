"""Notebooks run as they are, hold no outputs, and become pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import ROOT

from scripts import load_script

tool = load_script(ROOT / "tools" / "site" / "notebooks.py")
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SHOWN = {
    "audit": ["SIMULATED", "<table>", 'alt="False non-match rate', "points, p 0.", "× old"],
    "distil": ["step 100 of 100", "<td>with</td>", "distinguishable=True", "<img"],
    "study": ["(45, [])", "Distillation from the study teacher", "supported –"],
}  # fmt: skip
"""Notebook → what its page shows beside the code."""


def write(path: Path, *sources: str) -> Path:
    cells = [{"cell_type": "code", "source": source} for source in sources]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_it_says(path: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    before = set(path.parent.iterdir())
    page = tool.page(path)
    for text in SHOWN[path.stem]:
        assert text in page
    assert f"]({path.name})" in page
    assert set(path.parent.iterdir()) == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_a_notebook_without_outputs(path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_a_cell_shows_what_it_prints_and_its_last_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "x = 1\nprint('said')\nx + 1", "x", "y = x", "")
    outputs = [cell.outputs for cell in tool.run(path)]
    assert outputs == [("```text\nsaid\n```", "```text\n2\n```"), ("```text\n1\n```",), (), ()]


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "1", "1 / 0")
    with pytest.raises(tool.CellError, match=r"a\.ipynb: cell 1 fails: division by zero"):
        tool.page(path)
