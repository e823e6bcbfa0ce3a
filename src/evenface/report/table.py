"""A table of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenface.evaluate.text import Interval
from evenface.record import Estimate
from evenface.report.numbers import MISSING, count, interval, parts, says_nothing


@dataclass(frozen=True)
class Column:
    """Heading of a column; ``term`` is its entry in the glossary."""

    text: str
    term: str = ""
    numeric: bool = True


def words(*headings: str) -> list[Column]:
    """Columns of text."""
    return [Column(heading, numeric=False) for heading in headings]


@dataclass(frozen=True)
class Link:
    """A link to another page or place."""

    text: str
    href: str
    label: str
    """What is behind it, for those who hear the text alone."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table."""

    text: str
    details: tuple[str, ...] = ()
    """Further lines, smaller; the first is the interval."""
    note: int | None = None
    """Number of the note below the table."""
    bar: float | None = None
    """Length of a bar, in [0, 1]."""
    figure: Interval | None = None
    """What the text shows, unrounded and unscaled."""
    number: float | None = None
    """The same for a number without an interval."""
    strong: bool = False
    """Set in bold in print."""
    links: tuple[Link, ...] = ()
    """Shown behind the text."""

    @classmethod
    def count(cls, number: int | None) -> Cell:
        """A count with thousands separated."""
        return cls(count(number), number=number)

    @property
    def sort_key(self) -> float | None:
        """What a column of figures is sorted by; None where there is no figure."""
        return self.number if self.figure is None else self.figure.value


@dataclass(frozen=True)
class TableRow:
    """One row. The header stays in sight when the table is scrolled sideways."""

    header: str
    cells: list[Cell]
    detail: str = ""
    span: int = 1
    """Rows that the header stands for; 0 where a header above stands for this row."""
    facets: Mapping[str, str] = field(default_factory=dict)
    """What rows can be filtered by: name → this row's value, "" for none."""


@dataclass
class Table:
    """A table of text: ``sections`` are set apart from each other."""

    id: str
    caption: str
    columns: list[Column]
    sections: list[list[TableRow]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Numbered, each belonging to some cells."""
    remarks: list[str] = field(default_factory=list)
    """Belonging to the whole table."""
    simulated: bool = False
    interactive: bool = False
    """Whether a script may add filters and sorting; no row may then span others."""

    @property
    def rows(self) -> list[TableRow]:
        """Of all sections."""
        return [row for section in self.sections for row in section]

    def block(self, header: str, rows: Sequence[list[Cell]]) -> None:
        """Add a section of rows that share a header."""
        spans = [len(rows), *([0] * (len(rows) - 1))]
        self.sections.append(
            [TableRow(header, cells, span=span) for cells, span in zip(rows, spans, strict=True)]
        )

    def note(self, text: str | None) -> int | None:
        """Number of a note below the table; the same text has the same number."""
        if not text:
            return None
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1

    def estimate(self, estimate: Estimate, *, scale: float = 100, digits: int = 2) -> Cell:
        """A cell with value, interval and note; "≥ low" where the lower bound is all there is.

        A rate (of scale 100) whose interval says nothing is declined.
        """
        if scale == 100 and says_nothing(estimate):
            bounds = interval(estimate, digits=0)
            why = f"too few people or pairs for a rate: its interval would be {bounds} %"
            return Cell(MISSING, note=self.note(why), figure=estimate)
        text, bounds = parts(estimate, scale=scale, digits=digits)
        note = self.note(estimate.note)
        return Cell(text, (bounds,) if bounds else (), note, figure=estimate)

    def change(
        self,
        difference: Interval | None,
        *details: str,
        scale: float = 100,
        digits: int = 2,
        note: str | None = None,
    ) -> Cell:
        """A cell with a signed difference, its interval and further lines; a hole for None."""
        if difference is None:
            return Cell(MISSING)
        text, bounds = parts(difference, scale=scale, digits=digits, sign=True)
        lines = tuple(filter(None, (bounds, *details)))
        return Cell(text, lines, self.note(note))

    def missing(self, reason: str, cells: int) -> list[Cell]:
        """Cells of a hole, with the reason below the table."""
        return [Cell(MISSING, note=self.note(reason)) for _ in range(cells)]
