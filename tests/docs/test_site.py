"""The documentation site builds without a warning and asks nobody but itself."""

from __future__ import annotations

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT

from evenface.recipes import models_in
from evenface.train import TrainRecipe

_NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers.python")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; its absence skips, as the extra ``docs`` is needed for nothing else."""
    for module in _NEEDED:
        pytest.importorskip(module, reason="the extra docs is not installed")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_pages_and_generated_references_are_there(site: Path) -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        if path.parent.name == "tables":
            continue  # of a study: beside their CSV, no pages of the site
        assert (site / path.relative_to(ROOT / "docs").with_suffix(".html")).is_file(), path
    commands = (site / "reference/commands.html").read_text("utf-8")
    assert "evenface data verification-set" in commands
    assert "--exclude-overlap" in commands
    assert "[&lt;group&gt;/]&lt;identity&gt;/&lt;image&gt;" in commands  # tags are text
    assert not re.search("<(group|identity|name)>", commands)
    keys = (site / "reference/recipe-keys.html").read_text("utf-8")
    for field, info in TrainRecipe.model_fields.items():
        assert f"<code>{field}</code>" in keys
        for model in models_in(info.annotation):
            assert all(f"<code>{field}.{name}</code>" in keys for name in model.model_fields)
    assert 'id="evenface.recogniser.Recogniser.verify"' in (
        site / "reference/recogniser.html"
    ).read_text("utf-8")
    assert (site / "results/quick/report.html").is_file()


@pytest.mark.slow
def test_pages_have_titles_of_their_own(site: Path) -> None:
    """From their headings: a page without one would be called by its file."""
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        match = re.search("<title>(.*?)</title>", text, re.DOTALL)
        assert match, page
        assert match[1].strip(), page
        assert page == site / "404.html" or "<h1" in text, page
    assert not list(site.glob("results/*/tables/*.html"))


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loading = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//")
    styles = re.compile(r"<link\b(?![^>]*rel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//")
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert not loading.search(text), page
        assert not styles.search(text), page


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("opened", ["served", "as files"])
def test_search_works_and_the_browser_asks_nobody_else(
    address: str, site: Path, browser: Any, opened: str
) -> None:
    address = address if opened == "served" else f"{site.as_uri()}/"
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(f"{address}index.html")
    page.click(".md-search__input")
    page.keyboard.type("margin", delay=20)
    page.wait_for_selector(".md-search-result__item")
    page.goto(f"{address}reference/commands.html")
    page.close()
    assert not failed
    assert asked
    assert all(url.startswith((address, "blob:", "data:")) for url in asked), asked
