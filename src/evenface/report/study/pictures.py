"""From results to the page's charts: panels, legend and caption."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.results import Roc
from evenface.record import Estimate
from evenface.report.drawings import curves, intervals, marks
from evenface.report.drawings.intervals import Dumbbell, Ends, Row, Slope
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import INK
from evenface.report.figure import Figure
from evenface.report.numbers import coverage, percent
from evenface.report.study.declared import harm_picture
from evenface.report.study.grid import MANY, Pairing, Slice, main_sweep, slices
from evenface.report.study.sweeps import worst_group_picture
from evenface.study.record import Benchmark, Model, Results

_Panel = TypeVar("_Panel")


def picture(results: Results, benchmark: Benchmark) -> Figure:
    """The drawing that answers the study's question.

    A sweep's curve; the harms of declared contrasts; the slopes of all pairs of a grid; else each
    training set without and with distillation.
    """
    if main_sweep(results, benchmark):
        return worst_group_picture(results)
    if harms := harm_picture(results, benchmark):
        return harms
    chart = Figure(
        "picture",
        f"Bars are {coverage(results.level)} intervals of each model; paired differences are surer "
        "than they suggest.",
        "No training set has students both without and with KD.",
        simulated=benchmark.simulated,
    )
    found = [of for of in slices(results) if of.teacher == next(iter(results.distillers), None)]
    if len(found) > 1:
        _all_slopes(results, benchmark, chart, found)
    else:
        _all_sets(results, benchmark, chart)
    return chart


def _all_slopes(
    results: Results, benchmark: Benchmark, chart: Figure, found: Sequence[Slice]
) -> None:
    sets = {name: Style.of_series(i) for i, name in enumerate(results.training_sets)}
    slopes, said = [], []
    for of in found:
        for pairing in of.pairings:
            without, with_kd = _means(results, pairing, benchmark)
            if finite(without.value) and finite(with_kd.value):
                slopes.append(Slope(sets[pairing.set], without, with_kd))
                change = f"{percent(without.value)} to {percent(with_kd.value)} %"
                said.append(f"{', '.join(filter(None, (pairing.set, of.title)))} {change}")
    vertical = marks.limits(e for s in slopes for e in (s.without, s.with_kd))
    if vertical is None:
        return
    chart.picture(
        partial(
            intervals.slope_chart,
            label=f"Mean accuracy without to with KD: {', '.join(said)}.",
            slopes=slopes,
            vertical=vertical,
            unit="mean accuracy, %",
        )
    )
    for name, style in sets.items():
        chart.explain(name, style, marker=True)


def _all_sets(results: Results, benchmark: Benchmark, chart: Figure) -> None:
    teachers = {t: Style.of_series(i) for i, t in enumerate(results.distillers)}
    rows, said = [], []
    for name in results.training_sets:
        of_set = [p for of in slices(results) for p in of.pairings if p.set == name]
        plain = Estimate()
        ends = []
        for pairing in of_set:
            without, with_kd = _means(results, pairing, benchmark)
            plain = without if finite(without.value) else plain
            if pairing.teacher and finite(with_kd.value):
                ends.append((with_kd, teachers[pairing.teacher]))
                who = results.teacher_name(pairing.teacher)
                said.append(f"{name} with KD from {who} {percent(with_kd.value)} %")
        if finite(plain.value) and ends:
            rows.append(Dumbbell(name, [(plain, Style(INK).without_kd()), *ends]))
            said.append(f"{name} without KD {percent(plain.value)} %")
    horizontal = marks.limits(e for row in rows for e, _ in row.ends)
    if horizontal is None:
        return
    chart.picture(
        partial(
            intervals.dumbbell_chart,
            label=f"Mean accuracy: {', '.join(said)}.",
            rows=rows,
            horizontal=horizontal,
            unit="mean accuracy over groups, %",
        ),
        height=60 + max(40, min(85, 400 // len(rows))) * len(rows),
    )
    chart.explain("without KD", Style(INK).without_kd(), line=False, marker=True)
    for teacher, style in teachers.items():
        name = f"KD from {results.teacher_name(teacher)}"
        chart.explain(name, style, line=False, marker=True)


def _means(results: Results, pairing: Pairing, benchmark: Benchmark) -> tuple[Estimate, Estimate]:
    """Mean accuracy without and with KD."""
    without, with_kd = (
        evaluation.overall.accuracy if evaluation else Estimate()
        for evaluation in _both(results, pairing, benchmark)
    )
    return without, with_kd


def few(chart: Figure, panels: Sequence[_Panel]) -> Sequence[_Panel]:
    """At most ``MANY`` of them; where that leaves some out, the caption says so."""
    if len(panels) > MANY:
        chart.caption += f" The first {MANY} of {len(panels)}; the tables have all."
    return panels[:MANY]


def slope(results: Results, benchmark: Benchmark) -> Figure:
    """Accuracy without KD → with KD by group, a panel for each pairing."""
    chart = Figure(
        "slope",
        "Accuracy without and with KD by group, all on one scale, with "
        f"{coverage(results.level)} intervals.",
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
    panels = list(few(chart, panels))
    vertical = marks.limits(
        e
        for *_, slopes in panels
        for s in slopes
        for e in (s.without, s.with_kd, *(Estimate(value=v) for ends in s.seeds for v in ends))
    )
    if vertical is None:
        return chart
    if any(s.seeds for *_, slopes in panels for s in slopes):
        chart.caption += " Thin lines are single seeds."
    for of, pairing, slopes in panels:
        changes = ", ".join(
            f"{group} {percent(s.without.value)} to {percent(s.with_kd.value)} %"
            for group, s in zip(benchmark.groups, slopes, strict=True)
        )
        label = f"{_described(of, pairing)}: accuracy without to with KD: {changes}."
        chart.add(pairing.set, intervals.slope_chart, label, slopes, vertical, detail=of.title)
    for i, group in enumerate(benchmark.groups):
        chart.explain(group, Style.of_series(i), marker=True)
    return chart


def roc(results: Results, benchmark: Benchmark) -> Figure:
    """ROC by group: a panel for each reference model, then one for each pairing."""
    chart = Figure(
        "roc-curves",
        "True match rate against false match rate by group, from the lowest rate that the impostor "
        "pairs can show.",
        "No ROC is in the results.",
        simulated=benchmark.simulated,
    )
    panels: list[tuple[str, str, list[tuple[Style, Roc]]]] = []
    for of, pairing in _every(results):
        plain = _rocs(results, pairing.plain, benchmark)
        both = [(style.without_kd(), curve) for style, curve in plain]
        both += _rocs(results, pairing.distilled, benchmark)
        panels.append((pairing.set, of.title, both))
    panels += [(m.title, "", _rocs(results, m, benchmark)) for m in results.references]
    shown = few(chart, [panel for panel in panels if panel[-1]])
    floor = curves.roc_floor(curve for *_, drawn in shown for _, curve in drawn)
    for title, detail, drawn in shown:
        label = f"ROC by group: {title} {detail}. True match rate against false match rate."
        chart.add(title, curves.roc_chart, label, drawn, floor, detail=detail)
    if chart.panels:
        for i, group in enumerate(benchmark.groups):
            chart.explain(group, Style.of_series(i))
        chart.explain("with KD", Style())
        chart.explain("without KD", Style().without_kd())
    return chart


def people(results: Results, benchmarks: Sequence[Benchmark]) -> Figure:
    """EER of all models on benchmarks without groups, a panel for each."""
    chart = Figure(
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
    horizontal = marks.limits((row.estimate for _, rows in panels for row in rows), zero=True)
    if horizontal is None:
        return chart
    longest = max(len(row.label) for _, rows in panels for row in rows)
    chart.full = longest > marks.LABEL_LENGTH
    for title, rows in panels:
        rates = ", ".join(f"{row.label} {percent(row.estimate.value)} %" for row in rows)
        chart.add(
            title,
            intervals.interval_chart,
            f"Equal error rate on {title}: {rates}.",
            rows,
            horizontal,
            unit="equal error rate, %",
            longest=_LONG if chart.full else marks.LABEL_LENGTH,
        )
    return chart


_LONG = 60
"""Characters of a label that are shown where the panel is as wide as the page."""


def _rocs(results: Results, model: Model | None, benchmark: Benchmark) -> list[tuple[Style, Roc]]:
    evaluation = _evaluation(results, model, benchmark)
    if evaluation is None:
        return []
    return [
        (Style.of_series(i), result.roc)
        for i, group in enumerate(benchmark.groups)
        if (result := evaluation.groups.get(group))
    ]


def _evaluation(
    results: Results, model: Model | None, benchmark: Benchmark
) -> ArmEvaluation | None:
    return results.evaluation(model.id, benchmark.id) if model else None


def _accuracy(evaluation: ArmEvaluation | None, group: str) -> Estimate:
    result = evaluation.groups.get(group) if evaluation else None
    return result.accuracy if result else Estimate()


def _seed_ends(
    plain: ArmEvaluation | None, distilled: ArmEvaluation | None, group: str
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
) -> tuple[ArmEvaluation | None, ArmEvaluation | None]:
    """Evaluations without and with KD."""
    return (
        _evaluation(results, pairing.plain, benchmark),
        _evaluation(results, pairing.distilled, benchmark),
    )


def _described(of: Slice, pairing: Pairing) -> str:
    title = f"Trained on {pairing.set}"
    return ", ".join(text for text in (title, of.title) if text)


def _model_style(model: Model) -> Style:
    style = Style.of_series(0) if model.kind == "student" else Style(marker="D")
    return style if model.kd or model.kind == "teacher" else style.without_kd()
