"""From results to the page's charts: panels, legend and caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenface.report import figures
from evenface.report.chart import Chart, Panel
from evenface.report.figures import Ends, Line, Row, Slope, Style, finite
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
from evenface.report.svg import INK, series_colour
from evenface.study.wording import OVER_GROUPS


@dataclass(frozen=True)
class _Pairing:
    """The arms of a training set without KD and with KD from one teacher."""

    set: str
    title: str
    detail: str
    plain: Model | None
    distilled: Model | None
    teacher: str | None


def _pairings(results: Results) -> list[_Pairing]:
    """A pairing for each teacher and training set, the main teacher's first."""
    several = len(results.distillers) > 1
    return [
        _Pairing(
            name,
            results.set_title(name),
            f"KD from {results.teacher_name(teacher)}" if several else "",
            results.plain(name),
            results.distilled(name, teacher),
            teacher,
        )
        for teacher in results.distillers or (None,)
        for name in results.training_sets
    ]


def slope(results: Results, benchmark: Benchmark) -> Chart:
    """Accuracy without KD → with KD by group, a panel for each training set and teacher."""
    chart = Chart(
        "slope",
        "Accuracy without and with KD by group, one panel for each training set, all on one "
        f"scale. Bars are {coverage(results.level)} intervals; groups are set side by side so "
        "that intervals do not cover each other.",
        "No training set has students both without and with KD.",
        simulated=benchmark.simulated,
    )
    panels = []
    for pairing in _pairings(results):
        plain = _evaluation(results, pairing.plain, benchmark)
        distilled = _evaluation(results, pairing.distilled, benchmark)
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
            panels.append((pairing, slopes))
    vertical = figures.limits(
        e
        for _, slopes in panels
        for s in slopes
        for e in (s.without, s.with_kd, *(Estimate(value=v) for ends in s.seeds for v in ends))
    )
    if vertical is None:
        return chart
    if any(s.seeds for _, slopes in panels for s in slopes):
        chart.caption += " Thin lines are single seeds."
    for pairing, slopes in panels:
        changes = ", ".join(
            f"{group} {percent(s.without.value)} to {percent(s.with_kd.value)} %"
            for group, s in zip(benchmark.groups, slopes, strict=True)
        )
        label = f"{_described(pairing)}: accuracy without to with KD: {changes}."
        drawing = figures.slope_chart(chart.next_name, label, slopes, vertical)
        chart.panels.append(Panel(pairing.title, drawing, pairing.detail))
    for i, group in enumerate(benchmark.groups):
        chart.explain(group, Style.of_series(i), marker=True)
    return chart


def differences(results: Results, benchmark: Benchmark) -> Chart:
    """Paired differences of accuracy with intervals, a panel for each training set and teacher."""
    found = [
        d
        for d in results.differences
        if d.benchmark == benchmark.id and d.metric == "accuracy" and finite(d.value)
    ]
    chart = Chart(
        "forest",
        "Accuracy with KD minus without KD, in percentage points, with paired "
        f"{coverage(results.level)} intervals from the same resamples of seeds and identities. "
        "Filled: the interval excludes zero, for a single group after Holm's correction as well. "
        "Hollow: undecided.",
        "No paired differences are in the results.",
        simulated=benchmark.simulated,
    )
    horizontal = figures.limits(found, zero=True)
    if horizontal is None:
        return chart
    for pairing in _pairings(results):
        of_pairing = [d for d in found if (d.set, d.teacher) == (pairing.set, pairing.teacher)]
        rows = [_difference_row(results, benchmark, d) for d in of_pairing]
        if not rows:
            continue
        changes = ", ".join(f"{row.label} {percent(row.estimate.value, sign=True)}" for row in rows)
        drawing = figures.interval_chart(
            chart.next_name,
            f"{_described(pairing)}: change of accuracy with KD in points: {changes}.",
            rows,
            horizontal,
            unit="points of accuracy",
            zero=True,
        )
        chart.panels.append(Panel(pairing.title, drawing, pairing.detail))
    return chart


