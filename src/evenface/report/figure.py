"""A chart: drawings that share a legend and a caption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from evenface.report.drawings import marks
from evenface.report.drawings.marks import Style


@dataclass(frozen=True)
class Panel:
    """One drawing with its title, and below it what it shares with its neighbours."""

    title: str
    svg: str
    detail: str = ""
    narrow: str = ""
    """The same drawn for a phone, "" where one drawing serves both."""


@dataclass(frozen=True)
class LegendItem:
    """A label and the little drawing before it."""

    label: str
    svg: str
    style: Style
    line: bool = True
    marker: bool = False


@dataclass
class Figure:
    """Panels that share a legend and a caption. Without panels, ``empty`` says why."""

    id: str
    caption: str
    empty: str
    panels: list[Panel] = field(default_factory=list)
    legend: list[LegendItem] = field(default_factory=list)
    simulated: bool = False
    wide: bool = False
    """Whether the panels have long labels, and need more room."""
    full: bool = False
    """Whether a panel takes the page's whole width."""

    def add(
        self, title: str, draw: Callable[..., str], /, *given: Any, detail: str = "", **more: Any
    ) -> None:
        """Add a panel: what ``draw`` makes of the panel's name and the arguments."""
        name = f"{self.id}-{len(self.panels)}"
        self.panels.append(Panel(title, draw(name, *given, **more), detail))

    def picture(self, draw: Callable[..., str], *, height: int = 330) -> None:
        """Add a drawing as wide as the first screen, and the same for a phone."""
        wide = draw(f"{self.id}-wide", size=(640, height))
        narrow = draw(f"{self.id}-narrow", size=(360, min(height, 270)))
        self.panels.append(Panel("", wide, narrow=narrow))

    def explain(self, label: str, style: Style, *, line: bool = True, marker: bool = False) -> None:
        """Add an entry to the legend."""
        name = f"{self.id}-key-{len(self.legend)}"
        svg = marks.key(name, style, line=line, marker=marker)
        self.legend.append(LegendItem(label, svg, style, line, marker))
