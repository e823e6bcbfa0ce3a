"""What is in a manifest: counts by group, crossing, origin, data set, licence, person and size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from pydantic import BaseModel, ValidationError

from evenface.data.cells import MIN_CELL, TooSmall, rate
from evenface.data.import_report import REPORT_NAME, ImportReport, SourceSizes
from evenface.data.manifest import UNKNOWN, Manifest
from evenface.data.store import IMAGE_BYTES, ImageStore
from evenface.errors import DataError, UsageError
from evenface.files import read_json

_CROSSED = 4  # attributes that are crossed with each other unless the user says which
_MOST_VALUES = 12  # an attribute with more values is not crossed unless the user says so
_MANTISSAS = (1, 1.5, 2, 3, 5, 7)


class Count(BaseModel):
    """Size of a part of a manifest."""

    images: int
    identities: int


class Cell(Count):
    """One group and its shares of all identities and images, unless it is too small."""

    share_of_identities: float | TooSmall
    share_of_images: float | TooSmall


class Crossing(BaseModel):
    """The groups by one attribute, or by several crossed."""

    attributes: list[str]
    cells: dict[str, Cell]


class AttributeSummary(BaseModel):
    """One attribute."""

    values: dict[str, Count]
    sources: dict[str, int]
    """"declared" or "predicted" → images."""
    images_without_value: int

    def named(self, name: str) -> str:
        """``name``, marked where its values are predicted."""
        if not self.sources.get("predicted"):
            return name
        return f"{name} ({'partly ' if self.sources.get('declared') else ''}predicted)"


class Spread(BaseModel):
    """Distribution of a count."""

    min: int
    median: float
    mean: float
    max: int


class Bin(BaseModel):
    """Identities that have ``low`` to ``high`` images, both included."""

    low: int
    high: int
    identities: int


class StoreSummary(BaseModel):
    """One image store that the rows point at."""

    path: str
    images: int
    bytes: int
    """Of the pixels on disk."""
    fingerprint: str
    source_sizes: SourceSizes | None
    """Of the image files it was imported from; None where no import tells."""


class Composition(BaseModel):
    """What a manifest is made of; what the record of a training run says of its data."""

    images: int
    identities: int
    groups: dict[str, Count]
    """By the first declared attribute; empty where there is none."""
    origins: dict[str, int]
    """"real" or "synthetic" → images; the next two alike."""
    datasets: dict[str, int]
    licences: dict[str, int]


class Inspection(BaseModel):
    """What :func:`inspect` finds."""

    images: int
    identities: int
    group_by: list[str]
    groups: dict[str, Count]
    min_cell: int
    """Identities below which a cell is too small to be stated as a rate."""
    crossings: list[Crossing]
    """The groups first; then, unless they were chosen, the attributes crossed in pairs."""
    attributes: dict[str, AttributeSummary]
    origins: dict[str, int]
    splits: dict[str, int]
    """Split → images; "" for rows of none."""
    datasets: dict[str, int]
    licences: dict[str, int]
    images_per_identity: Spread
    histogram: list[Bin]
    """Of images per identity; without gaps."""
    identities_with_one_image: int
    without_identity: int = 0
    """Images that nobody says who they are of; each counts for one person in all else."""
    notes: dict[str, int]
    """Quality note → images that bear it."""
    stores: list[StoreSummary]
    fingerprint: str


def composition(manifest: Manifest) -> Composition:
    """What a manifest is made of."""
    labels = manifest.labels()
    return Composition(
        images=len(manifest),
        identities=len(np.unique(labels)),
        groups=_counts(manifest.groups(), labels) if manifest.attributes else {},
        origins=_tally(manifest, "origin"),
        datasets=_tally(manifest, "dataset"),
        licences=_tally(manifest, "licence"),
    )


def inspect(
    manifest: Manifest,
    group_by: str | Sequence[str] | None = None,
    *,
    min_cell: int = MIN_CELL,
) -> Inspection:
    """Summarise a manifest with at least one row.

    Args:
        manifest: what to summarise.
        group_by: see :meth:`Manifest.groups`.
        min_cell: identities below which a cell is too small to be stated as a rate.

    Raises:
        UsageError: an unknown attribute, or a negative size.
    """
    if min_cell < 0:
        raise UsageError(f"the size of the smallest cell is at least 0, got {min_cell}")
    labels, named = manifest.labels(), manifest.named()
    each = np.bincount(labels)
    names = (
        manifest.attributes[:1]
        if group_by is None
        else ([group_by] if isinstance(group_by, str) else group_by)
    )
    crossed = [list(names), *([] if group_by else _pairs(manifest))]
    noted = Counter(part for text in manifest.column("notes") for part in text.split("; ") if part)
    return Inspection(
        images=len(manifest),
        identities=len(each),
        group_by=list(names),
        groups=_counts(manifest.groups(group_by), labels),
        min_cell=min_cell,
        crossings=[_crossing(manifest, by, labels, min_cell) for by in crossed],
        attributes={name: _attribute(manifest, name, labels) for name in manifest.attributes},
        origins=_tally(manifest, "origin"),
        splits=_tally(manifest, "split"),
        datasets=_tally(manifest, "dataset"),
        licences=_tally(manifest, "licence"),
        images_per_identity=Spread(
            min=int(each.min()),
            median=float(np.median(each)),
            mean=float(each.mean()),
            max=int(each.max()),
        ),
        histogram=histogram(each),
        identities_with_one_image=int((each == 1).sum() - (~named).sum()),
        without_identity=int((~named).sum()),
        notes=dict(sorted(noted.items())),
        stores=[_store(store) for store in manifest.stores.values()],
        fingerprint=manifest.fingerprint,
    )


def histogram(counts: np.ndarray) -> list[Bin]:
    """Bins of images per identity: single numbers where they are few, else 1, 2, 3–4, 5–6, 7–9, …

    Args:
        counts: int (n,), n ≥ 1, each ≥ 1.
    """
    low, high = int(counts.min()), int(counts.max())
    edges = list(range(low, high + 2)) if high - low < 20 else _edges(high)
    found = np.histogram(counts, bins=edges)[0].tolist()
    bins = [
        Bin(low=start, high=end - 1, identities=count)
        for start, end, count in zip(edges, edges[1:], found, strict=False)
    ]
    filled = [place for place, item in enumerate(bins) if item.identities]
    return bins[filled[0] : filled[-1] + 1]


def _edges(high: int) -> list[int]:
    edges = [1]
    for power in range(len(str(high)) + 1):
        edges += [int(m * 10**power) for m in _MANTISSAS]
    edges = sorted(set(edges))
    return [edge for edge in edges if edge <= high] + [next(e for e in edges if e > high)]


def _pairs(manifest: Manifest) -> list[list[str]]:
    few = [
        name
        for name in manifest.attributes
        if len(np.unique(manifest.groups(name))) <= _MOST_VALUES
    ]
    return [list(pair) for pair in combinations(few[:_CROSSED], 2)]


def _crossing(manifest: Manifest, names: list[str], labels: np.ndarray, min_cell: int) -> Crossing:
    people, images = len(np.unique(labels)), len(labels)
    counts = _counts(manifest.groups(names), labels)
    return Crossing(
        attributes=names,
        cells={
            group: Cell(
                images=count.images,
                identities=count.identities,
                share_of_identities=rate(
                    count.identities, people, size=count.identities, at_least=min_cell
                ),
                share_of_images=rate(
                    count.images, images, size=count.identities, at_least=min_cell
                ),
            )
            for group, count in counts.items()
        },
    )


def _store(store: ImageStore) -> StoreSummary:
    return StoreSummary(
        path=str(store.path),
        images=len(store),
        bytes=len(store) * IMAGE_BYTES,
        fingerprint=store.fingerprint,
        source_sizes=_source_sizes(store),
    )


def _source_sizes(store: ImageStore) -> SourceSizes | None:
    path = store.path / REPORT_NAME
    try:
        sizes = ImportReport.model_validate(read_json(path)).source_sizes if path.exists() else None
    except (ValidationError, DataError):  # a report is no part of the data
        return None
    return sizes if sizes and sizes.distinct else None


def _counts(values: np.ndarray, labels: np.ndarray) -> dict[str, Count]:
    groups, codes = np.unique(values, return_inverse=True)
    pairs = np.unique(np.stack([codes, labels], axis=1), axis=0)
    images = np.bincount(codes, minlength=len(groups))
    identities = np.bincount(pairs[:, 0], minlength=len(groups))
    return {
        group: Count(images=int(n), identities=int(people))
        for group, n, people in zip(groups, images, identities, strict=True)
    }


def _attribute(manifest: Manifest, name: str, labels: np.ndarray) -> AttributeSummary:
    counts = _counts(manifest.groups(name), labels)
    sources = _tally(manifest, f"{name}_source")
    missing = sources.pop("", 0)
    if missing:
        counts.pop(UNKNOWN)
    return AttributeSummary(values=counts, sources=sources, images_without_value=missing)


def _tally(manifest: Manifest, column: str) -> dict[str, int]:
    values, counts = np.unique(manifest.column(column), return_counts=True)
    return {str(value): int(count) for value, count in zip(values, counts, strict=True)}
