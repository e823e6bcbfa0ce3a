"""From a matplotlib figure to an inline SVG that follows the page's colours and font.

matplotlib draws with stand-in colours; afterwards they become CSS variables, so that one drawing
serves light, dark and print. Text stays text in the page's font. Ids are prefixed by the figure's
name: several drawings share one document.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from evenface.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES = 6
"""Number of colours for series: --series-1 … --series-6 in the style sheet."""
INK, MUTED, RULE, PAPER = (f"#0101{i:02x}" for i in range(1, 5))
STAND_INS = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"}
STAND_INS |= {f"#0102{i:02x}": f"--series-{i + 1}" for i in range(SERIES)}
"""Colour that stands for one of the page → its CSS variable."""
_STAND_IN = re.compile(r"#010[12][0-9a-f]{2}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"\s*font-family:[^;]*;?")
_FONT_SIZE = 11


class Drawing(str):
    """An inline SVG that also knows how to paint itself on other Matplotlib axes.

    Attributes:
        paint: draws on axes, with the colours of this module.
        size: width and height in CSS pixels.
    """

    paint: Callable[[Axes], None]
    size: tuple[int, int]


def series_colour(index: int) -> str:
    """Stand-in colour of the ``index``-th series; the palette repeats after ``SERIES``."""
    return f"#0102{index % SERIES:02x}"


def draw(
    name: str,
    label: str,
    paint: Callable[[Axes], None],
    *,
    size: tuple[int, int] = (300, 230),
    margins: tuple[int, int, int, int],
) -> Drawing:
    """One set of axes as an inline SVG.

    Args:
        name: unique within the page; prefix of the ids and salt of their hashes.
        label: what the drawing shows, for those who do not see it.
        paint: draws on the axes, with the colours of this module.
        size: width and height, in CSS pixels at natural size.
        margins: left, right, top, bottom of the axes, in the same unit.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", "report", "the HTML report") from None
    width, height = size
    left, right, top, bottom = margins
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The browser has fonts for scripts that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change the page
        matplotlib.rcParams.update(_style(name))
        figure = Figure(figsize=(width / 72, height / 72))
        figure.patch.set_visible(False)
        axes = figure.add_axes(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - top - bottom) / height,
            )
        )
        axes.patch.set_visible(False)
        paint(axes)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    drawing = Drawing(_inline(buffer.getvalue(), name, label))
    drawing.paint, drawing.size = paint, size
    return drawing


def _style(salt: str) -> Any:
    # Any: newer versions of matplotlib type the keys, older ones do not.
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "text.parse_math": False,
        "text.color": INK,
        "font.size": _FONT_SIZE,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.labelsize": _FONT_SIZE,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": RULE,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.major.pad": 6,
        "ytick.major.pad": 6,
        "lines.linewidth": 1.8,
        "lines.markersize": 6,
    }


def _inline(document: str, name: str, label: str) -> str:
    root = ElementTree.fromstring(document)
    for parent in list(root.iter()):
        for child in list(parent):
            # matplotlib's style sheet would apply to the whole page; the page has its own.
            if child.tag.endswith(("}style", "}metadata")):
                parent.remove(child)
    used = {
        target
        for element in root.iter()
        for value in element.attrib.values()
        for target in (*_REFERENCE.findall(value), value.removeprefix("#"))
    }
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            key.rpartition("}")[2]: _attribute(key, value, name)
            for key, value in element.attrib.items()
            if key != "id" or value in used
        }
        element.text = (element.text or "").strip() or None
        element.tail = None
    root.attrib = {
        "class": "chart",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        # Without characters that XML does not hold.
        "aria-label": "".join(c for c in label if c.isprintable()),
    }
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key.endswith("href"):
        return f"#{name}-{value.removeprefix('#')}"
    value = _REFERENCE.sub(rf"url(#{name}-\1)", value)
    value = _STAND_IN.sub(lambda match: f"var({STAND_INS[match.group()]})", value)
    value = _FONT.sub("", value)
    return _LONG_NUMBER.sub(lambda match: f"{float(match.group()):.2f}", value)
