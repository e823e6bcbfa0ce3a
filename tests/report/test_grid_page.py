"""The page of a grid: what is folded, what is marked, what only such a study has."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

from document import Element, table_rows
from fabricated_grid import SETS


def test_sections_stand_in_order(grid: Element) -> None:
    order = [section.attributes["id"] for section in grid.every("section")]
    assert order == [
        "answers",
        "sweep",
        "groups",
        "unevenness",
        "levels",
        "inheritance",
        "others",
        "roc",
        "training",
        "failures",
        "sets",
        "methods",
        "repeat",
        "glossary",
    ]


def test_headings_ids_and_links_are_sound(grid: Element) -> None:
    levels = [int(e.tag[1]) for e in grid.every() if re.fullmatch("h[1-6]", e.tag)]
    assert all(below - above <= 1 for above, below in pairwise(levels))
    ids = [e.attributes["id"] for e in grid.every() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    hrefs = [e.attributes["href"] for e in grid.every() if e.tag in ("a", "use")]
    inside = {href.removeprefix("#") for href in hrefs if not href.startswith("pages/")}
    assert inside <= set(ids)
    attribute = "aria-labelledby"
    labels = {e.attributes[attribute] for e in grid.every() if attribute in e.attributes}
    assert labels <= set(ids)


def test_page_is_one_small_file(grid: Element, grid_path: Path) -> None:
    assert grid_path.stat().st_size < 4_000_000
    for element in grid.every():
        for name in ("src", "srcset", "action", "data", "poster"):
            assert element.attributes.get(name, "data:").startswith(("#", "data:"))
    assert "://" not in grid_path.read_text(encoding="utf-8")


def test_stand_ins_are_a_caveat(grid: Element) -> None:
    box = grid.one("details", id="caveats")
    assert "Stand-ins. mini_l, mini_m and mini_s stand in for IResNet-50" in box.text


def test_verdicts_lead_to_every_answer(grid: Element) -> None:
    tables = list(grid.every("table", class_="verdicts"))
    links = [a.attributes["href"] for table in tables for a in table.every("a")]
    assert len(links) == len(set(links)) == 52
    rows = [row.one("th").text for row in tables[2].one("tbody").every("tr")]
    assert rows[: len(SETS)] == [f"{name}, mini_l, elasticarcface" for name in SETS]
    answers = {link.removeprefix("#") for link in links}
    listed = [item.attributes.get("id") for item in grid.every("li")]
    assert answers <= set(listed)


def test_every_answer_has_its_figure(grid: Element) -> None:
    for item in grid.one("section", id="answers").every("li"):
        if item.attributes.get("id", "").startswith("claim-"):
            figure = item.one("svg", class_="strip")
            assert figure.attributes["role"] == "img"
            assert len(figure.attributes["aria-label"]) > 20


def test_charts_of_single_pairs_are_few_and_say_so(grid: Element) -> None:
    for figure in ("slope", "roc-curves", "inherited"):
        chart = grid.one(id=f"{figure}-figure")
        assert len(list(chart.every("div", class_="panel"))) == 12
        assert "The first 12 of 1" in chart.one("figcaption").text
    rows = table_rows(grid, "differences-groups-accuracy")
    assert len(rows) == 15  # of sixteen pairs one is a hole


def test_models_can_be_filtered_by_what_tells_them_apart(grid: Element) -> None:
    table = grid.one(id="accuracy-groups")
    assert "data-interactive" in table.attributes
    rows = list(table.one("table").every("tr"))[1:]
    assert len(rows) == 34
    facets = json.loads(rows[0].attributes["data-facets"])
    assert list(facets.items()) == [
        ("models", "students"),
        ("training set", "balanced"),
        ("KD", "without KD"),
        ("backbone", "mini_l"),
        ("head", "elasticarcface"),
    ]
    values = [
        float(c.attributes["data-value"])
        for c in rows[0].every("td")
        if "data-value" in c.attributes
    ]
    assert [round(value, 4) for value in values] == [0.898, 0.918, 0.923, 0.913, 0.0132, 1.3247]


def test_holes_are_marked_with_their_message(grid: Element) -> None:
    rows = table_rows(grid, "accuracy-groups")
    hole = next(cells for title, cells in rows.items() if "0 of 3 runs" in title)
    assert hole == ["– 1"] * 7
    assert "the loss is not finite at step 40" in grid.one(id="accuracy-groups").one("ol").text
    assert any("2 of 3 runs: seed 2 failed" in title for title in rows)
    failed = grid.one("section", id="failures")
    assert failed.text.count("the loss is not finite at step 40") == 3
    assert "killed by the operating system" in failed.text


def test_sweep_answers_in_words_and_curves(grid: Element) -> None:
    sweep = grid.one("section", id="sweep")
    text = sweep.text.replace("\xa0", " ")
    assert "Without KD: 50 % real faces are shown to be enough" in text
    assert "KD from study teacher: Synthetic faces alone are shown to be enough" in text
    panels = [p.text for p in sweep.every("p", class_="panel-title")]
    assert panels == ["Mean over groups", "Worst group"]
    drawing = sweep.one("svg", class_="chart", role="img")
    assert drawing is not None
    table = sweep.one(id="sweep-1-table").text
    assert "Margin: a loss of 1.0 points counts as none" in table
    assert "25 % real" in table.replace("\xa0", " ")


def test_levels_are_compared_with_the_first(grid: Element) -> None:
    section = grid.one("section", id="levels")
    assert [h.text for h in section.every("h3")] == [
        "Backbone against mini_l",
        "Head against elasticarcface",
    ]
    rows = table_rows(grid, "levels-1")
    assert rows["mini_m with KD from study teacher"] == [
        "−1.40 [−2.60, −0.20]",
        "−1.60 [−2.80, −0.40]",
        "+0.10 [−1.10, +1.30]",
    ]
    assert "mini_s without KD" in rows


def test_errors_of_teacher_and_students_stand_together(grid: Element) -> None:
    rows = table_rows(grid, "inheritance-table")
    # Teacher 2 + 0.4 · 1.4; student 100 − 89.8 and 100 − 92.02.
    assert rows["balanced mini_l, elasticarcface"][0] == "2.56 / 10.20 / 7.98"
    whole = ["0.71", "0.93", "+0.22 [−0.05, +0.49]", "0.167"]
    assert rows["balanced mini_l, elasticarcface"][3:] == whole
    assert next(iter(rows)) == "all pairs"
    section = grid.one("section", id="inheritance")
    assert section.one("span", class_="said").text == "Fabricated: undecided."


def test_costs_have_a_chart_for_each(grid: Element) -> None:
    costs = grid.one(id="pareto-figure")
    assert [p.text for p in costs.every("p", class_="panel-title")] == [
        "parameters",
        "multiply–adds an image",
        "training time, s",
        "energy of a training, Wh (estimate)",
    ]


def test_runs_are_linked_where_they_have_a_page(grid: Element, grid_path: Path) -> None:
    links = [a for a in grid.every("a") if a.attributes["href"].startswith("pages/")]
    assert len(links) == 6  # two models of three seeds have run folders
    assert links[0].attributes["aria-label"].endswith("without KD, run of seed 0")
    for link in links:
        assert (grid_path.parent / link.attributes["href"]).is_file()
