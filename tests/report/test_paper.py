"""Tables in a paper's layout: the figures of the results, the best and the decided marked."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from committed import NAMES, RESULTS

from evenface.report import write_report
from evenface.report.formats import FORMATS
from evenface.report.study.bundle import write_bundle
from evenface.report.study.names import readable
from evenface.report.study.paper import paper_tables
from evenface.report.table import Table
from evenface.study.record import Results


def tables(content: dict[str, Any]) -> dict[str, Table]:
    return {table.id: table for table in paper_tables(readable(Results.parse(content)))}


def column(table: Table, heading: str) -> int:
    return [of.text for of in table.columns].index(heading) - 1


@pytest.mark.parametrize("path", RESULTS, ids=NAMES)
def test_figures_are_those_of_committed_results(path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    table = tables(content)["paper-groups"]
    students = [m for m in content["models"] if m["kind"] == "student"]
    teachers = [m for m in content["models"] if m["kind"] == "teacher"]
    assert len(table.rows) == len(students) + len(teachers)
    evaluations = content["evaluations"]
    others = [b["id"] for b in content["benchmarks"] if b["id"] != "groups"]
    place = column(table, "average of tests")
    averages = sorted(row.cells[place].figure.value for row in table.rows)
    assert averages == pytest.approx(
        sorted(
            fmean(evaluations[m["id"]][b]["overall"]["accuracy"]["value"] for b in others)
            for m in (*students, *teachers)
        )
    )
    for heading, measure, best in (("STD", "std_sample", min), ("average", "accuracy", max)):
        values = [evaluations[m["id"]]["groups"]["overall"][measure]["value"] for m in students]
        bold = [row.cells[column(table, heading)] for row in table.rows]
        marked = {cell.text.rstrip("*") for cell in bold if cell.strong}
        assert marked == {f"{100 * best(values):.2f}"}


def test_columns_follow_the_study(results: dict[str, Any]) -> None:
    found = tables(results)
    assert list(found) == [
        "paper-groups", "intervals-groups", "paper-studio", "intervals-studio",
    ]  # fmt: skip
    names = [of.text for of in found["paper-groups"].columns]
    assert names == [
        "training set", "KD", "african", "asian", "caucasian", "average", "STD", "SER",
        "studio", "ORL", "openpeople", "average of tests",
    ]  # fmt: skip
    assert [of.text for of in found["paper-studio"].columns] == names[:8]


def test_latex_is_well_formed(results: dict[str, Any]) -> None:
    text = FORMATS["tex"](tables(results)["paper-groups"])
    rows = [line for line in text.splitlines() if line.startswith("    ") and " & " in line]
    assert {line.count(" & ") for line in rows} == {11}
    assert text.count("{") == text.count("}")
    assert text.startswith("% \\usepackage{booktabs}\n\\begin{table}")
    assert r"\caption{Simulated faces." in text
    assert "sample standard deviation" in text
    plain, study = rows[4].split(" & "), rows[5].split(" & ")
    assert [plain[0].strip(), plain[1]] == ["synthetic", "none"]
    assert [study[0].strip(), study[1]] == ["", "study teacher"]


def test_intervals_are_in_the_second_table_alone(results: dict[str, Any]) -> None:
    found = tables(results)
    first, second = (found[name].rows[0] for name in ("paper-groups", "intervals-groups"))
    assert not any(cell.details for cell in first.cells)
    assert all(cell.details for cell in second.cells[1:-1])
    assert not second.cells[-1].details, "results hold no interval of the average of tests"


def test_several_that_look_equal_are_all_bold(results: dict[str, Any]) -> None:
    for of in results["evaluations"].values():
        of["groups"]["overall"]["ser"] = {"value": 1.5, "low": 1.2, "high": 2.0}
    table = tables(results)["paper-groups"]
    cells = [row.cells[column(table, "SER")] for row in table.rows]
    students = sum(m["kind"] == "student" for m in results["models"])
    assert [cell.strong for cell in cells] == [True] * students + [False] * (len(cells) - students)


def stars(content: dict[str, Any]) -> set[str]:
    table = tables(content)["paper-groups"]
    return {
        of.text
        for row in table.rows
        for of, cell in zip(table.columns[1:], row.cells, strict=True)
        if cell.figure is not None and cell.text.endswith("*")
    }


@pytest.fixture
def decided(results: dict[str, Any]) -> dict[str, Any]:
    """Distillation lowers every figure, beyond chance; SER and STD are better for it."""
    results["study"]["seeds"] = [0, 1, 2]
    for difference in results["differences"]:
        difference |= {"value": -0.02, "low": -0.03, "high": -0.01, "p_holm": 0.01}
    return results


def test_stars_are_for_the_better(decided: dict[str, Any]) -> None:
    assert stars(decided) == {"STD", "SER"}


@pytest.mark.parametrize(
    "undecided", [{"p_holm": 0.2}, {"low": -0.03, "high": 0.01}, {"value": None}]
)
def test_stars_need_a_decision(decided: dict[str, Any], undecided: dict[str, Any]) -> None:
    for difference in decided["differences"]:
        difference |= undecided
    assert not stars(decided)


def test_stars_need_seeds(decided: dict[str, Any]) -> None:
    decided["study"]["seeds"] = [0]
    assert not stars(decided)


def test_factors_are_columns(results: dict[str, Any]) -> None:
    results["schema"] = 3
    for model in results["models"]:
        if model["kind"] == "student":
            model["levels"] = {"backbone": "large" if model["set"] == "real" else "small"}
    table = tables(results)["paper-groups"]
    assert [of.text for of in table.columns[:3]] == ["training set", "backbone", "KD"]
    assert table.rows[0].cells[0].text == "large"


def test_holes_are_dashes_with_a_reason(results: dict[str, Any]) -> None:
    del results["evaluations"]["synthetic-plain"]["orl"]
    table = tables(results)["paper-groups"]
    cells = table.rows[3].cells
    orl, average = cells[column(table, "ORL")], cells[column(table, "average of tests")]
    assert (orl.text, average.text) == ("–", "–")
    assert table.notes[orl.note - 1].startswith("this model was not evaluated")
    assert table.notes[average.note - 1] == "no average: a test is missing"


def test_notes_on_arms_are_remarks(results: dict[str, Any]) -> None:
    students = [m for m in results["models"] if m["kind"] == "student"]
    for number, model in enumerate(students):
        model["note"] = "ours" if number else "in the reference's configuration"
    remarks = tables(results)["paper-groups"].remarks
    assert f"In the reference's configuration: {students[0]['title']}." in remarks
    assert f"Ours: {len(students) - 1} models." in remarks


def test_the_page_links_the_tables_that_are_there(results: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    linked = 'href="tables/intervals-groups.tex"'
    assert linked not in write_report(path, tmp_path / "report.html").read_text("utf-8")
    write_bundle(path, tmp_path)
    assert linked in write_report(path, tmp_path / "report.html").read_text("utf-8")
