"""Fixtures of the report's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from document import Element, parse
from fabricated import draw_samples, fabricated_results

from evenface.report import write_report

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = ["--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture
def results() -> dict[str, Any]:
    """Fabricated results that a test may change."""
    return fabricated_results()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any]], Element]:
    """Writes a report of results and reads it back."""

    def build(content: dict[str, Any]) -> Element:
        page = write_report(content, tmp_path / "report.html")
        return parse(page.read_text(encoding="utf-8"))

    return build


@pytest.fixture(scope="session")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the fabricated results, with sample sheets."""
    folder = tmp_path_factory.mktemp("study")
    draw_samples(folder)
    return write_report(fabricated_results(), folder / "report.html")


@pytest.fixture(scope="session")
def page(page_path: Path) -> Element:
    """The same, read."""
    return parse(page_path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium: the system's, else playwright's own."""
    required = os.environ.get("EVENFACE_REQUIRE_BROWSER") == "1"
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        if required:
            raise
        pytest.skip("playwright is not installed")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium's sandbox refuses root
    system = next((path for name in _NAMES if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(
                executable_path=system, args=[*_ARGUMENTS, *sandbox]
            )
        except Error as error:
            if required:
                raise
            pytest.skip(f"no Chromium: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()
