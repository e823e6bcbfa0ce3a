"""Drawings of curves: ROC, DET, error rates, distributions, calibration, training. A colour belongs
to a group.

Of error rates, solid lines are genuine pairs and their errors (FNMR), dashed lines impostor pairs
and theirs (FMR).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.evaluate.results import CrossTable, Histogram, RateCurve, Reliability
from evenface.evaluate.text import Interval
from evenface.report.drawings.marks import Style, few_ticks, finite, shorten
from evenface.report.drawings.svg import INK, MUTED, draw, series_colour
from evenface.report.numbers import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PROBIT_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
_CELL = 58
_FEWEST_BINS = 20
_NEARLY = 0.05
"""Of a decade: nearer than that, an end counts as on it."""
_CURVE_POINTS = 150


class Roc(Protocol):
    """Corners of a ROC, ascending in FAR; fractions."""

    @property
    def far(self) -> Sequence[float]: ...
    @property
    def tar(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class Line:
    """One line of a training chart; both sequences of one length."""

    style: Style
    steps: Sequence[int]
    values: Sequence[float]


def distribution_chart(
    name: str, label: str, groups: Sequence[tuple[Style, Histogram]], threshold: float | None
) -> str:
    """Shares of genuine and of impostor pairs by score.

    Args:
        name: unique within the page.
        label: what is shown, for those who do not see it.
        groups: histograms over the same bins.
        threshold: to be marked.
    """

    bins = min((_bins(found) for _, found in groups), default=1)

    def paint(axes: Axes) -> None:
        for style, found in groups:
            edges = np.linspace(found.low, found.high, bins + 1)
            for counts, line in ((found.genuine, "-"), (found.impostor, (0, (4, 3)))):
                share = 100 * np.asarray(counts) / max(1, sum(counts))
                share = share.reshape(bins, -1).sum(axis=1)
                axes.stairs(share, edges, color=style.colour, linestyle=line, linewidth=1.4)
        _mark_threshold(axes, threshold)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("score")
        axes.set_ylabel("share of pairs, %")
        few_ticks(axes, "x")
        few_ticks(axes, "y")

    return draw(name, label, paint, margins=(46, 10, 6, 40))


def rates_chart(
    name: str, label: str, groups: Sequence[tuple[Style, RateCurve]], threshold: float | None
) -> str:
    """FMR and FNMR against the threshold, on a logarithmic axis.

    Args:
        name, label, threshold: as in :func:`distribution_chart`.
        groups: curves over the same thresholds.
    """

    def paint(axes: Axes) -> None:
        smallest = 1.0
        for style, found in groups:
            for rates, line in ((found.fnmr, "-"), (found.fmr, (0, (4, 3)))):
                shown = np.where(np.asarray(rates) > 0, rates, np.nan)
                if np.isfinite(shown).any():
                    smallest = min(smallest, float(np.nanmin(shown)))
                axes.plot(
                    found.thresholds, shown, color=style.colour, linestyle=line, linewidth=1.5
                )
        _mark_threshold(axes, threshold)
        axes.set_yscale("log")
        _decades(axes, "y", smallest)
        axes.set_xlabel("threshold")
        axes.set_ylabel("error rate")
        few_ticks(axes, "x")

    return draw(name, label, paint, margins=(56, 10, 6, 40))


def det_chart(name: str, label: str, curves: Sequence[tuple[Style, Roc]], floor: float) -> str:
    """FNMR against FMR on axes of the normal distribution's quantiles (DET).

    Martin et al., *The DET curve in assessment of detection task performance*, Eurospeech 1997:
    normally distributed scores give straight lines.

    Args:
        name, label: as in :func:`distribution_chart`.
        curves: corners of the ROC.
        floor: the smallest rate shown, in (0, 0.5).
    """

    def paint(axes: Axes) -> None:
        for style, curve in curves:
            far, fnmr = np.asarray(curve.far), 1 - np.asarray(curve.tar)
            axes.step(
                _probit(far, floor),
                _probit(fnmr, floor),
                where="post",
                color=style.colour,
                linestyle=style.line,
            )
        ticks = [t for t in _PROBIT_TICKS if floor <= t <= 0.4 or math.isclose(t, floor)]
        places = _probit(ticks, floor)
        labels = [f"{100 * tick:g}" for tick in ticks]
        span = (float(_probit(floor, floor)), float(_probit(0.5, floor)))
        axes.set_xlim(*span)
        axes.set_ylim(*span)
        axes.set_xticks(places, labels)
        axes.set_yticks(places, labels)
        axes.set_xlabel("false match rate, %")
        axes.set_ylabel("false non-match rate, %")

    return draw(name, label, paint, size=(300, 260), margins=(54, 12, 6, 40))


def over_targets_chart(
    name: str,
    label: str,
    series: Sequence[tuple[Style, Sequence[tuple[float, Interval]]]],
    even: float,
) -> str:
    """A measure over the target false match rate, with intervals.

    Args:
        name, label: as in :func:`distribution_chart`.
        series: for each model, targets and estimates.
        even: value of the measure where groups are alike.
    """

    low, high = _span((e for _, points in series for _, e in points), even)

    def paint(axes: Axes) -> None:
        axes.axhline(even, color=MUTED, linewidth=1.2)
        axes.set_ylim(low, high)
        seen = []
        for i, (style, points) in enumerate(series):
            # Side by side, so that intervals of models do not cover each other.
            shift = 1.06 ** (i - (len(series) - 1) / 2)
            shown = [(shift * target, e, e.value) for target, e in points if finite(e.value)]
            seen += [target for target, *_ in shown]
            for target, e, _ in shown:
                if finite(e.low):
                    top = e.high if finite(e.high) else high
                    axes.vlines(target, e.low, top, color=style.colour, linewidth=1.2)
            axes.plot(
                [target for target, *_ in shown],
                [value for *_, value in shown],
                color=style.colour,
                marker=style.marker,
                markersize=4.5,
            )
        axes.set_xscale("log")
        if seen:
            _decades(axes, "x", min(seen), max(seen))
        axes.set_xlabel("target false match rate")
        few_ticks(axes, "y")

    return draw(name, label, paint, size=(300, 210), margins=(50, 16, 8, 40))


def cross_chart(name: str, label: str, table: CrossTable) -> str:
    """FMR of every pair of groups: the stronger the colour, the more false matches.

    Args:
        name, label: as in :func:`distribution_chart`.
        table: symmetric; a cell without a value, or without pairs, stays blank.
    """
    groups = list(table.cells)
    values = [c.value for row in table.cells.values() for c in row.values() if finite(c.value)]
    highest = max(values, default=0.0) or 1.0
    digits = max(2, math.ceil(-math.log10(table.target_fmr)))
    names = [shorten(group, 16) for group in groups]
    left = 14 + round(6.2 * max(map(len, names)))
    bottom = 24 if max(map(len, names)) <= 9 else left

    def paint(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        for y, one in enumerate(groups):
            for x, other in enumerate(groups):
                cell = table.cells[one].get(other)
                value = cell.value if cell else None
                strength = 0.04 + 0.46 * value / highest if finite(value) else 0.0
                axes.add_patch(
                    Rectangle(
                        (x - 0.48, y - 0.48),
                        0.96,
                        0.96,
                        facecolor=series_colour(1),
                        alpha=strength,
                        linewidth=0,
                    )
                )
                text = number(None if value is None else 100 * value, digits=digits)
                axes.text(x, y, text, ha="center", va="center", color=INK, fontsize=10)
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        turned = 0 if bottom == 24 else 90
        axes.set_xticks(range(len(groups)), names, rotation=turned)
        axes.set_yticks(range(len(groups)), names)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)

    width, height = (_CELL * len(groups) + extra for extra in (left + 6, bottom + 6))
    return draw(name, label, paint, size=(width, height), margins=(left, 6, 6, bottom))


def reliability_chart(name: str, label: str, groups: Sequence[tuple[Style, Reliability]]) -> str:
    """Share of genuine pairs seen against the probability given; on the diagonal both agree.

    Args:
        name, label: as in :func:`distribution_chart`.
        groups: diagrams over equal bins; empty bins are left out.
    """

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2)
        for style, found in groups:
            bins = zip(found.predicted, found.observed, strict=True)
            shown = [(p, o) for p, o in bins if finite(p) and finite(o)]
            axes.plot(
                [p for p, _ in shown],
                [o for _, o in shown],
                color=style.colour,
                marker=style.marker,
                markersize=4.5,
                linewidth=1.4,
            )
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("probability of being genuine")
        axes.set_ylabel("share that is genuine")

    return draw(name, label, paint, size=(300, 260), margins=(46, 12, 6, 40))


def roc_floor(curves: Iterable[Roc]) -> float:
    """The smallest FMR above zero that any of the curves reaches; where the axis starts."""
    positive = [far for curve in curves for far in curve.far if 0 < far < 1]
    return min(positive, default=1e-3)


def roc_chart(name: str, label: str, curves: Sequence[tuple[Style, Roc]], floor: float) -> str:
    """True match rate against false match rate, the latter on a logarithmic axis.

    Args:
        name, label: as in :func:`distribution_chart`.
        curves: corners of the curves.
        floor: FMR at which the axis starts, see :func:`roc_floor`.
    """

    def paint(axes: Axes) -> None:
        for style, curve in curves:
            far, tar = np.asarray(curve.far), 100 * np.asarray(curve.tar)
            first = max(0, int(np.searchsorted(far, floor, side="right")) - 1)
            far, tar = np.maximum(far[first:], floor), tar[first:]
            axes.step(far, tar, where="post", color=style.colour, linestyle=style.line)
        axes.set_xscale("log")
        axes.set_xlim(floor, 1)
        axes.set_ylim(0, 101)
        decades = [10.0**k for k in range(math.ceil(math.log10(floor) - 1e-9), 1)]
        shown = decades[:: -(1 + len(decades) // 6)]
        axes.set_xticks(shown, [f"{100 * level:g} %" for level in shown])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("false match rate")
        axes.set_ylabel("true match rate, %")

    return draw(name, label, paint, margins=(46, 20, 6, 40))


def training_chart(
    name: str,
    label: str,
    lines: Sequence[Line],
    highest: float,
    *,
    lowest: float = 0.0,
    unit: str = "loss",
) -> str:
    """Values over steps; long curves are averaged over equal runs of points.

    Args:
        name, label: as in :func:`distribution_chart`.
        lines: one for each loss or group.
        highest, lowest: top and bottom of the axis.
        unit: label of the axis.
    """

    def paint(axes: Axes) -> None:
        for line in lines:
            size = math.ceil(len(line.steps) / _CURVE_POINTS)
            axes.plot(
                _means(line.steps, size),
                _means(line.values, size),
                color=line.style.colour,
                linestyle=line.style.line,
                linewidth=1.5,
            )
        axes.set_xlim(left=0)
        axes.set_ylim(lowest, highest)
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(unit)
        few_ticks(axes, "x")
        few_ticks(axes, "y")

    return draw(name, label, paint, margins=(40, 20, 6, 40))


def _probit(rates: ArrayLike, floor: float) -> NDArray[np.float64]:
    inside = np.clip(np.asarray(rates, dtype=np.float64), floor, 1 - floor)
    return np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])(inside)


def _bins(found: Histogram) -> int:
    """Bins left when neighbours are merged so that few pairs do not draw noise.

    Twice the cube root of the pairs for each of the two kinds (Rice's rule), which share the range.
    """
    full = len(found.genuine)
    fewest = min(sum(found.genuine), sum(found.impostor))
    wanted = max(_FEWEST_BINS, 4 * fewest ** (1 / 3))
    return max((n for n in range(1, full + 1) if full % n == 0 and n <= wanted), default=full)


def _span(estimates: Iterable[Interval], even: float) -> tuple[float, float]:
    """Range that holds all values and bounds, and where groups are alike."""
    seen = [b for e in estimates for b in (e.value, e.low, e.high) if finite(b)]
    low, high = min([even, *seen]), max([even, *seen])
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _mark_threshold(axes: Axes, threshold: float | None) -> None:
    if threshold is not None:
        axes.axvline(threshold, color=MUTED, linewidth=1.2)


def _decades(axes: Axes, axis: str, smallest: float, largest: float = 1.0) -> None:
    """A logarithmic axis with ticks at the decades, in per cent."""
    first = math.floor(math.log10(smallest) + _NEARLY)
    last = math.ceil(math.log10(largest) - _NEARLY)
    shown = [10.0**k for k in range(last, first - 1, -(1 + (last - first) // 5))]
    getattr(axes, f"set_{axis}ticks")(shown, [f"{100 * tick:g} %" for tick in shown])
    getattr(axes, f"set_{axis}ticks")([], minor=True)
    low, high = (smallest / 1.4, largest * 1.4) if axis == "x" else (smallest / 1.4, largest)
    getattr(axes, f"set_{axis}lim")(low, high)


def _means(values: Sequence[float], size: int) -> list[float]:
    return [float(np.mean(values[i : i + size])) for i in range(0, len(values), size)]
