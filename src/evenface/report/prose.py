"""Running text with numbered citations: as HTML, as Markdown, and its references as BibTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

from evenface.markdown import escape_text
from evenface.report import citations
from evenface.report.citations import Work, works


@dataclass(frozen=True)
class Cite:
    """A place in a sentence where works are cited, by their keys."""

    keys: tuple[str, ...]


Piece = str | Cite
Paragraph = Sequence[Piece]


def cite(*keys: str) -> Cite:
    """Cite some of :func:`~evenface.report.citations.works`."""
    return Cite(keys)


@dataclass(frozen=True)
class Section:
    """Paragraphs under a heading. Their text is plain: whatever it holds is escaped later."""

    title: str
    paragraphs: list[Paragraph] = field(default_factory=list)


@dataclass(frozen=True)
class Prose:
    """Sections whose citations are numbered in the order of their first appearance."""

    sections: tuple[Section, ...]

    @cached_property
    def references(self) -> tuple[Work, ...]:
        """The works cited; the first has number 1. KeyError for a key that is not known."""
        keys = dict.fromkeys(
            key
            for section in self.sections
            for paragraph in section.paragraphs
            for piece in paragraph
            if isinstance(piece, Cite)
            for key in piece.keys
        )
        return tuple(works()[key] for key in keys)

    def markdown(self, title: str) -> str:
        """A page in GitHub's Markdown, its list of references at the end."""
        lines = [f"# {escape_text(title)}"]
        for section in self.sections:
            lines += ["", f"## {escape_text(section.title)}"]
            for paragraph in section.paragraphs:
                lines += ["", self._joined(paragraph, escape_text, lambda n: f"[{n}]")]
        if self.references:
            lines += ["", "## References", ""]
            lines += [f"{n}. {escape_text(w.text)}" for n, w in enumerate(self.references, 1)]
        return "\n".join(lines) + "\n"

    def html(self) -> list[str]:
        """Blocks of HTML, safe to be put on a page: headings h3, paragraphs, the references.

        Links lead to places of the page only.
        """
        blocks = []
        for section in self.sections:
            blocks.append(f"<h3>{escape(section.title)}</h3>")
            for paragraph in section.paragraphs:
                blocks.append(f"<p>{self._joined(paragraph, escape, _link)}</p>")
        if self.references:
            items = "".join(
                f'<li id="reference-{n}">{escape(work.text)}</li>'
                for n, work in enumerate(self.references, 1)
            )
            blocks += ["<h3>References</h3>", f'<ol class="references">{items}</ol>']
        return blocks

    def bibtex(self) -> str:
        """The works cited, as a BibTeX file."""
        return citations.bibtex(self.references)

    def _joined(
        self, paragraph: Paragraph, text: Callable[[str], str], number: Callable[[int], str]
    ) -> str:
        numbers = {work.key: n for n, work in enumerate(self.references, 1)}
        joined = ""
        for piece in paragraph:
            if isinstance(piece, Cite):
                shown = sorted({numbers[key] for key in piece.keys})
                joined += " " + ", ".join(map(number, shown)) if shown else ""
            else:
                # Escaping trims its text, whose ends are spaces between pieces.
                space = " " if piece[:1].isspace() and joined else ""
                joined += space + text(piece.strip()) + (" " if piece[-1:].isspace() else "")
        return joined.strip()


def _link(number: int) -> str:
    return f'<a href="#reference-{number}">[{number}]</a>'
