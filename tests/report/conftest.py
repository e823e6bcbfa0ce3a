"""Fixtures of the report's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from committed import NAMES, RESULTS
from document import Element, parse
from fabricated import draw_samples, fabricated_results
from fabricated_grid import draw_runs, grid_results

from evenface.report import write_report
from evenface.study.record import Results


@pytest.fixture
def results() -> dict[str, Any]:
    """Fabricated results that a test may change."""
    return fabricated_results()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any]], Element]:
    """Writes a report of results and reads it back."""

    def build(content: dict[str, Any]) -> Element:
        page = write_report(Results.parse(content), tmp_path / "report.html")
        return parse(page.read_text(encoding="utf-8"))

    return build


@pytest.fixture(scope="session")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the fabricated results, with sample sheets."""
    folder = tmp_path_factory.mktemp("study")
    draw_samples(folder)
    return write_report(Results.parse(fabricated_results()), folder / "report.html")


@pytest.fixture(scope="session")
def page(page_path: Path) -> Element:
    """The same, read."""
    return parse(page_path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def grid_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the fabricated grid, whose first two models have their run folders."""
    folder = tmp_path_factory.mktemp("grid")
    results = grid_results()
    draw_runs(results, folder)
    return write_report(Results.parse(results), folder / "report.html")


@pytest.fixture(scope="session")
def grid(grid_path: Path) -> Element:
    """The same, read."""
    return parse(grid_path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session", params=RESULTS, ids=NAMES)
def committed_page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of each study that the repository holds results of, in a folder of its name."""
    path: Path = request.param
    out = tmp_path_factory.mktemp("committed") / path.parent.name / "report.html"
    return write_report(path, out)
