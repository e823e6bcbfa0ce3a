"""Tables as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io

import pytest
from audits import FORMULA, HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.record import Estimate
from evenface.report.formats import FORMATS, to_csv, to_latex, to_markdown
from evenface.report.formats.terminal import fitted
from evenface.report.table import Cell, Column, Table, TableRow, words


def table(name: str = "a", *, simulated: bool = False) -> Table:
    made = Table(
        "t",
        f"Accuracy of {name}.",
        [Column("model", numeric=False), Column(name), Column("threshold"), Column("who")],
        remarks=[f"About {name}"],
        simulated=simulated,
    )
    cells = [
        made.estimate(Estimate(value=0.9012345, low=0.8, high=None, note=f"rare in {name}")),
        Cell("0.1235", number=0.12345678),
        Cell(name),
    ]
    made.sections.append([TableRow(name, cells)])
    return made


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_csv_holds_unrounded_figures_in_columns_of_their_own() -> None:
    heading, row = read(to_csv(table()))
    assert heading == ["model", "a", "a low", "a high", "threshold", "who"]
    assert row == ["a", "0.9012345", "0.8", "", "0.12345678", "a"]


def test_undefined_figures_are_empty_fields() -> None:
    made = Table("t", "c", [Column("m"), Column("v")])
    made.sections.append([TableRow("a", [made.estimate(Estimate(value=0.5, low=0.1, high=0.9))])])
    made.sections.append([TableRow("b", [*made.missing("no such group", 1)])])
    assert read(to_csv(made))[2] == ["b", "", "", ""]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "|"])
@pytest.mark.parametrize("before", ["", "\t", "\r\n", " \0"])
def test_spreadsheets_run_no_formula(before: str, start: str) -> None:
    fields = [field for row in read(to_csv(table(f"{before}{start}1+1"))) for field in row]
    assert not any(field.strip().startswith(start) for field in fields)
    assert sum(field.startswith(f"'{start}1+1") for field in fields) == 5


def test_negative_numbers_stay_numbers() -> None:
    made = Table("t", "c", [Column("m"), Column("v")])
    made.sections.append([TableRow("a", [made.estimate(Estimate(value=-0.5, low=-1.0, high=0.0))])])
    assert read(to_csv(made))[1] == ["a", "-0.5", "-1.0", "0.0"]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20))
def test_any_name_keeps_csv_rectangular_and_markdown_on_its_lines(name: str) -> None:
    rows = read(to_csv(table(name)))
    assert {len(row) for row in rows} == {6}
    lines = to_markdown(table(name)).splitlines()
    body = [line for line in lines if line.startswith("| ") and not line.startswith("| :--")]
    assert len(body) == 2
    assert len({line.replace("\\\\", "").replace("\\|", "").count("|") for line in body}) == 1


def test_markdown_has_no_markup_of_others() -> None:
    text = to_markdown(table(HOSTILE))
    assert "<script" not in text
    assert "\\_50%\\_" in text
    assert "90.12 [80.00, no upper bound] <sup>1</sup>" in text
    assert "1. rare in" in text


def test_latex_escapes_and_balances() -> None:
    text = to_latex(table(HOSTILE))
    assert r"\textbackslash{}input\{x\}" in text
    assert r"\_50\%\_" in text
    assert r"\$x\$" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\midrule") == 1
    plain = text.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    (row,) = (line for line in text.splitlines() if "80.00" in line)
    assert row.replace(r"\&", "").count("&") == 3
    # A row that begins with a bracket would be taken for an argument of "\\".
    assert not row.strip().startswith("[")


@pytest.mark.parametrize("suffix", FORMATS)
def test_simulated_faces_are_said_in_what_people_read(suffix: str) -> None:
    text = FORMATS[suffix](table(FORMULA, simulated=True))
    assert ("simulated faces" in text.casefold()) == (suffix != "csv")


def test_a_terminal_shows_a_wide_table_in_parts() -> None:
    names = ["EER", "AUC", "TAR at one in a thousand"]
    table = Table("t", "Caption", [*words("model", "group"), *map(Column, names)])
    table.block("m", [[Cell(g), *(Cell("12.34", ("[1, 2]",)) for _ in names)] for g in "ab"])
    (whole,) = fitted(table, 80)
    assert [c.text for c in whole.columns] == ["group", *names], "one model needs no column"
    first, second = fitted(table, 30)
    assert [[c.text for c in part.columns] for part in (first, second)] == [
        ["group", "EER", "AUC"],
        ["group", "TAR at one in a thousand"],
    ]
    assert (first.caption, second.caption) == ("Caption", "")
    assert [row.header for row in second.rows] == ["a", "b"]
    assert [row.cells[0].text for row in second.rows] == ["12.34", "12.34"]


def test_a_terminal_shows_a_single_row_upright() -> None:
    table = Table("t", "Caption", [*words("model"), Column("mean"), Column("STD")])
    table.block("m", [[Cell("91.2", ("[90, 92]",)), Cell("1.5")]])
    (shown,) = fitted(table, 80)
    assert [(row.header, row.cells[0].text) for row in shown.rows] == [
        ("mean", "91.2 [90, 92]"),
        ("STD", "1.5"),
    ]
