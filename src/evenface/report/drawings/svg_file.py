"""Drawings of a page as files of their own: fixed colours, with title and legend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from evenface.report.figure import Figure, LegendItem, Panel
from evenface.report.page import template_text

_VARIABLE = re.compile(r"var\((--[\w-]+)\)")
_DECLARED = re.compile(r"(--[\w-]+):\s*(#[0-9a-f]{3,8});")
_VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
_LINE = 18
_SIZE = 11
_KEY = 30


def svg_files(chart: Figure) -> Iterator[tuple[str, str]]:
    """Name and content of a file for each panel, in the page's light colours.

    Colours are written out: programs that place a drawing in a paper do not know CSS variables.
    """
    colours = light_colours()
    for i, panel in enumerate(chart.panels):
        name = chart.id if len(chart.panels) == 1 else f"{chart.id}-{i + 1}"
        drawing = _with_legend(panel, chart)
        yield name, _VARIABLE.sub(lambda match: colours[match.group(1)], drawing)


def light_colours() -> dict[str, str]:
    """CSS variable → its colour on the light page."""
    style = template_text("style.css")
    return dict(_DECLARED.findall(style[: style.index("@media")]))


def _with_legend(panel: Panel, chart: Figure) -> str:
    width, height = _size(panel.svg)
    heading = ", ".join(filter(None, (panel.title, panel.detail)))
    if chart.simulated:
        heading = ", ".join(filter(None, (heading, "simulated faces")))
    heading = _printable(heading)
    texts = [heading, *(item.label for item in chart.legend)]
    # A character is about half as wide as it is high.
    wide = max(width, _KEY + 10 + _SIZE * 0.56 * max(map(len, texts)))
    top = _LINE + 4 if heading else 0
    parts = [_placed(panel.svg, 0, top, width, height)]
    if heading:
        parts.append(f'<text x="4" y="{_LINE - 5}" font-weight="600">{escape(heading)}</text>')
    for row, item in enumerate(chart.legend):
        parts += _entry(item, top + height + 8 + row * _LINE)
    full = top + height + (12 + _LINE * len(chart.legend) if chart.legend else 0)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{wide:.0f}" height="{full:.0f}" viewBox="0 0 {wide:.0f} {full:.0f}" '
        f'font-family="{_FONT}" font-size="{_SIZE}" fill="var(--ink)">\n'
        f'<rect width="{wide:.0f}" height="{full:.0f}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _entry(item: LegendItem, y: float) -> list[str]:
    width, height = _size(item.svg)
    return [
        _placed(item.svg, 4, y + 2, width, height),
        f'<text x="{_KEY + 10}" y="{y + _SIZE + 1:.0f}">{escape(_printable(item.label))}</text>',
    ]


def _placed(svg: str, x: float, y: float, width: float, height: float) -> str:
    place = f'<svg x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" overflow="visible"'
    # matplotlib's links to its own symbols have lost their prefix for HTML, where none is needed.
    return svg.replace("<svg", place, 1).replace(" href=", " xlink:href=")


def _printable(text: str) -> str:
    """Without characters that XML does not hold."""
    return "".join(c for c in text if c.isprintable())


def _size(svg: str) -> tuple[float, float]:
    match = _VIEW_BOX.search(svg)
    assert match is not None
    return float(match.group(1)), float(match.group(2))
