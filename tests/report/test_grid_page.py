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
        "summary",
        "answers",
        "sweep",
        "levels",
        "inheritance",
        "models-groups",
        "slopes",
        "unevenness",
        "held-out",
        "other-faces",
        "roc",
        "costs",
        "training",
        "failures",
        "sets",
        "methods",
        "times",
        "repeat",
        "limits",
        "glossary",
    ]
    links = [a.attributes["href"] for a in grid.one("nav").every("a")]
    assert [link.removeprefix("#") for link in links] == order


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


def test_stand_ins_are_named_before_any_number(grid: Element) -> None:
    box = grid.one("aside", id="statement")
    assert "Stand-ins. mini_l, mini_m and mini_s stand in for IResNet-50" in box.text
    everything = list(grid.every())
    assert everything.index(box) < everything.index(grid.one("section", id="summary"))


def test_summary_is_a_paragraph_a_table_and_a_figure(grid: Element) -> None:
    summary = grid.one("section", id="summary")
    assert "on average over 15 pairs" in summary.one("p", class_="headline").text.replace(
        "\xa0", " "
    )
    assert len(list(summary.every("table"))) == 1
    assert len(list(summary.one("figure").every("div", class_="panel"))) == 4


def test_matrix_leads_to_every_answer(grid: Element) -> None:
    matrix = grid.one("table", class_="matrix")
    headings = [h.text for h in matrix.one("thead").every("th")]
    assert headings[1:3] == ["mini_l, elasticarcface", "mini_l, adaface"]
    rows = {
        (row.one("th").text): [cell.text for cell in row.every("td")]
        for row in matrix.every("tr")
        if list(row.every("th", scope="row"))
    }
    assert list(rows)[: len(SETS)] == list(SETS)
    links = [a.attributes["href"] for a in matrix.every("a")]
    claims = [link for link in links if link.startswith("#claim-")]
    assert len(claims) == len(set(claims)) == 44
    folded = grid.one("details", id="rule-kd-raises-accuracy")
    assert "open" not in folded.attributes
    assert len(list(folded.every("h4"))) == 16


def test_every_answer_has_its_figure(grid: Element) -> None:
    for item in grid.one("section", id="answers").every("li"):
        if item.attributes.get("id", "").startswith("claim-"):
            figure = item.one("svg", class_="strip")
            assert figure.attributes["role"] == "img"
            assert len(figure.attributes["aria-label"]) > 20


def test_charts_by_group_are_folded_slice_by_slice(grid: Element) -> None:
    folded = list(grid.one("section", id="slopes").every("details"))
    assert [part.one("summary").text for part in folded[:4]] == [
        "Slopes by group: mini_l, elasticarcface (5 panels)",
        "Slopes by group: mini_l, adaface (1 panel)",
        "Slopes by group: mini_m, elasticarcface (5 panels)",
        "Slopes by group: mini_s, elasticarcface (4 panels)",  # a hole
    ]


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
    assert panels == ["Mean over groups", "Worst group", "african", "asian", "caucasian"]
    drawing = sweep.one("svg", class_="chart", role="img")
    assert drawing is not None
    table = sweep.one(id="sweep-1-table").text
    assert "Margin that counts as none: 1.0" in table
    assert "real-25" in table


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
        "not supported",
    ]
    assert "mini_s without KD" in rows


def test_errors_of_teacher_and_students_stand_together(grid: Element) -> None:
    rows = table_rows(grid, "inheritance-table")
    # Teacher 2 + 0.4 · 1.4; student 100 − 89.8 and 100 − 92.02.
    assert rows["balanced mini_l, elasticarcface"][0] == "2.56 / 10.20 / 7.98"
    whole = ["0.71", "0.93", "+0.22 [−0.05, +0.49]", "0.167"]
    assert rows["balanced mini_l, elasticarcface"][3:] == whole
    assert next(iter(rows)) == "all cells"
    section = grid.one("section", id="inheritance")
    assert section.one("p").text == "Fabricated: undecided."
    assert "the order of groups is the teacher's" in section.one("ul", class_="remarks").text


def test_costs_have_a_chart_for_each_and_the_front(grid: Element) -> None:
    costs = grid.one("section", id="costs")
    assert [p.text for p in costs.every("p", class_="panel-title")] == [
        "parameters",
        "multiply–adds an image",
        "training time, s",
        "energy of a training, Wh (estimate)",
    ]
    assert list(table_rows(grid, "fronts")) == [
        "balanced, mini_l, elasticarcface, KD from study",
        "teacher: study teacher",
    ]


def test_runs_are_linked_where_they_have_a_page(grid: Element, grid_path: Path) -> None:
    links = [a for a in grid.every("a") if a.attributes["href"].startswith("pages/")]
    assert len(links) == 6  # two models of three seeds have run folders
    assert links[0].attributes["aria-label"].endswith("without KD, run of seed 0")
    for link in links:
        assert (grid_path.parent / link.attributes["href"]).is_file()
