"""The works that a report may cite: ``references.bib``, read as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_OTHERS = "others"
"""As BibTeX has it: authors that are not listed."""
_ENTRY = re.compile(r"@\w+\{(\w+),\n((?:  \w+ = \{.*\},\n)+)\}")
_FIELD = re.compile(r"  (\w+) = \{(.*)\},")
_HOLDERS = ("booktitle", "journal", "institution", "publisher")


@dataclass(frozen=True)
class Work:
    """A publication.

    Attributes:
        key: of BibTeX.
        bibtex: its entry of a BibTeX file in UTF-8.
        fields: of the entry: author, title, year, …
    """

    key: str
    bibtex: str
    fields: Mapping[str, str]

    @property
    def authors(self) -> tuple[str, ...]:
        """ "Family, Given" each, in the publication's order."""
        return tuple(self.fields["author"].split(" and "))

    @property
    def venue(self) -> str:
        """Journal, conference or institution; "" for a preprint."""
        return next((self.fields[name] for name in _HOLDERS if name in self.fields), "")

    @property
    def arxiv(self) -> str:
        """Number of the preprint; "" for none."""
        return self.fields.get("eprint", "")

    @property
    def text(self) -> str:
        """The entry of a list of references."""
        names = [" ".join(reversed(author.split(", "))) for author in self.authors]
        if len(names) > 6 or _OTHERS in names:
            names = [*[name for name in names if name != _OTHERS][:3], "et al."]
        pages = self.fields.get("pages", "").replace("--", "–")
        where = self.venue + (f", pp. {pages}" if pages else "")
        title = self.fields["title"].removeprefix("{").removesuffix("}")
        parts = [", ".join(names), title, where, self.fields["year"]]
        parts += [
            f"arXiv:{self.arxiv}" if self.arxiv else "",
            f"doi:{self.fields['doi']}" if "doi" in self.fields else "",
        ]
        return ". ".join(part.rstrip(".") for part in parts if part).replace(r"\&", "&") + "."


@cache
def works() -> dict[str, Work]:
    """Key → work, in the order of the file."""
    return read_bibtex((resources.files("evenface.report") / "references.bib").read_text("utf-8"))


def read_bibtex(text: str) -> dict[str, Work]:
    """Key → work.

    Args:
        text: entries of ``@kind{key,``, a line ``  name = {value},`` for each field, and ``}``;
            lines that begin with % are comments.

    Raises:
        ValueError: anything else, a key that is there twice, or an entry without author, title or
            year.
    """
    plain = re.sub(r"^%.*\n", "", text, flags=re.MULTILINE)
    found: dict[str, Work] = {}
    for match in _ENTRY.finditer(plain):
        key, fields = match[1], dict(_FIELD.findall(match[2]))
        if key in found or not {"author", "title", "year"} <= fields.keys():
            raise ValueError(f"references: {key} is there twice, or lacks author, title or year")
        found[key] = Work(key, match[0], fields)
    if rest := _ENTRY.sub("", plain).split():
        raise ValueError(f"references: not understood: {' '.join(rest)[:60]}")
    return found


def bibtex(cited: Iterable[Work]) -> str:
    """A BibTeX file of some works."""
    return "\n\n".join(work.bibtex for work in cited) + "\n"
