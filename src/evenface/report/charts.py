"""From results to the page's charts: panels, legend and caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from evenface.report import figures
from evenface.report.chart import Chart, Panel
from evenface.report.figures import Dumbbell, Ends, Line, Row, Slope, Style, finite
from evenface.report.grid import MANY, Pairing, Slice, difference, mean_difference, slices
from evenface.report.numbers import coverage, percent
from evenface.report.schema import (
    Benchmark,
    CurvePoint,
    Difference,
    Estimate,
    Evaluation,
    Model,
    Results,
    Roc,
)
from evenface.report.svg import INK, MUTED, series_colour
from evenface.study.wording import OVER_GROUPS


@dataclass(frozen=True)
class Drawing:
    """A panel before it has its name: which slice it belongs to, and how it is drawn."""

    part: str
    title: str
    detail: str
    draw: Callable[[str], str]


def in_panels(chart: Chart, drawings: Sequence[Drawing]) -> list[Chart]:
    """One chart with all panels; where there are many, one for each slice of the grid."""
    parts = list(dict.fromkeys(drawing.part for drawing in drawings))
    if len(drawings) <= MANY or len(parts) == 1:
        for drawing in drawings:
            _add(chart, drawing, drawing.detail)
        return [chart]
    charts = []
    for number, part in enumerate(parts, 1):
        of_part = replace(chart, id=f"{chart.id}-{number}", title=part, panels=[], legend=[])
        for drawing in drawings:
            if drawing.part == part:
                _add(of_part, drawing, "")
        charts.append(of_part)
    return charts


def _add(chart: Chart, drawing: Drawing, detail: str) -> None:
    chart.panels.append(Panel(drawing.title, drawing.draw(chart.next_name), detail))


def overview(results: Results, benchmark: Benchmark) -> Chart:
    """Mean accuracy without → with KD of each training set, a panel for each slice of the grid."""
    chart = Chart(
        "overview",
        "Mean accuracy over groups without KD (hollow) and with KD (filled), a panel for each "
        "choice of the other factors, all on one scale. Bars are "
        f"{coverage(results.level)} intervals of each model; whether a pair differs is decided on "
        "their paired difference, which is surer than the bars suggest.",
        "No training set has students both without and with KD.",
        simulated=benchmark.simulated,
    )
    drawn = []
    for of in slices(results):
        rows = []
        for pairing in of.pairings:
            without, with_kd = (
                evaluation.overall.accuracy if evaluation else Estimate()
                for evaluation in _both(results, pairing, benchmark)
            )
            paired = mean_difference(results, pairing, benchmark)
            decided = paired is not None and paired.decided(results.level)
            style = Style(series_colour(0)) if decided else Style(MUTED)
            rows.append(Dumbbell(pairing.set, style, without, with_kd))
        if any(finite(r.without.value) and finite(r.with_kd.value) for r in rows):
            drawn.append((of, rows))
    horizontal = figures.limits(
        e for _, rows in drawn for r in rows for e in (r.without, r.with_kd)
    )
    if horizontal is None:
        return chart
    labels = [row.label for _, rows in drawn for row in rows]
    for of, rows in drawn:
        changes = ", ".join(
            f"{row.label} {percent(row.without.value)} to {percent(row.with_kd.value)} %"
            for row in rows
        )
        label = f"{of.title or 'Mean accuracy'}: without to with KD: {changes}."
        drawing = figures.dumbbell_chart(
            chart.next_name, label, rows, horizontal, unit="mean accuracy, %", beside=labels
        )
        chart.panels.append(Panel(of.title, drawing))
    for text, style in (
        ("difference decided", Style(series_colour(0))),
        ("undecided", Style(MUTED)),
    ):
        chart.explain(f"with KD, {text}", style, marker=True)
    chart.explain("without KD", Style().without_kd(), line=False, marker=True)
    return chart


def slope(results: Results, benchmark: Benchmark) -> list[Chart]:
    """Accuracy without KD → with KD by group, a panel for each pairing."""
    chart = Chart(
        "slope",
        "Accuracy without and with KD by group, one panel for each training set, all on one "
        f"scale. Bars are {coverage(results.level)} intervals; groups are set side by side so "
        "that intervals do not cover each other.",
        "No training set has students both without and with KD.",
        simulated=benchmark.simulated,
    )
    panels = []
    for of, pairing in _every(results):
        plain, distilled = _both(results, pairing, benchmark)
        slopes = [
            Slope(
                Style.of_series(i),
                _accuracy(plain, group),
                _accuracy(distilled, group),
                _seed_ends(plain, distilled, group),
            )
            for i, group in enumerate(benchmark.groups)
        ]
        if any(finite(s.without.value) and finite(s.with_kd.value) for s in slopes):
            panels.append((of, pairing, slopes))
    vertical = figures.limits(
        e
        for *_, slopes in panels
        for s in slopes
        for e in (s.without, s.with_kd, *(Estimate(value=v) for ends in s.seeds for v in ends))
    )
    if vertical is None:
        return [chart]
    if any(s.seeds for *_, slopes in panels for s in slopes):
        chart.caption += " Thin lines are single seeds."
    drawings = []
    for of, pairing, slopes in panels:
        changes = ", ".join(
            f"{group} {percent(s.without.value)} to {percent(s.with_kd.value)} %"
            for group, s in zip(benchmark.groups, slopes, strict=True)
        )
        label = f"{_described(results, of, pairing)}: accuracy without to with KD: {changes}."
        draw = partial(figures.slope_chart, label=label, slopes=slopes, vertical=vertical)
        drawings.append(Drawing(of.title, results.set_title(pairing.set), of.title, draw))
    charts = in_panels(chart, drawings)
    for one in charts:
        for i, group in enumerate(benchmark.groups):
            one.explain(group, Style.of_series(i), marker=True)
    return charts


def differences(results: Results, benchmark: Benchmark) -> list[Chart]:
    """Paired differences of accuracy with intervals, a panel for each pairing."""
    chart = Chart(
        "forest",
        "Accuracy with KD minus without KD, in percentage points, with paired "
        f"{coverage(results.level)} intervals from the same resamples of seeds and identities. "
        "Filled: the interval excludes zero, for a single group after Holm's correction as well. "
        "Hollow: undecided.",
        "No paired differences are in the results.",
        simulated=benchmark.simulated,
    )
    found = [
        (of, pairing, of_pairing)
        for of, pairing in _every(results)
        if (of_pairing := _differences(results, pairing, benchmark))
    ]
    horizontal = figures.limits((d for *_, of_pairing in found for d in of_pairing), zero=True)
    if horizontal is None:
        return [chart]
    drawings = []
    for of, pairing, of_pairing in found:
        rows = [_difference_row(results, benchmark, d) for d in of_pairing]
        changes = ", ".join(f"{row.label} {percent(row.estimate.value, sign=True)}" for row in rows)
        label = (
            f"{_described(results, of, pairing)}: change of accuracy with KD in points: {changes}."
        )
        draw = partial(
            figures.interval_chart,
            label=label,
            rows=rows,
            horizontal=horizontal,
            unit="points of accuracy",
            zero=True,
        )
        drawings.append(Drawing(of.title, results.set_title(pairing.set), of.title, draw))
    return in_panels(chart, drawings)


def _differences(results: Results, pairing: Pairing, benchmark: Benchmark) -> list[Difference]:
    of_groups = (
        difference(results, pairing, benchmark, group, "accuracy")
        for group in dict.fromkeys((*benchmark.groups, OVER_GROUPS))
    )
    return [d for d in of_groups if d is not None and finite(d.value)]


def _difference_row(results: Results, benchmark: Benchmark, difference: Difference) -> Row:
    if difference.group in benchmark.groups:
        style = Style.of_series(benchmark.groups.index(difference.group))
    else:
        style = Style(marker="D")
    if not difference.decided(results.level):
        style = style.without_kd()
    label = "mean" if difference.group == OVER_GROUPS else difference.group
    return Row(label, style, difference)


def roc(results: Results, benchmark: Benchmark) -> list[Chart]:
    """ROC by group: a panel for each pairing, and one for each reference model."""
    chart = Chart(
        "roc-curves",
        "ROC by group on a logarithmic axis of the false match rate. It starts at the lowest rate "
        "that the impostor pairs can show.",
        "No ROC is in the results.",
        simulated=benchmark.simulated,
    )
    panels: list[tuple[str, str, str, list[tuple[Style, Roc]]]] = []
    for of, pairing in _every(results):
        plain = _rocs(results, pairing.plain, benchmark)
        curves = [(style.without_kd(), curve) for style, curve in plain]
        curves += _rocs(results, pairing.distilled, benchmark)
        panels.append((of.title, results.set_title(pairing.set), of.title, curves))
    panels += [
        ("references", model.title, "", _rocs(results, model, benchmark))
        for model in results.references
    ]
    panels = [panel for panel in panels if panel[-1]]
    floor = figures.roc_floor(curve for *_, curves in panels for _, curve in curves)
    drawings = []
    for part, title, detail, curves in panels:
        label = f"ROC by group: {title} {detail}. True match rate against false match rate."
        draw = partial(figures.roc_chart, label=label, curves=curves, floor=floor)
        drawings.append(Drawing(part, title, detail, draw))
    charts = in_panels(chart, drawings)
    for one in charts:
        if one.panels:
            for i, group in enumerate(benchmark.groups):
                one.explain(group, Style.of_series(i))
            one.explain("with KD", Style())
            one.explain("without KD", Style().without_kd())
    return charts


def people(results: Results, benchmarks: Sequence[Benchmark]) -> Chart:
    """EER of all models on benchmarks without groups, a panel for each."""
    chart = Chart(
        "people-chart",
        f"Equal error rate with {coverage(results.level)} intervals; lower is better. Filled: with "
        "KD. Hollow: without KD. Diamonds: teachers. Hollow diamond: a network that was never "
        "trained, the baseline to be read against.",
        "No equal error rates are in the results.",
        wide=True,
    )
    panels = []
    for benchmark in benchmarks:
        rows = [
            Row(model.title, _model_style(model), eer)
            for model in results.models
            if (eer := results.eer(model.id, benchmark)) and finite(eer.value)
        ]
        if rows:
            panels.append((benchmark.title, rows))
    horizontal = figures.limits((row.estimate for _, rows in panels for row in rows), zero=True)
    if horizontal is None:
        return chart
    longest = max(len(row.label) for _, rows in panels for row in rows)
    chart.full = longest > figures.LABEL_LENGTH
    for title, rows in panels:
        rates = ", ".join(f"{row.label} {percent(row.estimate.value)} %" for row in rows)
        drawing = figures.interval_chart(
            chart.next_name,
            f"Equal error rate on {title}: {rates}.",
            rows,
            (0.0, horizontal[1]),
            unit="equal error rate, %",
            longest=_LONG if chart.full else figures.LABEL_LENGTH,
        )
        chart.panels.append(Panel(title, drawing))
    return chart


def training(results: Results) -> list[Chart]:
    """Losses over steps, a panel for each pairing."""
    chart = Chart(
        "losses",
        "Losses during training. Each point is the mean of consecutive log entries. The "
        "classification loss has the margin in it; the distillation loss has its weight in it.",
        "No training curves are in the results.",
    )
    panels = []
    for of, pairing in _every(results):
        lines = [
            line
            for model, kd in ((pairing.plain, False), (pairing.distilled, True))
            if model
            for line in _losses(results.curves.get(model.id, ()), kd=kd)
        ]
        if lines:
            panels.append((of, pairing, lines))
    highest = 1.05 * max((max(line.values) for *_, lines in panels for line in lines), default=1.0)
    many = len(panels) > MANY
    if many:
        chart.caption += " Lines are means over seeds."
    elif any(line.faint for *_, lines in panels for line in lines):
        chart.caption += " Thick lines are means over seeds, thin lines single seeds."
    drawings = []
    for of, pairing, lines in panels:
        label = f"{_described(results, of, pairing)}: losses over optimiser steps."
        shown = [line for line in lines if not (many and line.faint)]
        draw = partial(figures.training_chart, label=label, lines=shown, highest=highest or 1.0)
        drawings.append(Drawing(of.title, results.set_title(pairing.set), of.title, draw))
    charts = in_panels(chart, drawings)
    for one in charts:
        if one.panels:
            one.explain("classification, with KD", _CLASSIFICATION)
            one.explain("classification, without KD", _CLASSIFICATION.without_kd())
            one.explain("distillation", _DISTILLATION)
    return charts


_LONG = 60
"""Characters of a label that are shown where the panel is as wide as the page."""
_CLASSIFICATION = Style(INK)
_DISTILLATION = Style(series_colour(4))


def _losses(seeds: Sequence[Sequence[CurvePoint]], *, kd: bool) -> list[Line]:
    """For each part of the loss a faint line for each seed, and their mean."""
    lines = []
    style = _CLASSIFICATION if kd else _CLASSIFICATION.without_kd()
    for part, look in (("classification", style), ("distillation", _DISTILLATION)):
        runs = [
            {p.step: value for p in points if finite(value := getattr(p, part))} for points in seeds
        ]
        runs = [run for run in runs if run]
        if len(runs) > 1:
            lines += [Line(look, list(run), list(run.values()), faint=True) for run in runs]
        if runs:
            # Only steps that all seeds have: elsewhere the mean would jump with who is in it.
            steps = sorted(set(runs[0]).intersection(*runs[1:]))
            means = [sum(run[step] for run in runs) / len(runs) for step in steps]
            lines.append(Line(look, steps, means))
    return [line for line in lines if line.steps]


def _rocs(results: Results, model: Model | None, benchmark: Benchmark) -> list[tuple[Style, Roc]]:
    evaluation = _evaluation(results, model, benchmark)
    if evaluation is None:
        return []
    return [
        (Style.of_series(i), curve)
        for i, group in enumerate(benchmark.groups)
        if (result := evaluation.groups.get(group)) and (curve := result.roc)
    ]


def _evaluation(results: Results, model: Model | None, benchmark: Benchmark) -> Evaluation | None:
    return results.evaluation(model.id, benchmark.id) if model else None


def _accuracy(evaluation: Evaluation | None, group: str) -> Estimate:
    result = evaluation.groups.get(group) if evaluation else None
    return result.accuracy if result else Estimate()


def _seed_ends(
    plain: Evaluation | None, distilled: Evaluation | None, group: str
) -> tuple[Ends, ...]:
    """Accuracies without and with KD of the seeds that both arms were trained with."""
    if plain is None or distilled is None or len(plain.seeds) < 2:
        return ()
    with_kd = {seed.seed: seed.accuracy.get(group) for seed in distilled.seeds}
    return tuple(
        (before, after)
        for seed in plain.seeds
        if finite(before := seed.accuracy.get(group)) and finite(after := with_kd.get(seed.seed))
    )


def _every(results: Results) -> list[tuple[Slice, Pairing]]:
    return [(of, pairing) for of in slices(results) for pairing in of.pairings]


def _both(
    results: Results, pairing: Pairing, benchmark: Benchmark
) -> tuple[Evaluation | None, Evaluation | None]:
    """Evaluations without and with KD."""
    return (
        _evaluation(results, pairing.plain, benchmark),
        _evaluation(results, pairing.distilled, benchmark),
    )


def _described(results: Results, of: Slice, pairing: Pairing) -> str:
    title = f"Trained on {results.set_title(pairing.set)}"
    return ", ".join(text for text in (title, of.title) if text)


def _model_style(model: Model) -> Style:
    style = Style.of_series(0) if model.kind == "student" else Style(marker="D")
    return style if model.kd or model.kind == "teacher" else style.without_kd()
