"""The page in Chromium: no request, no error, no overflow; dark mode; print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricated import draw_samples, fabricated_results

from evenface.report import write_report
from evenface.study.record import Results

pytestmark = pytest.mark.browser


@pytest.fixture
def long_page(tmp_path: Path) -> Path:
    """A page whose titles are long and cannot be broken."""
    results = fabricated_results()
    draw_samples(tmp_path)
    for part in ("models", "sets", "benchmarks"):
        for entry in results[part]:
            entry["title"] = f"{entry['title']} {'unbreakable' * 12}"
    for claim in results["claims"]:
        claim["question"] = f"{claim['question']} {'unbreakable' * 12}"
        claim["tests"][0]["label"] = "unbreakable" * 12
    results["stages"][0]["name"] = "unbreakable" * 12
    results["study"]["name"] = "unbreakable" * 12
    return write_report(Results.parse(results), tmp_path / "report.html")


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["page_path", "long_page"])
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


def test_dark_mode_is_readable(browser: Any, page_path: Path) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(page_path.as_uri())
        ratios = page.evaluate(_CONTRASTS)
        page.close()
        assert ratios["paper"] < 0.05 if scheme == "dark" else ratios["paper"] > 0.9
        assert min(ratios["text"]) >= 4.5, scheme


_CONTRASTS = """() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((v) => {
      const c = v / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return luminance(colour);
    }
    return 1;
  };
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const texts = document.querySelectorAll('p, a, td, th, small, dt, dd, li, summary, .verdict');
  return {
    paper: luminance(getComputedStyle(document.body).backgroundColor),
    text: [...texts].map((e) => contrast(luminance(getComputedStyle(e).color), behind(e))),
  };
}"""


def test_marks_of_verdicts_are_drawn(browser: Any, page_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(f"{page_path.as_uri()}#answers")
    page.evaluate("document.querySelector('#answers > details').open = true")
    sizes = page.evaluate(
        "[...document.querySelectorAll('.verdict svg')].map((e) => e.getBoundingClientRect().width)"
    )
    page.close()
    assert len(sizes) == 6
    assert min(sizes) >= 12


def test_print_shows_what_is_folded(browser: Any, page_path: Path) -> None:
    page = browser.new_page()
    page.goto(page_path.as_uri())
    folded = page.locator("#answers .rule").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    assert folded.evaluate("e => e.getBoundingClientRect().height") > 0
    page.close()
