"""The charts of the page: data in, inline SVG out. Fractions are drawn in percent.

A colour belongs to a group, whatever the chart; solid lines and filled marks are "with KD",
dashed lines and hollow marks "without KD".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeGuard

import numpy as np

from evenface.evaluate.text import Interval
from evenface.report.svg import INK, MUTED, PAPER, RULE, draw, series_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX"
_CURVE_POINTS = 150
_ROW_HEIGHT = 26
_TICK_SIZE = 11
_APART = 0.24
"""Between a row's middle and its outermost marks."""
LABEL_LENGTH = 30
"""Characters of a label beside an axis that are shown where nothing else is asked for."""
_LABEL_WIDTH = 6.2
_KEY = "key"
_FAINT: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.45}

Limits = tuple[float, float]
Ends = tuple[float, float]
"""A measure without and with KD."""


class Roc(Protocol):
    """Corners of a ROC, ascending in FAR; fractions."""

    @property
    def far(self) -> Sequence[float]: ...
    @property
    def tar(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class Style:
    """How a series looks."""

    colour: str = INK
    marker: str = "o"
    dashed: bool = False
    hollow: bool = False

    @classmethod
    def of_series(cls, index: int, *, markers: str = _MARKERS) -> Self:
        """The style of the ``index``-th group (or series): colour and marker."""
        return cls(series_colour(index), markers[index % len(markers)])

    def without_kd(self) -> Self:
        """The same series without KD: dashed and hollow."""
        return replace(self, dashed=True, hollow=True)

    @property
    def line(self) -> str | tuple[int, tuple[int, int]]:
        """matplotlib's name of the line style."""
        return (0, (4, 3)) if self.dashed else "-"

    @property
    def face(self) -> str:
        """Fill of the marker."""
        return PAPER if self.hollow else self.colour


@dataclass(frozen=True)
class Slope:
    """One group's measure without and with KD."""

    style: Style
    without: Interval
    with_kd: Interval
    seeds: tuple[Ends, ...] = ()
    """The same for each seed."""


@dataclass(frozen=True)
class Row:
    """One line of an interval chart."""

    label: str
    style: Style
    estimate: Interval


@dataclass(frozen=True)
class Dumbbell:
    """A measure of one training set's models: without KD, and with it from each teacher."""

    label: str
    ends: Sequence[tuple[Interval, Style]]


@dataclass(frozen=True)
class Point:
    """A measure of one model, and what the model costs."""

    style: Style
    cost: float
    estimate: Interval


@dataclass(frozen=True)
class Marks:
    """One line of a chart of values without intervals, each with its look."""

    label: str
    values: Sequence[tuple[float | None, Style]]


@dataclass(frozen=True)
class Series:
    """A measure over a share: (share, measure) by rising share."""

    style: Style
    points: Sequence[tuple[float, Interval]]


@dataclass(frozen=True)
class Line:
    """One line of a training chart; both sequences of one length."""

    style: Style
    steps: Sequence[int]
    values: Sequence[float]


def finite(value: float | None) -> TypeGuard[float]:
    """Whether ``value`` can be drawn."""
    return value is not None and math.isfinite(value)


def limits(estimates: Iterable[Interval], *, zero: bool = False) -> Limits | None:
    """Range in percent that holds all values and bounds, with a margin; None when nothing is.

    Args:
        estimates: fractions.
        zero: whether zero must be inside.
    """
    values = [
        100 * bound
        for estimate in estimates
        if finite(estimate.value)
        for bound in (estimate.value, estimate.low, estimate.high)
        if finite(bound)
    ]
    if not values:
        return None
    if zero:
        values.append(0.0)
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def slope_chart(
    name: str,
    label: str,
    slopes: Sequence[Slope],
    vertical: Limits,
    *,
    unit: str = "accuracy, %",
    size: tuple[int, int] = (300, 230),
) -> str:
    """Without KD → with KD, a line for each group (or pair), with intervals.

    Args:
        name: unique within the page.
        label: what is shown, for those who do not see it.
        slopes: one for each line.
        vertical: range in percent, shared between panels.
        unit: label of the axis.
        size: width and height in CSS pixels.
    """

    def paint(axes: Axes) -> None:
        spread = 0.24 / max(1, len(slopes) - 1)
        for i, slope in enumerate(slopes):
            # Side by side, so that intervals of groups do not cover each other.
            shift = (i - (len(slopes) - 1) / 2) * spread
            ends = [
                (shift, slope.without, slope.style.without_kd()),
                (1 + shift, slope.with_kd, slope.style),
            ]
            for before, after in slope.seeds:
                ends_of_seed = [100 * before, 100 * after]
                axes.plot([shift, 1 + shift], ends_of_seed, color=slope.style.colour, **_FAINT)
            drawn = [(x, 100 * e.value) for x, e, _ in ends if finite(e.value)]
            if len(drawn) == 2:
                axes.plot(*zip(*drawn, strict=True), color=slope.style.colour)
            for x, estimate, style in ends:
                _mark(axes, x, estimate, style, vertical=True)
        axes.set_xlim(-0.35, 1.35)
        axes.set_ylim(*vertical)
        axes.set_xticks([0, 1], ["without KD", "with KD"])
        axes.set_ylabel(unit)
        axes.grid(axis="x", visible=False)
        few_ticks(axes, "y")

    return draw(name, label, paint, size=size, margins=(46, 4, 6, 26))


def interval_chart(
    name: str,
    label: str,
    rows: Sequence[Row],
    horizontal: Limits,
    *,
    unit: str,
    zero: bool = False,
    longest: int = LABEL_LENGTH,
) -> str:
    """Values with intervals, one row below the other (a forest plot).

    Args:
        name, label: as in :func:`slope_chart`.
        rows: from top to bottom.
        horizontal: range in percent (or points), shared between panels.
        unit: label of the axis.
        zero: whether to mark zero.
        longest: characters of a label that are shown.
    """
    labels = [shorten(row.label, longest) for row in rows]

    def paint(axes: Axes) -> None:
        if zero:
            axes.axvline(0, color=MUTED, linewidth=1.2)
        for y, row in enumerate(rows):
            _mark(axes, y, row.estimate, row.style, vertical=False)
        _name_rows(axes, labels)
        axes.set_xlim(*horizontal)
        axes.set_xlabel(unit)
        few_ticks(axes, "x")

    left = _label_room(labels)
    size = (220 + left, 50 + _ROW_HEIGHT * len(rows))
    return draw(name, label, paint, size=size, margins=(left, 12, 6, 42))


def dumbbell_chart(
    name: str,
    label: str,
    rows: Sequence[Dumbbell],
    horizontal: Limits,
    *,
    unit: str,
    size: tuple[int, int],
) -> str:
    """Without KD → with KD from each teacher, one row below the other, each with its interval.

    Args:
        name, label: as in :func:`slope_chart`.
        rows: from top to bottom; those without KD first within a row.
        horizontal: range in percent.
        unit: label of the axis.
        size: width and height in CSS pixels.
    """

    def paint(axes: Axes) -> None:
        for y, row in enumerate(rows):
            places = [
                y + _APART * (2 * i - len(row.ends) + 1) / max(1, len(row.ends) - 1)
                for i in range(len(row.ends))
            ]
            (first, start), *others = zip(row.ends, places, strict=True)
            for (estimate, style), place in others:
                if finite(first[0].value) and finite(estimate.value):
                    axes.plot(
                        [100 * first[0].value, 100 * estimate.value],
                        [start, place],
                        color=style.colour,
                        linewidth=0.9,
                        alpha=0.6,
                    )
            for (estimate, style), place in ((first, start), *others):
                _mark(axes, place, estimate, style, vertical=False)
        _name_rows(axes, [shorten(row.label) for row in rows])
        axes.set_xlim(*horizontal)
        axes.set_xlabel(unit)
        few_ticks(axes, "x")

    left = _label_room(shorten(row.label) for row in rows)
    return draw(name, label, paint, size=size, margins=(left, 12, 6, 42))


def marks_chart(
    name: str, label: str, rows: Sequence[Marks], horizontal: Limits, *, unit: str
) -> str:
    """Values of each row on one line that joins them.

    Args:
        name, label: as in :func:`slope_chart`.
        rows: from top to bottom; fractions.
        horizontal: range in percent, shared between panels.
        unit: label of the axis.
    """

    def paint(axes: Axes) -> None:
        for y, row in enumerate(rows):
            drawn = [100 * value for value, _ in row.values if finite(value)]
            if drawn:
                axes.hlines(y, min(drawn), max(drawn), color=RULE, linewidth=3)
            for value, style in row.values:
                _mark(axes, y, _Bare(value), style, vertical=False)
        _name_rows(axes, [shorten(row.label) for row in rows])
        axes.set_xlim(*horizontal)
        axes.set_xlabel(unit)
        few_ticks(axes, "x")

    left = _label_room(shorten(row.label) for row in rows)
    size = (220 + left, 50 + _ROW_HEIGHT * len(rows))
    return draw(name, label, paint, size=size, margins=(left, 12, 6, 42))


@dataclass(frozen=True)
class _Bare:
    """A value without an interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


def series_chart(
    name: str,
    label: str,
    series: Sequence[Series],
    vertical: Limits,
    *,
    floors: Sequence[tuple[float, Style]] = (),
    across: str = "real faces",
    unit: str = "accuracy, %",
    size: tuple[int, int] = (300, 230),
) -> str:
    """Measures over a share, with intervals. The axis begins at 0, or where no share is below a
    half, at the smallest.

    Args:
        name, label, vertical: as in :func:`slope_chart`.
        series: one for each condition.
        floors: levels to be reached, drawn dotted.
        across: what the share is of.
        unit: label of the vertical axis.
        size: width and height in CSS pixels.
    """

    shares = sorted({100 * share for one in series for share, _ in one.points})
    start = 0.0 if min(shares, default=0.0) < 50 else shares[0]
    span = 100 - start or 1.0

    def paint(axes: Axes) -> None:
        for level, style in floors:
            axes.axhline(100 * level, color=style.colour, linewidth=1, linestyle=(0, (1, 2.5)))
        for place, one in enumerate(series):
            # Side by side, so that intervals do not cover each other.
            shift = 0.012 * span * (place - (len(series) - 1) / 2)
            by_share: dict[float, list[float]] = {}
            for share, estimate in one.points:
                if finite(estimate.value):
                    by_share.setdefault(100 * share + shift, []).append(100 * estimate.value)
            # Through their mean where several sets have one share.
            means = [float(np.mean(values)) for values in by_share.values()]
            axes.plot(list(by_share), means, color=one.style.colour, linestyle=one.style.line)
            for share, estimate in one.points:
                _mark(axes, 100 * share + shift, estimate, one.style, vertical=True)
        axes.set_xlim(start - span / 20, 100 + span / 20)
        axes.set_ylim(*vertical)
        axes.set_xticks(shares if start else [0, 25, 50, 75, 100])
        axes.set_xlabel(f"{across}, %")
        axes.set_ylabel(unit)
        few_ticks(axes, "y")

    return draw(name, label, paint, size=size, margins=(46, 8, 6, 40))


def cost_chart(name: str, label: str, points: Sequence[Point], *, axis: str) -> str:
    """A measure in percent against a cost on a logarithmic axis, with the front of both.

    Args:
        name, label: as in :func:`slope_chart`.
        points: with finite values and costs above zero.
        axis: what the cost is.
    """

    def paint(axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter, NullFormatter

        edge = front([(point.cost, point.estimate.value or 0.0) for point in points])
        axes.set_xscale("log")
        axes.step(
            [cost for cost, _ in edge],
            [100 * value for _, value in edge],
            where="post",
            color=MUTED,
            linewidth=1,
        )
        for point in points:
            _mark(axes, point.cost, point.estimate, point.style, vertical=True)
        # A decade alone would leave most axes with one label.
        axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: _short(cost)))
        if max(p.cost for p in points) < 30 * min(p.cost for p in points):
            axes.xaxis.set_minor_formatter(
                FuncFormatter(lambda cost, _: _short(cost) if _leading(cost) in (2, 5) else "")
            )
        else:
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", size=0, labelsize=_TICK_SIZE)
        axes.set_xlabel(axis)
        axes.set_ylabel("mean accuracy, %")
        few_ticks(axes, "y")

    return draw(name, label, paint, size=(380, 270), margins=(46, 16, 6, 42))


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those points (cost, value) than which none is as cheap and better, or cheaper and as good.

    By rising cost; values then rise too.
    """
    best: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or value > best[-1][1]:
            best.append((cost, value))
    return best


def _short(value: float) -> str:
    """A count in a few characters: "1.2 M"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def _leading(value: float) -> int:
    """The first digit of a round number."""
    return round(value / 10 ** math.floor(math.log10(value) + 1e-9))


def roc_floor(curves: Iterable[Roc]) -> float:
    """The smallest FMR above zero that any of the curves reaches; where the axis starts."""
    positive = [far for curve in curves for far in curve.far if 0 < far < 1]
    return min(positive, default=1e-3)


def roc_chart(name: str, label: str, curves: Sequence[tuple[Style, Roc]], floor: float) -> str:
    """True match rate against false match rate, the latter on a logarithmic axis.

    Args:
        name, label: as in :func:`slope_chart`.
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
    name: str, label: str, lines: Sequence[Line], highest: float, *, unit: str = "loss"
) -> str:
    """Losses over steps; long curves are averaged over equal runs of points.

    Args:
        name, label: as in :func:`slope_chart`.
        lines: one for each loss.
        highest: top of the axis, shared between panels.
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
        axes.set_ylim(0, highest)
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(unit)
        few_ticks(axes, "x")
        few_ticks(axes, "y")

    return draw(name, label, paint, margins=(40, 20, 6, 40))


def key(name: str, style: Style, *, line: bool = True, marker: bool = False) -> str:
    """The little drawing that stands before a label in a legend."""
    drawing = _key(style, line=line, marker=marker)
    return drawing.replace(f'id="{_KEY}-', f'id="{name}-').replace(f"#{_KEY}-", f"#{name}-")


@functools.cache
def _key(style: Style, *, line: bool, marker: bool) -> str:
    """Drawn once: most charts of a page have the same few."""

    def paint(axes: Axes) -> None:
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(-1, 1)
        if line:
            axes.plot([0, 1], [0, 0], color=style.colour, linestyle=style.line)
        if marker:
            axes.plot(
                0.5,
                0,
                marker=style.marker,
                color=style.colour,
                markerfacecolor=style.face,
                markeredgewidth=1.6,
            )

    return draw(_KEY, "", paint, size=(30, 12), margins=(1, 1, 1, 1))


def shorten(label: str, length: int = LABEL_LENGTH) -> str:
    """A label that fits beside an axis, without characters that cannot be drawn."""
    text = "".join(c for c in label if c.isprintable())
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Rows from top to bottom, named at the left."""
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), list(labels))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def _label_room(labels: Iterable[str]) -> int:
    """Width that the longest label needs."""
    longest = max(map(len, labels), default=0)
    return 16 + round(_LABEL_WIDTH * longest)


def _mark(axes: Axes, position: float, estimate: Interval, style: Style, *, vertical: bool) -> None:
    if not finite(estimate.value):
        return
    if finite(estimate.low) and finite(estimate.high):
        span = axes.vlines if vertical else axes.hlines
        span(
            position,
            100 * estimate.low,
            100 * estimate.high,
            color=style.colour,
            linewidth=1.4,
        )
    point = (position, 100 * estimate.value) if vertical else (100 * estimate.value, position)
    axes.plot(
        *point,
        marker=style.marker,
        color=style.colour,
        markerfacecolor=style.face,
        markeredgewidth=1.6,
    )


def few_ticks(axes: Axes, axis: str) -> None:
    """At most five round ticks on axis "x" or "y"."""
    from matplotlib.ticker import MaxNLocator

    getattr(axes, f"{axis}axis").set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _means(values: Sequence[float], size: int) -> list[float]:
    return [float(np.mean(values[i : i + size])) for i in range(0, len(values), size)]
