"""A gallery of people that is enrolled once, kept, and added to: names and embeddings in a file.

It is a table of :mod:`evenface.embedding_table`: the path of each photograph, of which the first
folder (or the file's name without ending) names the person, its embedding, and which model made it.
It holds no photographs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenface.embedding_table import SUFFIX, embed_folder, person_of, read_gallery
from evenface.errors import DataError, UsageError
from evenface.files import atomic_path
from evenface.lock import FolderLock
from evenface.recogniser import Recogniser

_PATIENCE = 10.0
"""Seconds to wait for another process that changes the gallery."""


@dataclass(frozen=True)
class Enrolled:
    """What :func:`add` did."""

    images: int
    replaced: int
    """Photographs of the same path that were in the gallery before."""
    people: list[str]
    """Who was added to, sorted."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Files left out, and why."""


def add(
    recogniser: Recogniser,
    gallery: Path,
    photographs: Path,
    *,
    person: str | None = None,
    skip_bad: bool = False,
) -> Enrolled:
    """Enrol photographs into a gallery, which is made where there is none.

    The file is replaced as a whole, under a lock: an interruption leaves it as it was.

    Args:
        recogniser: what embeds; the one that made the gallery.
        gallery: a ``.parquet`` file.
        photographs: folder ``<person>/<photograph>``, or photographs named after people.
        person: whom all of these photographs show; None to take names from folders and files.
        skip_bad: leave out what has no face or cannot be read.

    Raises:
        UsageError: not a ``.parquet`` name, a name that cannot be kept, or another process is
            changing the gallery.
        DataError: the gallery is of another model or no gallery, there are no photographs, or one
            cannot be embedded and ``skip_bad`` is off.
    """
    if gallery.suffix.lower() != SUFFIX:
        raise UsageError(f"{gallery}: name a {SUFFIX} file")
    if person is not None and (not person.strip() or "/" in person):
        raise UsageError(f"{person!r} cannot name a person: it is empty or holds a slash")
    if gallery.exists():
        read_gallery(gallery, recogniser)
    with TemporaryDirectory() as folder:
        new = Path(folder) / f"new{SUFFIX}"
        done = embed_folder(recogniser, photographs, new, skip_bad=skip_bad)
        added = pq.read_table(new)
    if person is not None:
        paths = pc.binary_join_element_wise(person, added.column("path"), "/")
        added = added.set_column(0, "path", paths)
    with _changing(gallery):
        held = read_gallery(gallery, recogniser) if gallery.exists() else added.slice(0, 0)
        again = pc.is_in(held.column("path"), added.column("path").combine_chunks())
        kept = held.filter(pc.invert(again))
        _write(gallery, pa.concat_tables([kept, added]))
    people = sorted({person_of(path) for path in added.column("path").to_pylist()})
    return Enrolled(len(added), len(held) - len(kept), people, done.skipped)


def people(gallery: Path) -> dict[str, int]:
    """Person → photographs enrolled, by name.

    Raises:
        DataError: no such file, or no gallery.
    """
    paths = read_gallery(gallery).column("path").to_pylist()
    return dict(sorted(Counter(map(person_of, paths)).items()))


def remove(gallery: Path, persons: Sequence[str]) -> int:
    """Take people out of a gallery; the number of embeddings that this removed.

    Raises:
        DataError: no gallery, or somebody is not in it; nothing is removed.
        UsageError: another process is changing the gallery.
    """
    with _changing(gallery):
        held = read_gallery(gallery)
        found = [person_of(path) for path in held.column("path").to_pylist()]
        if absent := [person for person in persons if person not in found]:
            raise DataError(
                f"{gallery}: nobody called {absent[0]!r}. 'evenface gallery list' shows who is"
            )
        kept = held.filter(pa.array([person not in persons for person in found], pa.bool_()))
        _write(gallery, kept)
    return len(held) - len(kept)


def _changing(gallery: Path) -> FolderLock:
    return FolderLock(
        gallery.parent,
        doing=f"is changing {gallery.name}. Try again",
        name=f".{gallery.name}.lock",
        patience=_PATIENCE,
    )


def _write(gallery: Path, table: pa.Table) -> None:
    with atomic_path(gallery) as temporary:
        pq.write_table(table, temporary)
