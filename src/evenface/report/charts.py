"""From results to the page's charts: panels, legend and caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from evenface.report import figures
from evenface.report.answers import OVER_GROUPS
from evenface.report.figures import Line, Row, Slope, Style, finite
from evenface.report.schema import Benchmark, CurvePoint, Estimate, Model, Results, Roc
from evenface.report.svg import INK, series_colour
from evenface.report.tables import percent


@dataclass(frozen=True)
class Panel:
    """One drawing with its title."""

    title: str
    svg: str


@dataclass(frozen=True)
class LegendItem:
    """A label and the little drawing before it."""

    label: str
    svg: str


@dataclass
class Chart:
    """Panels that share a legend and a caption. Without panels, ``empty`` says why."""

    id: str
    caption: str
    empty: str
    panels: list[Panel] = field(default_factory=list)
    legend: list[LegendItem] = field(default_factory=list)
    simulated: bool = False

    def explain(self, label: str, style: Style, *, line: bool = True, marker: bool = False) -> None:
        """Add an entry to the legend."""
        name = f"{self.id}-key-{len(self.legend)}"
        self.legend.append(LegendItem(label, figures.key(name, style, line=line, marker=marker)))

    @property
    def next_name(self) -> str:
        """Unique name for the next panel's drawing."""
        return f"{self.id}-{len(self.panels)}"


def slope(results: Results, benchmark: Benchmark) -> Chart:
    """Accuracy without KD → with KD by group, a panel for each training set."""
    chart = Chart(
        "slope",
        "Accuracy without and with KD by group, one panel for each training set, all on one "
        f"scale. Bars are {_level(results)} intervals; groups are set side by side so that "
        "intervals do not cover each other.",
        "No training set has students both without and with KD.",
        simulated=benchmark.simulated,
    )
    panels = []
    for name in _training_sets(results):
        slopes = [
            Slope(
                Style.of_series(i),
                _accuracy(results, results.student(name, kd=False), benchmark, group),
                _accuracy(results, results.student(name, kd=True), benchmark, group),
            )
            for i, group in enumerate(benchmark.groups)
        ]
        if any(finite(s.without.value) and finite(s.with_kd.value) for s in slopes):
            panels.append((results.set_title(name), slopes))
    vertical = figures.limits(
        e for _, slopes in panels for s in slopes for e in (s.without, s.with_kd)
    )
    if vertical is None:
        return chart
    for title, slopes in panels:
        changes = ", ".join(
            f"{group} {percent(s.without.value)} to {percent(s.with_kd.value)} %"
            for group, s in zip(benchmark.groups, slopes, strict=True)
        )
        label = f"Trained on {title}: accuracy without to with KD: {changes}."
        chart.panels.append(
            Panel(title, figures.slope_chart(chart.next_name, label, slopes, vertical))
        )
    for i, group in enumerate(benchmark.groups):
        chart.explain(group, Style.of_series(i), marker=True)
    return chart


def differences(results: Results, benchmark: Benchmark) -> Chart:
    """Paired differences of accuracy with intervals, a panel for each training set."""
    found = [d for d in results.paired(benchmark.id, "accuracy") if finite(d.value)]
    chart = Chart(
        "forest",
        f"Accuracy with KD minus without KD, in percentage points, with paired {_level(results)} "
        "intervals from the same resamples of identities. Filled: the interval excludes zero. "
        "Hollow: undecided.",
        "No paired differences are in the results.",
        simulated=benchmark.simulated,
    )
    horizontal = figures.limits(found, zero=True)
    if horizontal is None:
        return chart
    colours = {group: Style.of_series(i) for i, group in enumerate(benchmark.groups)}
    for name in dict.fromkeys(d.set for d in found):
        rows = []
        for difference in (d for d in found if d.set == name):
            overall = difference.group == OVER_GROUPS
            style = colours.get(difference.group, Style(marker="D"))
            if not difference.decided:
                style = style.without_kd()
            title = "mean" if overall else difference.group
            rows.append(Row(title, style, difference))
        title = results.set_title(name)
        changes = ", ".join(f"{row.label} {percent(row.estimate.value, sign=True)}" for row in rows)
        chart.panels.append(
            Panel(
                title,
                figures.interval_chart(
                    chart.next_name,
                    f"Trained on {title}: change of accuracy with KD in points: {changes}.",
                    rows,
                    horizontal,
                    unit="points of accuracy",
                    zero=True,
                ),
            )
        )
    return chart


