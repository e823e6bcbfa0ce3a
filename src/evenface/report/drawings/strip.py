"""The figure of a claim: its tests as intervals on one axis. Hundreds of them are on one page, so
they are written out here, small, rather than drawn with matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from evenface.report.drawings.marks import finite, shorten
from evenface.report.numbers import number
from evenface.study.record import Evidence

_PLOT, _MARGIN = 310, 20
_ROW, _LETTER = 18, 5.9
_LONGEST = 60
_UNITS = {"points": "percentage points", "share": "%", "ratio": "ratio or gap"}


def strips(tests: Sequence[Evidence]) -> list[str]:
    """An inline SVG for each unit that tests with a value have; a line in it for each test.

    A line marks zero. The mark says nothing of the verdict: an interval may exclude zero and still
    not settle a question. A value without an interval has no bar.
    """
    by_unit: dict[str, list[Evidence]] = {}
    for test in tests:
        if finite(test.value):
            by_unit.setdefault(test.unit, []).append(test)
    return [_strip(unit, of_unit) for unit, of_unit in by_unit.items()]


def _strip(unit: str, tests: Sequence[Evidence]) -> str:
    scale = 100 if unit in ("points", "share") else 1
    bounds = [scale * bound for t in tests for bound in (t.value, t.low, t.high) if finite(bound)]
    low, high = min(0.0, *bounds), max(0.0, *bounds)
    margin = 0.04 * (high - low) or 1.0
    low, high = low - margin, high + margin
    names = [shorten(test.label, _LONGEST) for test in tests]
    left = max(120, 14 + round(_LETTER * max(map(len, names))))

    def place(value: float) -> str:
        return f"{left + _PLOT * (value - low) / (high - low):.1f}"

    bottom = _ROW * len(tests) + 4
    parts = []
    ticks = _ticks(low, high)
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 0
    for tick in ticks:
        x, text = place(tick), number(tick, digits=digits)
        line = "zero" if tick == 0 else "grid"
        parts.append(
            f'<path class="{line}" d="M{x} 0V{bottom}"/>'
            f'<text class="tick" x="{x}" y="{bottom + 13}">{text}</text>'
        )
    said = []
    for row, (name, test) in enumerate(zip(names, tests, strict=True)):
        assert test.value is not None
        y = _ROW * row + 12
        if finite(test.low) and finite(test.high):
            ends = f"M{place(scale * test.low)} {y}H{place(scale * test.high)}"
            parts.append(f'<path class="span" d="{ends}"/>')
        parts.append(
            f'<text class="name" x="{left - 10}" y="{y + 4}">{escape(name)}</text>'
            f'<circle class="dot" cx="{place(scale * test.value)}" cy="{y}" r="3.6"/>'
        )
        said.append(f"{name} {number(scale * test.value, sign=unit != 'share')}")
    words = _UNITS.get(unit, unit)
    right = left + _PLOT
    parts.append(f'<text class="unit" x="{right}" y="{bottom + 26}">{escape(words)}</text>')
    label = escape(f"In {words}: {', '.join(said)}.", quote=True)
    width = right + _MARGIN
    return (
        f'<svg class="strip" style="flex-basis: {width}px" viewBox="0 0 {width} {bottom + 30}" '
        f'role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """At most five round values within the range, zero among them where it is inside."""
    least = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(least))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= least)
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [place * step for place in places]
