"""From evaluations to charts: panels, legend and caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evenface.evaluate.measures import in_percent, measure, rate_digits
from evenface.evaluate.results import Evaluation, GroupResult
from evenface.report.audit.chapter import Chapter
from evenface.report.drawings import curves, intervals, marks
from evenface.report.drawings.intervals import Row
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import SERIES
from evenface.report.figure import Figure
from evenface.report.numbers import coverage, number, percent, says_nothing

OVER_TARGETS = {
    "fdr": 1.0,
    "garbe": 0.0,
    "inequity_rate": 1.0,
    "werm": 1.0,
    "fmr_ratio": 1.0,
    "fnmr_ratio": 1.0,
}
"""Measures drawn over the target, and their value where groups are alike."""
_FEW_FALSE_MATCHES = 1e-6


def charts(chapter: Chapter) -> dict[str, Figure]:
    """All charts of a protocol by name; one without panels says why it is empty."""
    return {name: make(chapter) for name, make in CHARTS.items()}


def error_rates(chapter: Chapter) -> Figure:
    """FMR and FNMR of each group at the one threshold, with intervals."""
    key = chapter.key
    several = len(chapter.groups) > 1
    by_group, for_all = (" by group", " for all groups") if several else ("", "")
    chart = _chart(
        chapter,
        "rates",
        f"Error rates{by_group}, with {coverage(chapter.level)} intervals, at one threshold"
        f"{for_all} that was set on other people for a false match rate of "
        f"{in_percent(float(key)) if key else '–'}.",
        "The impostor pairs support no target: no operating point is shown.",
        wide=True,
    )
    for rate, words in (("fmr", "false match rate"), ("fnmr", "false non-match rate")):
        found = {
            model: getattr(point, rate)
            for model, evaluation in chapter.models.items()
            if (point := evaluation.point(key))
        }
        every = (e for rates in found.values() for e in rates.values() if not says_nothing(e))
        span = marks.limits(every, zero=True)
        if span is None or key is None:
            continue
        digits = rate_digits(float(key))
        for model, rates in found.items():
            rows = [
                Row(group, Style.of_series(i), rates[group])
                for i, group in enumerate(chapter.groups)
                if not says_nothing(rates[group])
            ]
            said = ", ".join(
                f"{row.label} {percent(row.estimate.value, digits=digits)} %" for row in rows
            )
            chart.add(
                _title(chapter, model, words),
                intervals.interval_chart,
                f"{model}, {words} by group: {said}.",
                rows,
                (-0.02 * span[1], span[1]),
                unit=f"{words}, %",
            )
    return chart


def distributions(chapter: Chapter) -> Figure:
    """Histograms of scores, genuine and impostor, by group."""
    chart = _chart(
        chapter,
        "distributions",
        "Scores of genuine pairs (solid) and impostor pairs (dashed) by group, as shares of the "
        "pairs of each kind. Where curves of groups lie apart, one threshold treats the groups "
        f"differently. {_threshold_said(chapter)}",
        "No distributions are in the results.",
    )
    _add_panels(
        chapter,
        chart,
        "distribution of scores",
        lambda group: group.distribution,
        curves.distribution_chart,
        lambda evaluation: _threshold(chapter, evaluation),
    )
    return _with_kinds(chart, "genuine pairs", "impostor pairs")


def rates_by_threshold(chapter: Chapter) -> Figure:
    """FMR and FNMR against the threshold, by group."""
    chart = _chart(
        chapter,
        "thresholds",
        "Error rates by group against the threshold, on a logarithmic axis: FNMR (solid) rises, "
        "FMR (dashed) falls. Curves end where no error is left in the sample. "
        f"{_threshold_said(chapter)}",
        "No error rates over thresholds are in the results.",
    )
    _add_panels(
        chapter,
        chart,
        "error rates against the threshold",
        lambda group: group.rates,
        curves.rates_chart,
        lambda evaluation: _threshold(chapter, evaluation),
    )
    return _with_kinds(chart, "FNMR", "FMR")


def roc(chapter: Chapter) -> Figure:
    """ROC by group."""
    chart = _chart(
        chapter,
        "roc",
        "ROC by group on a logarithmic axis of the false match rate. It starts at the lowest rate "
        "that the impostor pairs can show.",
        "No ROC is in the results.",
    )
    floor = curves.roc_floor(_rocs(chapter))
    _add_panels(
        chapter,
        chart,
        "true match rate against false match rate",
        lambda group: group.roc,
        curves.roc_chart,
        lambda _: floor,
    )
    return chart


def det(chapter: Chapter) -> Figure:
    """DET curves by group."""
    chart = _chart(
        chapter,
        "det",
        "DET by group: both errors on axes on which normally distributed scores give straight "
        "lines. Lower and further left is better. Curves that meet a border go on beyond it, to "
        "errors too rare for the sample to show.",
        "No ROC is in the results.",
    )
    lowest = [
        rate
        for curve in _rocs(chapter)
        for rate in (*curve.far, *(1 - tar for tar in curve.tar))
        if rate > _FEW_FALSE_MATCHES
    ]
    floor = min([*lowest, 0.1])
    _add_panels(
        chapter,
        chart,
        "false non-match rate against false match rate",
        lambda group: group.roc,
        curves.det_chart,
        lambda _: floor,
    )
    return chart


def over_targets(chapter: Chapter) -> Figure:
    """Measures of fairness over the target false match rate."""
    chart = _chart(
        chapter,
        "targets",
        "Fairness at one threshold for all groups, over the false match rate that the threshold is "
        f"set for, with {coverage(chapter.level)} intervals. The grey line is where all groups "
        "are alike. A bar that runs to the top has no upper bound.",
        "One group, or no target that the impostor pairs support: nothing to show.",
        groups=False,
    )
    for name, even in OVER_TARGETS.items():
        series = []
        for i, evaluation in enumerate(chapter.models.values()):
            points = [
                (point.target_fmr, point.measures[name])
                for key in chapter.keys
                if (point := evaluation.point(key)) and name in point.measures
            ]
            series.append((Style.of_series(i), points))
        if not any(finite(e.value) for _, points in series for _, e in points):
            continue
        shown = measure(name)
        said = "; ".join(
            f"{model} "
            + ", ".join(
                f"{number(e.value, digits=shown.digits)} at {in_percent(target)}"
                for target, e in points
            )
            for model, (_, points) in zip(chapter.models, series, strict=True)
        )
        chart.add(
            shown.title,
            curves.over_targets_chart,
            f"{shown.title} over the target false match rate: {said}.",
            series,
            even,
        )
    if chart.panels and len(chapter.models) > 1:
        for i, model in enumerate(chapter.models):
            chart.explain(model, Style.of_series(i), marker=True)
    return chart


def cross(chapter: Chapter) -> Figure:
    """Heat map of the FMR of every pair of groups."""
    key = chapter.key
    chart = _chart(
        chapter,
        "cross",
        "False match rate in % of impostor pairs with one person of either group; on the diagonal "
        "both are of one group. The stronger the colour, the more false matches. The threshold is "
        f"that for a mean rate of {in_percent(float(key)) if key else '–'} within groups.",
        "No cross-table is in the results: it needs at least two groups, a protocol that names its "
        "people, and a target that the impostor pairs support.",
        wide=len(chapter.groups) > SERIES,
        groups=False,
    )
    for model, evaluation in chapter.models.items():
        table = next(
            (t for t in evaluation.cross_tables if key and t.target_fmr == float(key)), None
        )
        if table is None or len(table.cells) < 2:
            continue
        digits = rate_digits(table.target_fmr)
        said = ", ".join(
            f"{one} and {other} {percent(cell.value, digits=digits)} %"
            for i, (one, row) in enumerate(table.cells.items())
            for other, cell in list(row.items())[i:]
        )
        chart.add(
            _title(chapter, model), curves.cross_chart, f"{model}, false match rate: {said}.", table
        )
    return chart


def calibration(chapter: Chapter) -> Figure:
    """Reliability diagrams by group."""
    chart = _chart(
        chapter,
        "reliability",
        "Calibration by group: of the pairs that are given a probability of being genuine, how "
        "many are. One map from scores to probabilities for all groups, fitted on other people. "
        "On the grey diagonal both agree; above it the map is too wary, below it too trusting.",
        "No calibration is in the results.",
    )
    for model, evaluation in chapter.models.items():
        if evaluation.calibration is None:
            continue
        groups = [
            (Style.of_series(i), result.reliability)
            for i, result in enumerate(evaluation.calibration.groups.values())
        ]
        label = f"{model}: share of genuine pairs against the probability given, by group."
        chart.add(_title(chapter, model), curves.reliability_chart, label, groups)
    return chart


CHARTS: dict[str, Callable[[Chapter], Figure]] = {
    "rates": error_rates,
    "distributions": distributions,
    "thresholds": rates_by_threshold,
    "roc": roc,
    "det": det,
    "targets": over_targets,
    "cross": cross,
    "reliability": calibration,
}


def _chart(
    chapter: Chapter,
    name: str,
    caption: str,
    empty: str,
    *,
    wide: bool = False,
    groups: bool = True,
) -> Figure:
    chart = Figure(
        f"{chapter.id}-{name}-chart", caption, empty, simulated=chapter.simulated, wide=wide
    )
    if groups and len(chapter.groups) > SERIES:
        chart.caption += f" Colours repeat after {SERIES} groups; the tables tell them apart."
    if groups and len(chapter.groups) > 1:
        for i, group in enumerate(chapter.groups):
            chart.explain(group, Style.of_series(i))
    return chart


def _add_panels(
    chapter: Chapter,
    chart: Figure,
    what: str,
    of_group: Callable[[GroupResult], object],
    draw: Callable[..., str],
    beside: Callable[[Evaluation], object],
) -> None:
    """A panel for each model that has the curve in some group, with what is drawn beside it."""
    for model, evaluation in chapter.models.items():
        drawn = [
            (Style.of_series(i), curve)
            for i, result in enumerate(evaluation.groups.values())
            if (curve := of_group(result)) is not None
        ]
        if drawn:
            label = f"{model}: {what}, by group."
            chart.add(_title(chapter, model), draw, label, drawn, beside(evaluation))


def _with_kinds(chart: Figure, solid: str, dashed: str) -> Figure:
    chart.explain(solid, Style())
    chart.explain(dashed, Style(dashed=True))
    return chart


def _rocs(chapter: Chapter) -> Iterator[curves.Roc]:
    for evaluation in chapter.models.values():
        yield from (result.roc for result in evaluation.groups.values())


def _title(chapter: Chapter, model: str, what: str = "") -> str:
    if len(chapter.models) == 1:
        return what[:1].upper() + what[1:]
    return ", ".join(filter(None, (model, what)))


def _threshold(chapter: Chapter, evaluation: Evaluation) -> float | None:
    point = evaluation.point(chapter.key)
    return point.threshold if point else None


def _threshold_said(chapter: Chapter) -> str:
    if chapter.key is None:
        return ""
    return (
        "The grey line is the threshold for a false match rate of "
        + in_percent(float(chapter.key))
        + "."
    )
