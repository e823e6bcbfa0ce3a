"""Drawings of estimates with their intervals. Fractions are drawn in percent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenface.evaluate.text import Interval
from evenface.record import Estimate
from evenface.report.drawings.marks import (
    LABEL_LENGTH,
    TICK_SIZE,
    Limits,
    Style,
    few_ticks,
    finite,
    label_room,
    mark,
    name_rows,
    shorten,
)
from evenface.report.drawings.svg import MUTED, RULE, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_HEIGHT = 26
_APART = 0.24
"""Between a row's middle and its outermost marks."""
_FAINT: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.45}

Ends = tuple[float, float]
"""A measure without and with KD."""


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
                mark(axes, x, estimate, style, vertical=True)
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
            mark(axes, y, row.estimate, row.style, vertical=False)

    return _rows_chart(name, label, labels, paint, horizontal, unit)


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
                mark(axes, place, estimate, style, vertical=False)

    labels = [shorten(row.label) for row in rows]
    return _rows_chart(name, label, labels, paint, horizontal, unit, size)


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
                mark(axes, y, Estimate(value=value), style, vertical=False)

    labels = [shorten(row.label) for row in rows]
    return _rows_chart(name, label, labels, paint, horizontal, unit)


def _rows_chart(
    name: str,
    label: str,
    labels: Sequence[str],
    paint: Callable[[Axes], None],
    horizontal: Limits,
    unit: str,
    size: tuple[int, int] | None = None,
) -> str:
    """Rows below each other, named at the left; as wide and high as they need, unless given."""

    def paint_all(axes: Axes) -> None:
        paint(axes)
        name_rows(axes, labels)
        axes.set_xlim(*horizontal)
        axes.set_xlabel(unit)
        few_ticks(axes, "x")

    left = label_room(labels)
    size = size or (220 + left, 50 + _ROW_HEIGHT * len(labels))
    return draw(name, label, paint_all, size=size, margins=(left, 12, 6, 42))


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
                mark(axes, 100 * share + shift, estimate, one.style, vertical=True)
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
            mark(axes, point.cost, point.estimate, point.style, vertical=True)
        # A decade alone would leave most axes with one label.
        axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: _short(cost)))
        if max(p.cost for p in points) < 30 * min(p.cost for p in points):
            axes.xaxis.set_minor_formatter(
                FuncFormatter(lambda cost, _: _short(cost) if _leading(cost) in (2, 5) else "")
            )
        else:
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", size=0, labelsize=TICK_SIZE)
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
