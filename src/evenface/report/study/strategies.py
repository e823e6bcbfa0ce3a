"""Ways to use few real people: which is the best, from how many people on."""

from __future__ import annotations

from evenface.record import Estimate
from evenface.report.numbers import format_estimate
from evenface.report.study.grid import slice_title
from evenface.report.study.names import with_article
from evenface.report.table import Cell, Column, Table, TableRow
from evenface.study.record import Results, Strategies


def strategy_headline(results: Results, benchmark: str) -> str:
    """The answer with the main teacher, else without one; "" where ways are not compared."""
    found = [of for of in results.strategies if of.benchmark == benchmark]
    of = next((of for of in found if of.teacher), None) or next(iter(found), None)
    return f"{_condition(results, of)}: {_lower(of.statement)}" if of else ""


def strategy_answers(results: Results) -> list[str]:
    """A sentence for each benchmark, without distillation and with each teacher."""
    return [
        f"{_where(results, of)}, {_lower(_condition(results, of))}: {_lower(of.statement)}"
        for of in results.strategies
    ]


def strategy_table(results: Results) -> Table | None:
    """Accuracy by number of real people and way; None where ways are not compared."""
    if not results.strategies:
        return None
    benchmarks = {b.id: b for b in results.benchmarks}
    shown = [benchmarks.get(of.benchmark) for of in results.strategies]
    table = Table(
        "strategies",
        "Accuracy in % by the number of real people and the way they are used.",
        [
            Column("benchmark and condition", numeric=False),
            Column("real people"),
            Column("way", numeric=False),
            Column("training set", numeric=False),
            Column("mean", "accuracy"),
            Column("worst group", "worst-group"),
            Column("worst group of the best way, minus this", numeric=False),
        ],
        simulated=any(of is not None and of.simulated for of in shown),
    )
    for of in results.strategies:
        condition = f"{_where(results, of)}, {_lower(_condition(results, of))}"
        choices = {choice.people: choice for choice in of.choices}
        rows: list[TableRow] = []
        for point in of.points:
            choice = choices.get(point.people)
            rows.append(
                TableRow(
                    condition,
                    [
                        Cell(f"{point.people:,}", number=point.people),
                        Cell(point.strategy),
                        Cell(point.set),
                        table.estimate(point.mean),
                        table.estimate(point.worst),
                        Cell(_gain(choice.gains.get(point.strategy)) if choice else ""),
                    ],
                    span=0 if rows else len(of.points),
                )
            )
        table.sections.append(rows)
    return table


def _gain(gain: Estimate | None) -> str:
    """Of the best way over this one; "the best" for itself."""
    if gain is None:
        return "the best"
    return format_estimate(gain, digits=1, sign=True, unit=" points")


def _where(results: Results, of: Strategies) -> str:
    title = next((b.title for b in results.benchmarks if b.id == of.benchmark), of.benchmark)
    return f"{title[:1].upper()}{title[1:]}"


def _condition(results: Results, of: Strategies) -> str:
    said = "Without distillation"
    if of.teacher is not None:
        said = f"With distillation from {with_article(results.teacher_name(of.teacher))}"
    return ", ".join(filter(None, (said, slice_title(results, of.levels, None))))


def _lower(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"
