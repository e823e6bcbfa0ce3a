"""What models cost against how accurate they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evenface.report.drawings import intervals
from evenface.report.drawings.intervals import Point
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import INK
from evenface.report.figure import Figure
from evenface.report.numbers import coverage
from evenface.study.record import Benchmark, Model, Results


@dataclass(frozen=True)
class _Cost:
    name: str
    axis: str
    of: Callable[[Model], float | None]


_COSTS = (
    _Cost("parameters", "parameters", lambda model: model.parameters),
    _Cost("macs", "multiply–adds an image", lambda model: model.macs),
    _Cost("seconds", "training time, s", lambda model: model.seconds),
    _Cost("energy_wh", "energy of a training, Wh (estimate)", lambda model: model.energy_wh),
)


_APART = 1.5
"""Largest over smallest cost, below which there is nothing to compare."""


def pareto(results: Results, benchmark: Benchmark) -> Figure:
    """Mean accuracy against each cost that is known, students beside their teachers."""
    chart = Figure(
        "pareto",
        "Mean accuracy over groups against cost, on a logarithmic axis, with "
        f"{coverage(results.level)} intervals. A colour is a training set; filled: with KD, "
        "hollow: without; diamonds: teachers. The line joins the models than which no cheaper one "
        "here is as accurate, by the values, whatever the intervals.",
        "No costs are in the results.",
        simulated=benchmark.simulated,
        wide=True,
    )
    for cost in _COSTS:
        points = [
            Point(_style(results, model), float(spent), evaluation.overall.accuracy)
            for model in results.models
            if model.kind != "untrained"
            and finite(spent := cost.of(model))
            and spent > 0
            and (evaluation := results.evaluation(model.id, benchmark.id))
            and finite(evaluation.overall.accuracy.value)
        ]
        # Nearly one size for all says nothing.
        sizes = [point.cost for point in points]
        if not sizes or max(sizes) < _APART * min(sizes):
            continue
        label = (
            f"Mean accuracy of {len(points)} models against {cost.axis}; the figures are in the "
            "table of models."
        )
        chart.add(cost.axis, intervals.cost_chart, label, points, axis=cost.axis)
    if chart.panels:
        for name in results.training_sets:
            chart.explain(name, _set_style(results, name), line=False, marker=True)
        chart.explain("without KD", Style().without_kd(), line=False, marker=True)
        chart.explain("teacher", Style(INK, "D"), line=False, marker=True)
    return chart


def _style(results: Results, model: Model) -> Style:
    if model.kind == "teacher" or model.set is None:
        return Style(INK, "D")
    style = _set_style(results, model.set)
    return style if model.kd else style.without_kd()


def _set_style(results: Results, name: str) -> Style:
    return Style.of_series(results.training_sets.index(name), markers="os^vP")
