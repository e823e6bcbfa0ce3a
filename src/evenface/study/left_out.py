"""People left out of training because a test has them: the record, and a sentence for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

LEFT_OUT = Path("overlap", "left-out.json")
"""The record in a study's folder."""

Reason = Literal["name", "people alike", "images alike"]
"""The first that applies: a shared name; mean embeddings as of one person; a copied image."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Likeness(_Record):
    """A person of the training faces beside one of a test."""

    identity: str
    test: str
    test_identity: str
    cosine: float | None
    """Of the two people's mean embeddings, or of two images; None: only names were compared."""


class LeftOutPerson(Likeness):
    """One who is left out."""

    group: str | None
    images: int
    reason: Reason


class LeftOutOf(_Record):
    """Of the real training faces, or of the synthetic ones."""

    identities: int
    """Before anyone was left out, as are the next two."""
    images: int
    groups: dict[str, int]
    """Group → identities."""
    people: list[LeftOutPerson]
    """One entry for each person, of the test that is named first."""
    closest_kept: list[Likeness]
    """The most similar of those who stay: is the threshold low enough?"""

    def count(self, *, group: str | None = None, reason: Reason | None = None) -> int:
        """People left out, of a group or for a reason."""
        return sum(
            group in (None, person.group) and reason in (None, person.reason)
            for person in self.people
        )


class LeftOut(_Record):
    """What the search for people of the tests found."""

    by: Literal["names", "embeddings", "both"]
    teacher: str | None
    """Whose embeddings were compared; None: names only."""
    teacher_fingerprint: str | None
    threshold: float
    image_threshold: float
    faces: dict[str, LeftOutOf]
    """"real" and "synthetic"."""

    @property
    def sentence(self) -> str:
        """How many of each, and why."""
        parts = []
        for role, of in self.faces.items():
            if not of.people:
                parts.append(f"nobody of the {role} faces")
                continue
            reasons = Counter(person.reason for person in of.people)
            why = ", ".join(f"{reasons[r]:,} by {r}" for r in get_args(Reason) if reasons[r])
            what = f"{len(of.people):,} of {of.identities:,} identities of the {role} faces ({why}"
            seen = [person.cosine for person in of.people if person.cosine is not None]
            parts.append(
                f"{what}, cosines {min(seen):.2f}–{max(seen):.2f})" if seen else f"{what})"
            )
        return f"Left out of training, since a test has them: {', '.join(parts)}."
