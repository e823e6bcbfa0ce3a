"""What is in a manifest: counts by group, attribute, origin, data set, licence and person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel

from evenface.data.manifest import UNKNOWN, Manifest


class Count(BaseModel):
    """Size of a part of a manifest."""

    images: int
    identities: int


class AttributeSummary(BaseModel):
    """One declared attribute."""

    values: dict[str, Count]
    sources: dict[str, int]
    """"declared" or "predicted" → images."""
    images_without_value: int


class Spread(BaseModel):
    """Distribution of a count."""

    min: int
    median: float
    mean: float
    max: int


class StoreSummary(BaseModel):
    """One image store that the rows point at."""

    path: str
    images: int
    fingerprint: str


class Inspection(BaseModel):
    """What :func:`inspect` finds."""

    images: int
    identities: int
    group_by: list[str]
    groups: dict[str, Count]
    attributes: dict[str, AttributeSummary]
    origins: dict[str, int]
    splits: dict[str, int]
    """Split → images; "" for rows of none."""
    datasets: dict[str, int]
    licences: dict[str, int]
    images_per_identity: Spread
    identities_with_one_image: int
    notes: dict[str, int]
    """Quality note → images that bear it."""
    stores: list[StoreSummary]
    fingerprint: str


def inspect(manifest: Manifest, group_by: str | Sequence[str] | None = None) -> Inspection:
    """Summarise a manifest with at least one row.

    Args:
        manifest: what to summarise.
        group_by: see :meth:`Manifest.groups`.

    Raises:
        UsageError: an unknown attribute.
    """
    labels = manifest.labels()
    each = np.bincount(labels)
    names = (
        manifest.attributes[:1]
        if group_by is None
        else ([group_by] if isinstance(group_by, str) else group_by)
    )
    noted = Counter(part for text in manifest.column("notes") for part in text.split("; ") if part)
    return Inspection(
        images=len(manifest),
        identities=len(each),
        group_by=list(names),
        groups=_counts(manifest.groups(group_by), labels),
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
        identities_with_one_image=int((each == 1).sum()),
        notes=dict(sorted(noted.items())),
        stores=[
            StoreSummary(path=str(store.path), images=len(store), fingerprint=store.fingerprint)
            for store in manifest.stores.values()
        ],
        fingerprint=manifest.fingerprint,
    )


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
