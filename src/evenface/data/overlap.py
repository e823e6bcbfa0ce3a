"""Who is in a training set and in a test set: by name, by likeness of people, of single images.

An identity is removed as a whole, so that the people who stay keep all that was compared, and a
second search finds nothing more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ValidationError

from evenface.console import Ticker, progress
from evenface.data.embedded import BLOCK_ROWS, EmbeddedRows, means_by_label
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.files import read_json

PEOPLE_THRESHOLD = 0.6
IMAGE_THRESHOLD = 0.95
_CLOSEST = 20


class Side(BaseModel):
    """One of the two sets."""

    fingerprint: str
    identities: int
    images: int


class SharedName(BaseModel):
    """An identity of the training set whose name the test set has too."""

    identity: str
    test_identity: str
    images: int
    match: Literal["name", "bare name"]
    """"bare name": equal but for a prefix of a mix (``real:``) or of a group (``north/``)."""


class AlikePeople(BaseModel):
    """An identity of the training set and the one of the test set that is most like it."""

    identity: str
    test_identity: str
    images: int
    cosine: float
    """Of the two people's mean embeddings."""


class AlikeImages(BaseModel):
    """A training image and the test image that is most like it, by row of either manifest."""

    identity: str
    row: int
    test_identity: str
    test_row: int
    cosine: float


class OverlapReport(BaseModel):
    """What :func:`find_overlap` finds."""

    train: Side
    test: Side
    teacher: str | None
    """Fingerprint of the teacher that embedded both; None: names only were compared."""
    threshold: float
    image_threshold: float
    names: list[SharedName]
    people: list[AlikePeople]
    closest_kept: list[AlikePeople]
    """The most similar people below the threshold: is it low enough?"""
    images: list[AlikeImages]
    remove: list[str]
    """Identities of the training set that are in the test set, by any of the three."""
    images_to_remove: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """DataError where the file is no such report."""
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"])) or "the file"
            raise DataError(
                f"{path}: no report of 'evenface data overlap' ({where}: {problem['msg']})"
            ) from None


def find_overlap(
    train: Manifest,
    test: Manifest,
    *,
    embeddings: tuple[EmbeddedRows, EmbeddedRows] | None = None,
    names: bool = True,
    threshold: float = PEOPLE_THRESHOLD,
    image_threshold: float = IMAGE_THRESHOLD,
) -> OverlapReport:
    """People of ``train`` who are in ``test``.

    Names are compared among faces of equal origin: a rendered "0017" is not the photographed one.
    Likeness is an exact search, every row against every row in blocks of bounded memory; its
    verdict is the teacher's, and the thresholds are to be chosen with ``closest_kept`` in view.

    Args:
        train, test: the two sets.
        embeddings: of their rows, by one teacher; None: names only.
        names: whether names are compared.
        threshold: cosine of two people's mean embeddings from which they are one person.
        image_threshold: cosine of two images from which the one is a copy of the other.

    Raises:
        UsageError: embeddings of two teachers.
    """
    identities, labels = train.identities(), train.labels()
    sizes = np.bincount(labels, minlength=len(identities))
    shared = _shared_names(train, test, sizes) if names else []
    people: list[AlikePeople] = []
    kept: list[AlikePeople] = []
    images: list[AlikeImages] = []
    if embeddings is not None:
        if embeddings[0].teacher != embeddings[1].teacher:
            raise UsageError(
                "the two sets were embedded by different teachers (fingerprints "
                f"{embeddings[0].teacher[:12]}… and {embeddings[1].teacher[:12]}…), whose "
                "embeddings cannot be compared. Embed both with one"
            )
        alike = _alike_people(train, test, embeddings, sizes)
        people = [pair for pair in alike if pair.cosine >= threshold]
        kept = [pair for pair in alike if pair.cosine < threshold][:_CLOSEST]
        images = _alike_images(train, test, embeddings, image_threshold)
    remove = sorted({item.identity for found in (shared, people, images) for item in found})
    gone = set(remove)
    kept = [pair for pair in kept if pair.identity not in gone]
    return OverlapReport(
        train=_side(train),
        test=_side(test),
        teacher=embeddings[0].teacher if embeddings else None,
        threshold=threshold,
        image_threshold=image_threshold,
        names=shared,
        people=people,
        closest_kept=kept,
        images=images,
        remove=remove,
        images_to_remove=sum(int(sizes[i]) for i, name in enumerate(identities) if name in gone),
    )


