"""What evaluations and studies show of themselves: pictures on Matplotlib axes, pages, an answer.

The implementation of :class:`evenface.display.Display`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenface.errors import MissingDependencyError, UsageError
from evenface.evaluate.measures import measure
from evenface.evaluate.results import Evaluation
from evenface.report.audit import collect_audit, write_audit
from evenface.report.audit.chapter import chapters
from evenface.report.audit.pictures import CHARTS, OVER_TARGETS
from evenface.report.drawings.svg import INK, MUTED, RULE, STAND_INS, Drawing
from evenface.report.drawings.svg_file import light_colours
from evenface.report.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from evenface.study.record import Results

_PICTURES = {
    "fnmr": ("rates", "False non-match rate"),
    "fmr": ("rates", "False match rate"),
    **{
        name: (name, None)
        for name in ("distributions", "thresholds", "roc", "det", "cross", "reliability")
    },
    **{name: ("targets", measure(name).title) for name in OVER_TARGETS},
}
"""Picture → its chart and, where the chart has several panels, the panel's title."""
_NAMED_ROWS = ("rates", "cross")
"""Charts whose axes name the groups, so that they need no legend."""


def plot(evaluation: Evaluation, what: str, *, ax: Axes | None = None) -> Axes:
    """See :meth:`evenface.Evaluation.plot`."""
    if what not in _PICTURES:
        raise UsageError(f"no picture {what!r}; there are {', '.join(_PICTURES)}")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingDependencyError("matplotlib", "report", "plotting") from None
    name, title = _PICTURES[what]
    (chapter,) = chapters(collect_audit([(evaluation.model or "model", evaluation)]))
    chart = CHARTS[name](chapter)
    panels = [panel for panel in chart.panels if title in (None, panel.title)]
    if not panels or not isinstance(drawing := panels[0].svg, Drawing):
        raise UsageError(f"{what}: {chart.empty}")
    light = light_colours()
    colours = {stand_in: light[variable] for stand_in, variable in STAND_INS.items()}
    if ax is None:
        width, height = drawing.size
        _, ax = plt.subplots(figsize=(width / 72 + 1, height / 72), layout="constrained")
        _dress(ax, colours)
    drawing.paint(ax)
    _recolour(ax, colours)
    if name not in _NAMED_ROWS:
        _explain(ax, chart, colours)
    heading = [panels[0].title, "simulated faces" if chapter.simulated else ""]
    ax.set_title(", ".join(filter(None, heading)), loc="left")
    return ax


def report(models: Mapping[str, Evaluation], folder: Path) -> Path:
    """See :meth:`evenface.Evaluation.report`."""
    return write_audit(collect_audit(list(models.items())), folder)


def study_report(folder: Path) -> Path:
    """Write ``report.html`` and the bundle of tables from the ``results.json`` of a study's folder.

    Returns:
        Path of the page.
    """
    from evenface.report.study.bundle import write_bundle
    from evenface.report.study.page import write_report
    from evenface.study.run import REPORT_NAME, RESULTS_NAME

    write_bundle(folder / RESULTS_NAME, folder)
    return write_report(folder / RESULTS_NAME, folder / REPORT_NAME)


def study_answer(results: Results) -> str:
    """The answer of the report's first screen, its numbers and its caveat."""
    from evenface.report.study.names import readable
    from evenface.report.study.terminal import answer_lines

    return "\n".join(answer_lines(readable(results)))


def _dress(ax: Axes, colours: Mapping[str, str]) -> None:
    """Make new axes look like the page's."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(colours[MUTED])
    ax.set_axisbelow(True)
    ax.grid(visible=True)
    ax.tick_params(length=0, pad=6, labelcolor=colours[INK], grid_color=colours[RULE])


def _recolour(ax: Axes, colours: Mapping[str, str]) -> None:
    """Put real colours in the place of those that stand for the page's."""
    from matplotlib.colors import to_hex

    for artist in ax.findobj():
        for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            read, write = (getattr(artist, f"{verb}_{name}", None) for verb in ("get", "set"))
            if read is None or write is None:
                continue
            found: Any = read()
            if hasattr(found, "ndim") and found.ndim == 2:  # of a collection
                found = found[0] if len(found) else "none"
            if not isinstance(found, str) or found.startswith("#"):
                found = to_hex(found)
            if found in colours:
                write(colours[found])


def _explain(ax: Axes, chart: Figure, colours: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for item in chart.legend:
        line: Any = item.style.line if item.line else ""
        handle = Line2D(
            [],
            [],
            color=colours[item.style.colour],
            linestyle=line,
            marker=item.style.marker if item.marker else "",
            label=item.label,
        )
        handles.append(handle)
    if handles:
        ax.legend(handles=handles, frameon=False, fontsize="small")