def roc(results: Results, benchmark: Benchmark) -> Chart:
    """ROC by group: a panel for each training set, and one for each reference model."""
    chart = Chart(
        "roc-curves",
        "ROC by group on a logarithmic axis of the false match rate. It starts at the lowest rate "
        "that the impostor pairs can show.",
        "No ROC is in the results.",
        simulated=benchmark.simulated,
    )
    panels: list[tuple[str, list[tuple[Style, Roc]]]] = []
    for name in _training_sets(results):
        curves = [
            (style if kd else style.without_kd(), curve)
            for kd in (False, True)
            for style, curve in _rocs(results, results.student(name, kd=kd), benchmark)
        ]
        panels.append((results.set_title(name), curves))
    panels += [(model.title, _rocs(results, model, benchmark)) for model in results.references]
    panels = [(title, curves) for title, curves in panels if curves]
    floor = figures.roc_floor(curve for _, curves in panels for _, curve in curves)
    for title, curves in panels:
        label = f"ROC by group: {title}. True match rate against false match rate."
        chart.panels.append(Panel(title, figures.roc_chart(chart.next_name, label, curves, floor)))
    if panels:
        for i, group in enumerate(benchmark.groups):
            chart.explain(group, Style.of_series(i))
        _explain_kd(chart)
    return chart


def other_benchmark(results: Results, benchmark: Benchmark) -> Chart:
    """EER of all models on a benchmark that is not the main one, with intervals."""
    chart = Chart(
        f"eer-{benchmark.id}",
        f"Equal error rate on {benchmark.title} with {_level(results)} intervals; lower is "
        "better. Filled: with KD. Hollow: without KD. Diamonds: for reference.",
        "No equal error rates are in the results.",
        simulated=benchmark.simulated,
    )
    panels = []
    for group in benchmark.groups:
        rows = []
        for model in results.models:
            evaluation = results.evaluation(model.id, benchmark.id)
            result = evaluation.groups.get(group) if evaluation else None
            if result is not None and finite(result.eer.value):
                rows.append(Row(model.title, _model_style(model), result.eer))
        if rows:
            panels.append((group if len(benchmark.groups) > 1 else "", rows))
    horizontal = figures.limits((row.estimate for _, rows in panels for row in rows), zero=True)
    if horizontal is None:
        return chart
    for title, rows in panels:
        rates = ", ".join(f"{row.label} {percent(row.estimate.value)} %" for row in rows)
        chart.panels.append(
            Panel(
                title,
                figures.interval_chart(
                    chart.next_name,
                    f"Equal error rate on {benchmark.title} {title}: {rates}.",
                    rows,
                    (0.0, horizontal[1]),
                    unit="equal error rate, %",
                ),
            )
        )
    return chart


def training(results: Results) -> Chart:
    """Losses over steps, a panel for each training set."""
    chart = Chart(
        "losses",
        "Losses during training. Each point is the mean of consecutive log entries. The "
        "classification loss has the margin in it; the distillation loss has its weight in it.",
        "No training curves are in the results.",
    )
    panels = []
    for name in _training_sets(results):
        lines = [
            line
            for kd in (False, True)
            if (model := results.student(name, kd=kd))
            for line in _losses(results.curves.get(model.id, ()), kd=kd)
        ]
        if lines:
            panels.append((results.set_title(name), lines))
    highest = 1.05 * max((max(line.values) for _, lines in panels for line in lines), default=1.0)
    for title, lines in panels:
        label = f"Trained on {title}: losses over optimiser steps."
        chart.panels.append(
            Panel(title, figures.training_chart(chart.next_name, label, lines, highest or 1.0))
        )
    if panels:
        chart.explain("classification, with KD", _CLASSIFICATION)
        chart.explain("classification, without KD", _CLASSIFICATION.without_kd())
        chart.explain("distillation", _DISTILLATION)
    return chart


_CLASSIFICATION = Style(INK)
_DISTILLATION = Style(series_colour(4))


def _losses(points: Sequence[CurvePoint], *, kd: bool) -> list[Line]:
    lines = []
    style = _CLASSIFICATION if kd else _CLASSIFICATION.without_kd()
    for part, look in (("classification", style), ("distillation", _DISTILLATION)):
        values = [(point.step, getattr(point, part)) for point in points]
        known = [(step, value) for step, value in values if finite(value)]
        if known:
            steps, losses = zip(*known, strict=True)
            lines.append(Line(look, steps, losses))
    return lines


def _rocs(results: Results, model: Model | None, benchmark: Benchmark) -> list[tuple[Style, Roc]]:
    evaluation = results.evaluation(model.id, benchmark.id) if model else None
    if evaluation is None:
        return []
    return [
        (Style.of_series(i), curve)
        for i, group in enumerate(benchmark.groups)
        if (result := evaluation.groups.get(group)) and (curve := result.roc)
    ]


def _accuracy(results: Results, model: Model | None, benchmark: Benchmark, group: str) -> Estimate:
    evaluation = results.evaluation(model.id, benchmark.id) if model else None
    result = evaluation.groups.get(group) if evaluation else None
    return result.accuracy if result else Estimate()


def _training_sets(results: Results) -> list[str]:
    return list(dict.fromkeys(model.set for model in results.students if model.set is not None))


def _model_style(model: Model) -> Style:
    if model.kind != "student":
        return Style(marker="D")
    style = Style.of_series(0)
    return style if model.kd else style.without_kd()


def _explain_kd(chart: Chart) -> None:
    chart.explain("with KD", Style())
    chart.explain("without KD", Style().without_kd())


def _level(results: Results) -> str:
    return f"{100 * results.level:g} %"