def rows_without(manifest: Manifest, identities: Collection[str]) -> np.ndarray:
    """int64: the rows of the other identities, in their order."""
    gone = set(identities)
    stays = np.array([name not in gone for name in manifest.identities()], dtype=bool)
    return np.flatnonzero(stays[manifest.labels()])


def nearest(
    queries: Callable[[int, int], np.ndarray],
    count: int,
    others: Callable[[int, int], np.ndarray],
    other_count: int,
    *,
    block: int = BLOCK_ROWS,
    ticker: Ticker | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """For each query the most similar of the others: cosines float32 (N,), places int64 (N,).

    Exact; of equals the first. No more than ``block``² cosines are held at a time.

    Args:
        queries, others: functions of (start, end) that give unit-length rows float32 (n, D).
        count, other_count: how many rows there are of each; at least one of the others.
        block: rows at a time.
        ticker: advanced by the queries done.
    """
    best = np.full(count, -np.inf, dtype=np.float32)
    place = np.zeros(count, dtype=np.int64)
    for start in range(0, count, block):
        end = min(start + block, count)
        rows, part = queries(start, end), slice(start, end)
        for first in range(0, other_count, block):
            cosines = rows @ others(first, min(first + block, other_count)).T
            top = cosines.argmax(axis=1)
            value = cosines[np.arange(len(top)), top]
            better = value > best[part]
            best[part][better] = value[better]
            place[part][better] = first + top[better]
        if ticker is not None:
            ticker.advance(end - start)
    return best, place


def _side(manifest: Manifest) -> Side:
    return Side(
        fingerprint=manifest.fingerprint,
        identities=len(manifest.identities()),
        images=len(manifest),
    )


def bare_name(name: str) -> str:
    """A name without the prefix that a mix or an import may have given it."""
    return name.rpartition("/")[2].rpartition(":")[2]


def _shared_names(train: Manifest, test: Manifest, sizes: np.ndarray) -> list[SharedName]:
    by_name: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, origin in _named(test):
        by_name[bare_name(name), origin].append(name)
    identities = {name: place for place, name in enumerate(train.identities())}
    found: dict[str, SharedName] = {}
    for name, origin in _named(train):
        if not (others := by_name.get((bare_name(name), origin))):
            continue
        exact = name in others
        found[name] = SharedName(
            identity=name,
            test_identity=name if exact else others[0],
            images=int(sizes[identities[name]]),
            match="name" if exact else "bare name",
        )
    return [found[name] for name in sorted(found)]


def _named(manifest: Manifest) -> list[tuple[str, str]]:
    """The distinct (identity, origin), sorted."""
    names, labels = manifest.identities(), manifest.labels()
    origins, codes = manifest.codes("origin")
    pairs = np.unique(labels * len(origins) + codes)
    return sorted((names[p // len(origins)], origins[p % len(origins)]) for p in pairs)


def _alike_people(
    train: Manifest,
    test: Manifest,
    embeddings: tuple[EmbeddedRows, EmbeddedRows],
    sizes: np.ndarray,
) -> list[AlikePeople]:
    """Everyone of the training set with the nearest of the test set, the most similar first."""
    means = [
        means_by_label(rows, manifest.labels())
        for rows, manifest in zip(embeddings, (train, test), strict=True)
    ]
    cosines, places = nearest(
        lambda a, b: means[0][a:b], len(means[0]), lambda a, b: means[1][a:b], len(means[1])
    )
    names, test_names = train.identities(), test.identities()
    return [
        AlikePeople(
            identity=names[i],
            test_identity=test_names[places[i]],
            images=int(sizes[i]),
            cosine=round(float(cosines[i]), 6),
        )
        for i in np.argsort(-cosines, kind="stable")
    ]


def _alike_images(
    train: Manifest,
    test: Manifest,
    embeddings: tuple[EmbeddedRows, EmbeddedRows],
    threshold: float,
) -> list[AlikeImages]:
    rows, others = embeddings
    with progress("compare", len(rows), unit="images") as ticker:
        cosines, places = nearest(
            lambda a, b: rows.unit(slice(a, b)),
            len(rows),
            lambda a, b: others.unit(slice(a, b)),
            len(others),
            ticker=ticker,
        )
    names, labels = train.identities(), train.labels()
    test_names, test_labels = test.identities(), test.labels()
    return [
        AlikeImages(
            identity=names[labels[row]],
            row=int(row),
            test_identity=test_names[test_labels[places[row]]],
            test_row=int(places[row]),
            cosine=round(float(cosines[row]), 6),
        )
        for row in np.flatnonzero(cosines >= threshold)
    ]