def _difference_row(results: Results, benchmark: Benchmark, difference: Difference) -> Row:
    if difference.group in benchmark.groups:
        style = Style.of_series(benchmark.groups.index(difference.group))
    else:
        style = Style(marker="D")
    if not difference.decided(results.level):
        style = style.without_kd()
    label = "mean" if difference.group == OVER_GROUPS else difference.group
    return Row(label, style, difference)


def roc(results: Results, benchmark: Benchmark) -> Chart:
    """ROC by group: a panel for each training set and teacher, and one for each reference model."""
    chart = Chart(
        "roc-curves",
        "ROC by group on a logarithmic axis of the false match rate. It starts at the lowest rate "
        "that the impostor pairs can show.",
        "No ROC is in the results.",
        simulated=benchmark.simulated,
    )
    panels: list[tuple[str, str, list[tuple[Style, Roc]]]] = []
    for pairing in _pairings(results):
        plain = _rocs(results, pairing.plain, benchmark)
        curves = [(style.without_kd(), curve) for style, curve in plain]
        curves += _rocs(results, pairing.distilled, benchmark)
        panels.append((pairing.title, pairing.detail, curves))
    panels += [(model.title, "", _rocs(results, model, benchmark)) for model in results.references]
    panels = [panel for panel in panels if panel[-1]]
    floor = figures.roc_floor(curve for *_, curves in panels for _, curve in curves)
    for title, detail, curves in panels:
        label = f"ROC by group: {title} {detail}. True match rate against false match rate."
        drawing = figures.roc_chart(chart.next_name, label, curves, floor)
        chart.panels.append(Panel(title, drawing, detail))
    if panels:
        for i, group in enumerate(benchmark.groups):
            chart.explain(group, Style.of_series(i))
        chart.explain("with KD", Style())
        chart.explain("without KD", Style().without_kd())
    return chart


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
    for title, rows in panels:
        rates = ", ".join(f"{row.label} {percent(row.estimate.value)} %" for row in rows)
        drawing = figures.interval_chart(
            chart.next_name,
            f"Equal error rate on {title}: {rates}.",
            rows,
            (0.0, horizontal[1]),
            unit="equal error rate, %",
        )
        chart.panels.append(Panel(title, drawing))
    return chart


def training(results: Results) -> Chart:
    """Losses over steps, a panel for each training set and teacher."""
    chart = Chart(
        "losses",
        "Losses during training. Each point is the mean of consecutive log entries. The "
        "classification loss has the margin in it; the distillation loss has its weight in it.",
        "No training curves are in the results.",
    )
    panels = []
    for pairing in _pairings(results):
        lines = [
            line
            for model, kd in ((pairing.plain, False), (pairing.distilled, True))
            if model
            for line in _losses(results.curves.get(model.id, ()), kd=kd)
        ]
        if lines:
            panels.append((pairing, lines))
    highest = 1.05 * max((max(line.values) for _, lines in panels for line in lines), default=1.0)
    if any(line.faint for _, lines in panels for line in lines):
        chart.caption += " Thick lines are means over seeds, thin lines single seeds."
    for pairing, lines in panels:
        label = f"{_described(pairing)}: losses over optimiser steps."
        drawing = figures.training_chart(chart.next_name, label, lines, highest or 1.0)
        chart.panels.append(Panel(pairing.title, drawing, pairing.detail))
    if panels:
        chart.explain("classification, with KD", _CLASSIFICATION)
        chart.explain("classification, without KD", _CLASSIFICATION.without_kd())
        chart.explain("distillation", _DISTILLATION)
    return chart


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


def _described(pairing: _Pairing) -> str:
    return ", ".join(text for text in (f"Trained on {pairing.title}", pairing.detail) if text)


def _model_style(model: Model) -> Style:
    style = Style.of_series(0) if model.kind == "student" else Style(marker="D")
    return style if model.kd or model.kind == "teacher" else style.without_kd()
