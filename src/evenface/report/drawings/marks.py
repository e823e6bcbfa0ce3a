"""What the drawings share: the look of a series, marks with intervals, ticks, labels, legend keys.

A colour belongs to a group, whatever the chart; solid lines and filled marks are "with KD",
dashed lines and hollow marks "without KD".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, TypeGuard

from evenface.evaluate.text import Interval
from evenface.report.drawings.svg import INK, PAPER, draw, series_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX"
TICK_SIZE = 11
LABEL_LENGTH = 30
"""Characters of a label beside an axis that are shown where nothing else is asked for."""
_LABEL_WIDTH = 6.2
_KEY = "key"
Limits = tuple[float, float]


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


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Rows from top to bottom, named at the left."""
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), list(labels))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def label_room(labels: Iterable[str]) -> int:
    """Width that the longest label needs."""
    longest = max(map(len, labels), default=0)
    return 16 + round(_LABEL_WIDTH * longest)


def mark(axes: Axes, position: float, estimate: Interval, style: Style, *, vertical: bool) -> None:
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
