"""The page of an audit in Chromium: no request, no error, no overflow; dark mode; print; keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audits import evaluation

from evenface.report.audit import collect_audit, write_audit

pytestmark = pytest.mark.browser

LONG = "unbreakable" * 12


@pytest.fixture(scope="module")
def audit_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, compared."""
    pair = [("first", evaluation()), ("second", evaluation(3.4, model="second"))]
    return write_audit(collect_audit(pair), tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def long_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names that are long and cannot be broken, in many groups."""
    names = tuple(f"{i}{LONG}" for i in range(4))
    found = evaluation(groups=names, model=LONG, name=LONG)
    return write_audit(collect_audit([(LONG, found)]), tmp_path_factory.mktemp("long"))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["audit_path", "long_path"])
def test_page_stays_inside_asks_for_nothing_and_says_nothing(
    browser: Any, request: pytest.FixtureRequest, which: str, scheme: str, width: int
) -> None:
    path: Path = request.getfixturevalue(which)
    asked: list[str] = []
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.goto(path.as_uri())
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    page.close()
    assert overflow <= 0
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert said == []


def test_plots_follow_the_colour_scheme(browser: Any, audit_path: Path) -> None:
    seen = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(audit_path.as_uri())
        seen.append(page.evaluate("getComputedStyle(document.querySelector('.chart text')).fill"))
        page.close()
    assert seen[0] != seen[1]


def test_keyboard_reaches_the_answers_and_what_is_folded(browser: Any, audit_path: Path) -> None:
    page = browser.new_page()
    page.goto(audit_path.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answers"
    page.keyboard.press("Enter")
    assert page.url.endswith("#answers")
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")
    page.close()


def test_print_shows_what_is_folded(browser: Any, audit_path: Path) -> None:
    page = browser.new_page()
    page.goto(audit_path.as_uri())
    folded = page.locator("#p1-groups")
    assert not folded.is_visible()
    page.emulate_media(media="print")
    assert folded.evaluate("e => e.getBoundingClientRect().height") > 0
    assert not page.locator("nav").is_visible()
    page.close()


def test_contents_are_beside_the_page_where_there_is_room(browser: Any, audit_path: Path) -> None:
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.goto(audit_path.as_uri())
    contents, title = (opened.locator(part).bounding_box() for part in ("nav ol", "h1"))
    opened.close()
    assert contents["x"] + contents["width"] < title["x"]
