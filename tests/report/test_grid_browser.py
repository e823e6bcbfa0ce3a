"""The page of a grid in Chromium: filters, sorting, keys, both schemes, narrow screens, print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

TABLE = "#accuracy-groups"


@pytest.fixture
def page(browser: Any, grid_path: Path) -> Iterator[Any]:
    """The page, which must say nothing to the console."""
    said: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.on("console", lambda m: said.append(m.text))
    opened.on("pageerror", lambda e: said.append(str(e)))
    opened.goto(grid_path.as_uri())
    # Folded parts are in the page, but not to be clicked.
    opened.evaluate("document.querySelectorAll('.part').forEach((part) => (part.open = true))")
    yield opened
    opened.close()
    assert said == []


def shown(page: Any) -> list[str]:
    """Headers of the rows that are seen, from top to bottom."""
    texts: list[str] = page.locator(f"{TABLE} tbody tr:visible th").all_inner_texts()
    return [text.splitlines()[0] for text in texts]


def said(page: Any) -> str:
    return str(page.locator(f"{TABLE} output").inner_text())


def test_rows_are_filtered_by_what_tells_models_apart(page: Any) -> None:
    controls = page.locator(f"{TABLE} form")
    assert said(page) == "34 rows"
    controls.get_by_label("backbone").select_option("mini_s")
    assert said(page) == "10 of 34 rows"
    controls.get_by_label("KD", exact=True).select_option("without KD")
    assert said(page) == "5 of 34 rows"
    controls.get_by_label("training set").select_option("mix-equal-ids")
    assert shown(page) == ["mix-equal-ids, mini_s, elasticarcface, without KD"]
    controls.get_by_role("button", name="Show all").click()
    assert said(page) == "34 rows"
    assert page.evaluate("document.activeElement.type") == "search"


def test_rows_are_searched_word_by_word_in_any_order(page: Any) -> None:
    page.locator(f"{TABLE} input").fill("ADAFACE  balanced")
    assert said(page) == "2 of 34 rows"
    page.locator(f"{TABLE} input").fill("(nothing like this")
    assert said(page) == "0 of 34 rows"
    assert shown(page) == []


def test_count_is_spoken(page: Any) -> None:
    assert page.locator(f"{TABLE} output").get_attribute("aria-live") == "polite"
    assert page.locator(f"{TABLE} form").get_attribute("role") == "search"


def test_columns_are_sorted_there_and_back(page: Any) -> None:
    before = shown(page)
    head = page.locator(f"{TABLE} thead th", has_text="mean")
    button = head.get_by_role("button", name="Sort by mean")
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert shown(page)[0] == "study teacher"
    # What was not measured comes last, either way.
    assert shown(page)[-1].startswith("mix-equal-img, mini_s, elasticarcface, KD")
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "ascending"
    assert shown(page)[0] == "untrained network"
    assert shown(page)[-1].startswith("mix-equal-img, mini_s, elasticarcface, KD")
    page.locator(f"{TABLE} thead th", has_text="model").get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "none"
    by_name = shown(page)
    assert sorted(by_name) == sorted(before)
    assert [name.split(",")[0] for name in by_name[:2]] == ["balanced", "balanced"]
    assert by_name[-1] == "untrained network"
    page.locator(f"{TABLE} thead th", has_text="model").get_by_role("button").click()
    page.locator(f"{TABLE} thead th", has_text="model").get_by_role("button").click()
    assert shown(page) == before


def test_sorted_table_stays_filtered(page: Any) -> None:
    page.locator(f"{TABLE} input").fill("mini_l untrained")
    page.locator(f"{TABLE} input").fill("synthetic-mix")
    page.locator(f"{TABLE} thead th", has_text="SER").get_by_role("button").click()
    assert len(shown(page)) == 6


def test_link_into_a_folded_part_opens_it(page: Any) -> None:
    link = page.locator(".verdicts tbody th a").first
    target = str(link.get_attribute("href"))
    assert not page.locator(target).is_visible()
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('{target}').closest('details').open")
    assert page.locator(target).is_visible()


def test_link_from_elsewhere_into_a_folded_part_opens_it(browser: Any, grid_path: Path) -> None:
    opened = browser.new_page()
    opened.goto(f"{grid_path.as_uri()}#claim-9")
    assert opened.locator("#claim-9").is_visible()
    opened.goto("about:blank")
    opened.goto(f"{grid_path.as_uri()}#%E0%A4%A")  # no valid encoding
    assert opened.locator("h1").is_visible()
    opened.close()


def test_page_is_whole_without_scripts(browser: Any, grid_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(grid_path.as_uri())
    assert len(opened.locator(f"{TABLE} tbody tr").all()) == 34
    assert opened.locator(f"{TABLE} form, .sort").count() == 0
    opened.locator("#answers > details > summary").click()
    opened.locator("#answers details details > summary").first.click()
    assert opened.locator("#answers h4").first.is_visible()
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_stays_inside_asks_for_nothing_and_says_nothing(
    browser: Any, grid_path: Path, scheme: str, width: int
) -> None:
    asked: list[str] = []
    heard: list[str] = []
    opened = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened.on("request", lambda r: asked.append(r.url))
    opened.on("console", lambda m: heard.append(m.text))
    opened.on("pageerror", lambda e: heard.append(str(e)))
    pages = sorted((grid_path.parent / "pages").iterdir())[:1]
    for path in (grid_path, *pages):
        asked.clear()
        opened.goto(path.as_uri())
        opened.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        overflow = opened.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, path.name
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    opened.close()
    assert heard == []


def test_controls_and_figures_are_readable_in_both_schemes(browser: Any, grid_path: Path) -> None:
    for scheme in ("light", "dark"):
        opened = browser.new_page(color_scheme=scheme)
        opened.goto(grid_path.as_uri())
        ratios = opened.evaluate(_CONTRASTS)
        opened.close()
        assert len(ratios) > 20
        assert min(ratios) >= 4.5, scheme


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
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const shown = '.controls *, .sort, .verdicts a, .verdict, .headline, .key *';
  const text = [...document.querySelectorAll(shown)];
  const drawn = [...document.querySelectorAll('.strip text')].slice(0, 200);
  return [
    ...text.map((e) => ratio(luminance(getComputedStyle(e).color), behind(e))),
    ...drawn.map((e) => ratio(luminance(getComputedStyle(e).fill), behind(e.closest('div')))),
  ];
}"""


def test_print_has_everything_and_no_controls(page: Any) -> None:
    page.emulate_media(media="print")
    assert not page.locator(f"{TABLE} form").is_visible()
    assert page.locator(f"{TABLE} .sort").first.is_hidden()
    folded = page.locator("#answers h4").first
    assert folded.evaluate("e => e.getBoundingClientRect().height") > 0
    link = page.locator("#models a[href^='pages/']").first
    shown_behind = link.evaluate("e => getComputedStyle(e, '::after').content")
    assert "pages/" in shown_behind or "attr(href)" in shown_behind


def test_run_page_leads_back(browser: Any, grid_path: Path) -> None:
    opened = browser.new_page()
    opened.goto(f"{grid_path.as_uri()}#models")
    opened.locator("#models a[href^='pages/']").first.click()
    assert "seed 0" in opened.locator("h1").inner_text()
    opened.get_by_role("link", name="Back to the report").click()
    assert opened.url == grid_path.as_uri()
    opened.close()
