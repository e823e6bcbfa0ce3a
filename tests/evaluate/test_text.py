"""An estimate reads the same wherever it is written."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from evenface.evaluate.text import format_estimate, number, parts, says_nothing
from evenface.record import Estimate
from evenface.report.formats import to_latex, to_markdown
from evenface.report.formats.latex import escape
from evenface.report.formats.terminal import fitted, terminal_table
from evenface.report.table import Column, Table, TableRow
from evenface.study.wording import percent

SHARES = st.none() | st.floats(0, 1)
ESTIMATES = st.builds(
    lambda value, low, high: Estimate(value=value, low=low, high=high), *3 * [SHARES]
)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(value=0.912, low=0.901, high=0.92), "91.20 [90.10, 92.00]"),
        (Estimate(value=0.5, low=0.25), "50.00 [25.00, no upper bound]"),
        (Estimate(value=0.5, high=0.75), "50.00 [no lower bound, 75.00]"),
        (Estimate(value=0.5), "50.00"),
        (Estimate(low=0.25), "≥ 25.00"),
        (Estimate(low=0.25, high=0.5), "– [25.00, 50.00]"),
        (Estimate(), "–"),
    ],
)
def test_each_shape_of_an_estimate(estimate: Estimate, text: str) -> None:
    assert format_estimate(estimate) == text


def test_units_and_signs() -> None:
    gain = Estimate(value=0.012, low=-0.004, high=0.02)
    assert format_estimate(gain, sign=True, unit=" points") == "+1.20 points [−0.40, +2.00]"
    assert format_estimate(Estimate(low=2.0), scale=1, unit=" times") == "≥ 2.00 times"
    assert format_estimate(Estimate(), missing="undefined") == "undefined"
    assert [number(x, sign=True) for x in (-0.001, float("nan"), float("-inf"))] == [
        *("0.00", "undefined", "minus infinite")
    ]


@given(ESTIMATES)
def test_every_style_says_the_same(estimate: Estimate) -> None:
    expected = format_estimate(estimate)
    table = Table("t", "c", [Column("model", numeric=False), Column("rate")])
    cell = table.estimate(estimate)
    if says_nothing(estimate):
        assert cell.text == "–"
        return
    table.sections.append([TableRow("a", [cell])])
    # HTML and the terminal put the interval on a line of its own.
    assert " ".join([cell.text, *cell.details]) == expected
    assert f"| a | {expected} |" in to_markdown(table)
    assert f"a & {escape(expected)} " in to_latex(table)
    (upright,) = fitted(table, 120)
    assert upright.rows[0].cells[0].text == expected
    stream = io.StringIO()
    Console(file=stream, width=120).print(terminal_table(table))
    assert all(part in stream.getvalue() for part in parts(estimate))
    said = percent(estimate)
    if estimate.value is not None:
        assert said.replace(" %", "", 1) == expected
