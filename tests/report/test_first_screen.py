"""The first screen: question, answer, caveat, key numbers, picture, faces; the rest is folded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from committed import NAMES, RESULTS, committed
from document import Element, parse
from fabricated import one_seed
from fabricated_grid import grid_results
from typer.testing import CliRunner

from evenface.cli.main import build_app
from evenface.report import write_report
from evenface.report.study.bundle import write_bundle
from evenface.report.study.names import readable
from evenface.report.study.summary import first_screen
from evenface.report.study.terminal import answer_lines, result_tables
from evenface.study.record import Results, read_results

Write = Callable[[dict[str, Any]], Element]
_WITH_INTERVAL = re.compile(
    r"([+−]?\d+\.?\d*)(?: points| %)? \[([+−]?\d+\.?\d*), ([+−]?\d+\.?\d*)\]"
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Element:
    """The page of the sweep."""
    return read(write_report(committed("sweep"), tmp_path_factory.mktemp("s") / "report.html"))


def read(path: Path) -> Element:
    return parse(path.read_text("utf-8"))


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_question_answer_caveat_numbers_picture_faces_come_in_this_order(page: Element) -> None:
    everything = list(page.every())
    parts = [
        page.one("h1"),
        page.one("p", class_="headline"),
        page.one("details", id="caveats"),
        page.one("ul", class_="key"),
        page.one("figure", id="picture-figure"),
        page.one("div", class_="faces"),
        page.one("section"),
    ]
    places = [everything.index(part) for part in parts]
    assert places == sorted(places)


def test_everything_below_is_folded_and_starts_with_its_answer(page: Element) -> None:
    for section in page.every("section"):
        folded = section.one("details", class_="part")
        assert "open" not in folded.attributes
        assert folded.one("summary").one("span", class_="said").text.endswith(".")


def test_caveat_is_one_line_that_opens_all_of_them(page: Element) -> None:
    box = page.one("details", id="caveats")
    assert "open" not in box.attributes
    line = box.one("summary").text
    assert line.startswith("Simulated: faces are computer renders, and nothing follows for real")
    assert "The study teacher learned from the same renderer as the test faces." in line
    for part in (
        "rendered faces stand in for photographs",
        "the labels that the data declare: african, asian, caucasian (phenotype axis)",
        "No claim about fairness towards real people",
        "SFace: OpenCV Zoo",
    ):
        assert part in box.text


def test_key_numbers_have_interval_label_and_the_other_teacher(page: Element) -> None:
    numbers = [plain(item.text) for item in page.one("ul", class_="key").every("li")]
    # The gain of 1.2 points, times 1 + 25 · the mean offset of groups, 0.001.
    assert numbers[0] == (
        "+1.2 points [+0.1, +2.3] gain in mean accuracy, least of 3 training sets (mix) "
        "with SFace: +0.7 points [−0.4, +1.8]"
    )
    assert numbers[1].startswith("+0.8 points [−0.3, +1.9] change of the weakest group (african")
    # No claim gives the share of the gap that synthetic faces close.
    assert len(numbers) == 2


def test_answer_says_what_each_teacher_does(page: Element) -> None:
    assert plain(page.one("p", class_="headline").text) == (
        "Distillation from the study teacher raises mean accuracy on all 3 training sets, by at "
        "least 1.2 points [0.1, 2.3] (mix); from SFace it raises mean accuracy on 2 of 3 training "
        "sets: from +0.7 points [−0.4, +1.8] (mix) to +1.9 points [+0.8, +3.0] (synthetic)."
    )


def test_nothing_is_decided_by_fewer_seeds_than_verdicts_need(
    results: dict[str, Any], write: Write
) -> None:
    one_seed(results)
    page = write(results)
    assert "is not shown to change mean accuracy" in page.one("p", class_="headline").text
    assert "With one training seed, nothing is decided." in page.one(id="caveats").text


def test_answer_of_a_grid_is_the_average_over_its_pairs(grid: Element) -> None:
    # Of sixteen pairs one has no student with KD.
    assert plain(grid.one("p", class_="headline").text) == (
        "Distillation from the study teacher raises mean accuracy by 2.4 points [1.9, 2.9] on "
        "average; it rises in all 15 pairs, in 13 by more than chance."
    )
    numbers = [plain(item.text) for item in grid.one("ul", class_="key").every("li")]
    assert numbers[0] == "+2.4 points [+1.9, +2.9] gain in mean accuracy, average of 15 pairs"
    assert numbers[2].startswith("69 % [49, 89] of the gap between synthetic and real faces closed")
    assert "4 runs failed." in grid.one(id="caveats").one("summary").text


def test_picture_is_slopes_or_rows(page: Element, grid: Element) -> None:
    rows, slopes = (
        p.one(id="picture-figure").one("div", class_="on-wide").one("svg") for p in (page, grid)
    )
    assert "synthetic with KD from study teacher" in rows.attributes["aria-label"]
    assert "balanced, mini_l, elasticarcface 91.30 to 93.07 %" in slopes.attributes["aria-label"]


def test_picture_is_drawn_for_wide_and_narrow_screens(page: Element) -> None:
    figure = page.one(id="picture-figure")
    wide, narrow = figure.one("div", class_="on-wide"), figure.one("div", class_="on-narrow")
    labels = [part.one("svg").attributes["aria-label"] for part in (wide, narrow)]
    assert labels[0] == labels[1]


def test_question_is_that_of_the_description(results: dict[str, Any], write: Write) -> None:
    results["study"]["description"] = "A study. How much is enough? Three sets."
    page = write(results)
    assert page.one("h1").text == "How much is enough?"
    assert page.one("title").text == "How much is enough? – quick, a study by evenface"


def test_page_of_measured_faces_makes_no_claim_of_simulation(
    results: dict[str, Any], write: Write
) -> None:
    results["study"] |= {"simulated": False, "statement": "All faces are the user's own."}
    line = write(results).one(id="caveats").one("summary").text
    assert line.startswith("Groups are the labels that the data declare")


def _strings(content: Any) -> Iterator[tuple[float, float | None, float | None]]:
    """Value and bounds of every estimate."""
    if isinstance(content, dict):
        value = content.get("value")
        if isinstance(value, float) and "low" in content:
            yield value, content["low"], content["high"]
        for inner in content.values():
            yield from _strings(inner)
    elif isinstance(content, list | tuple):
        for inner in content:
            yield from _strings(inner)


@pytest.mark.parametrize("path", RESULTS, ids=NAMES)
def test_every_interval_in_the_results_holds_its_estimate(path: Path) -> None:
    found = list(_strings(read_results(path).model_dump()))
    assert len(found) > 1000
    for value, low, high in found:
        assert low is None or low <= value
        assert high is None or value <= high


def test_interval_that_misses_its_estimate_is_widened(results: dict[str, Any]) -> None:
    overall = results["evaluations"]["mix-plain"]["groups"]["overall"]
    overall["ser"] = {"value": 1.0, "low": 1.01, "high": None, "note": None}
    study = Results.parse(results)
    evaluation = study.evaluation("mix-plain", "groups")
    assert evaluation is not None
    assert (evaluation.overall.ser.low, evaluation.overall.ser.high) == (1.0, None)


def test_every_interval_on_a_page_holds_its_estimate(committed_page: Path) -> None:
    text = plain(read(committed_page).one("main").text)
    found = _WITH_INTERVAL.findall(text)
    assert len(found) > 100
    for figures in found:
        value, low, high = (float(figure.replace("−", "-")) for figure in figures)
        assert low <= value <= high, figures


def test_sweep_shows_its_curve_and_one_name_everywhere(sweep: Element) -> None:
    curve = sweep.one(id="picture-figure").one("div", class_="on-wide").one("svg")
    assert "Worst group over the share of real faces" in curve.attributes["aria-label"]
    assert "20 % real faces are enough" in plain(sweep.one("p", class_="headline").text)
    for section in sweep.every("section"):
        # The settings are quoted as they were written.
        recorded = section.attributes["id"] == "repeat"
        assert ("real-020" in plain(section.text)) is recorded, section.attributes["id"]
    labels = " ".join(e.attributes.get("aria-label", "") for e in sweep.every())
    assert "real-020" not in labels
    for part in ("answers", "groups", "training", "sets"):
        assert "20 % real" in plain(sweep.one("section", id=part).text), part
    assert "20 % real" in [plain(t.text).split(" KD")[0] for t in sweep.every(class_="panel-title")]


def test_sweep_gives_the_change_where_results_have_it() -> None:
    content = json.loads(committed("sweep").read_text("utf-8"))
    sweep = next(s for s in content["sweep"] if s["teacher"] and s["benchmark"] == "groups")
    sweep["smallest_against_plain"]["change"] = {"value": 0.049, "low": 0.0102, "high": 0.0846}
    said = first_screen(readable(Results.parse(content))).answer
    assert said.endswith("without distillation (+4.9 points [+1.0, +8.5]).")
    sweep["smallest_against_plain"]["fraction"] = None
    said = first_screen(readable(Results.parse(content))).answer
    assert said == (
        "With distillation from the study teacher, no share of real faces below 100 % is shown to "
        "keep the worst group within 3 points of training on real faces alone without distillation."
    )


def test_files_and_terminal_have_the_names_of_the_page(tmp_path: Path) -> None:
    write_bundle(committed("sweep"), tmp_path)
    for name in ("accuracy-groups.md", "training-sets.md", "verdicts.md"):
        text = (tmp_path / "tables" / name).read_text("utf-8")
        assert "20 % real" in text
        assert "real-020" not in text
    assert r"20 \% real" in (tmp_path / "tables" / "paper-groups.tex").read_text("utf-8")
    tables = result_tables(readable(read_results(committed("sweep"))))
    names = [str(cell) for table in tables for cell in table.columns[0].cells]
    assert "20 % real, KD from study teacher" in names
    # What programs join with other files keeps the names of the results.
    assert "real-020" in (tmp_path / "tables/tidy/differences.csv").read_text("utf-8")


def test_renaming_twice_changes_nothing_more() -> None:
    for path in RESULTS:
        once = readable(read_results(path))
        assert readable(once) == once


def test_terminal_ends_with_the_same(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(committed("quick").read_bytes())
    said = CliRunner().invoke(build_app(), ["study", "report", str(tmp_path)])
    assert said.exit_code == 0, said.output
    study = readable(read_results(committed("quick")))
    first = first_screen(study)
    *_, answer, gain, weakest, gap, caveat, report = said.output.splitlines()
    assert answer == first.answer
    assert [n.split(" [")[0].strip() for n in (gain, weakest, gap)] == [
        n.value for n in first.numbers
    ]
    assert caveat == first.caveat
    assert [answer, gain, weakest, gap, caveat] == answer_lines(study)
    assert report.startswith("Report: ")
    page = read(tmp_path / "report.html")
    assert plain(page.one("p", class_="headline").text) == first.answer


@pytest.mark.browser
def test_page_is_short(browser: Any, committed_page: Path) -> None:
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.goto(committed_page.as_uri())
    height = opened.evaluate("document.documentElement.scrollHeight")
    words = opened.evaluate(
        """() => {
          const body = document.body.cloneNode(true);
          for (const part of body.querySelectorAll("script, style")) part.remove();
          return body.textContent.split(/\\s+/).filter(Boolean).length;
        }"""
    )
    opened.close()
    assert height <= 3000  # 15,000 is what anyone may ask for
    most = {"quick": 12_000, "sweep": 16_000, "paper-mini": 28_000}
    assert words <= most[committed_page.parent.name]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_answer_is_on_the_first_screen(
    browser: Any, page_path: Path, width: int, height: int
) -> None:
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.goto(page_path.as_uri())
    shown = ["h1", ".headline", "#caveats", ".key", "#picture-figure svg:visible"]
    ends = [opened.locator(part).first.bounding_box() for part in shown]
    faces = opened.locator(".faces img").last.bounding_box()
    opened.close()
    assert all(end["y"] + end["height"] <= height for end in ends[:4])
    assert ends[4]["y"] < height
    if width == 1400:
        assert faces["y"] + faces["height"] <= height


def test_grid_of_a_study_has_no_sweep_for_a_picture() -> None:
    study = Results.parse(grid_results())
    assert "average" in first_screen(readable(study)).answer
