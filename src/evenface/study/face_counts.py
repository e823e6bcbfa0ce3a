"""How many faces a study will have, as far as its file says it before they are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evenface.data.formats.folder import SUFFIXES
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.shares import Shares, by_source
from evenface.files import read_json
from evenface.study.spec import (
    AnyFaces,
    FolderFaces,
    MixedSet,
    RenderedFaces,
    SeveralFaces,
    StudySpec,
    WholeSet,
)

MIX_REPORT_NAME = "mix-report.json"
"""Beside the manifest of a training set that was drawn."""


@dataclass(frozen=True)
class Size:
    """Of a set of faces; None where it is not known before the faces are there.

    Attributes:
        exact: counted, and not reckoned from the study file.
    """

    identities: int | None = None
    images: int | None = None
    exact: bool = False


def faces_size(part: AnyFaces) -> Size:
    """Of faces that are rendered, and identities of a folder; others show their number later."""
    if isinstance(part, FolderFaces):
        return Size(count_identities(part.path))
    if not isinstance(part, RenderedFaces):
        return Size()
    from evenface.render import GROUPS

    identities = sum(part.keep.get(group, part.identities_per_group) for group in GROUPS)
    return Size(identities, identities * part.images_per_identity)


def count_identities(path: Path) -> int | None:
    """Identities of a data set, or folders that hold an image; no image is read.

    None where there is nothing, or another format.
    """
    if is_dataset(path):
        return len(Manifest.read(path).identities()) if path.exists() else None
    return (_people_below(str(path)) if path.is_dir() else 0) or None


def is_dataset(path: Path) -> bool:
    """Whether faces are used where they are, and not imported."""
    return path.suffix == ".parquet" or (path / MANIFEST_NAME).is_file()


def _people_below(folder: str) -> int:
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                below.append(entry.path)
            elif Path(entry.name).suffix.lower() in SUFFIXES:
                return 1
    return sum(map(_people_below, below))


def total(sizes: Iterable[Size]) -> Size:
    """Of several sets together."""
    parts = list(sizes)
    identities = [part.identities for part in parts]
    images = [part.images for part in parts]
    return Size(
        None if None in identities else sum(count or 0 for count in identities),
        None if None in images else sum(count or 0 for count in images),
        all(part.exact for part in parts),
    )


def shortfalls(spec: StudySpec, sizes: Mapping[str, Size]) -> list[str]:
    """Training sets that ask for more identities than there are, as far as it is known.

    Args:
        spec: the study.
        sizes: of "real" (without those held out), "synthetic" and each synthetic source, by role.
    """
    found = []
    for name, wanted in spec.training_sets.items():
        if wanted.groups is not None:
            found += _short_groups(name, spec)
            continue
        most = isinstance(wanted, MixedSet) and wanted.balance == "images"  # fewer will do
        if wanted.identities is None or most:
            continue
        real = round(wanted.real_fraction * wanted.identities)
        asked = {"real": float(real), "synthetic": float(wanted.identities - real)}
        several = spec.faces.synthetic
        if isinstance(several, SeveralFaces) and several.sources[0].weight is not None:
            weights = {s.name: s.weight or 0.0 for s in several.sources}
            for source, weight in weights.items():
                share = asked["synthetic"] * weight / sum(weights.values())
                asked[f"synthetic-{source}"] = share
        for role, count in asked.items():
            have = sizes[role].identities
            if have is not None and have < int(count):
                found.append(
                    f"training set {name}: asks for {int(count):,} identities of the {role} faces, "
                    f"which have {have:,}"
                )
    return found


def shares_of(wanted: WholeSet | MixedSet, seed: int) -> Shares:
    """How a set with ``groups`` is drawn."""
    return Shares(
        identities=wanted.identities or 0,
        images=wanted.images,
        groups=wanted.groups or {},
        starve=wanted.starve,
        real_fraction=wanted.real_fraction,
        seed=seed,
    )


def _short_groups(name: str, spec: StudySpec) -> list[str]:
    """Groups of rendered faces of which a set asks for more than will be rendered."""
    from evenface.render import GROUPS

    try:
        wanted = by_source(GROUPS, shares_of(spec.training_sets[name], spec.seed))
    except ValueError as error:
        parts = spec.faces.real, spec.faces.synthetic
        rendered = all(isinstance(part, RenderedFaces) for part in parts)
        return [f"training set {name}: {error}"] if rendered else []
    return [
        f"training set {name}: asks for {count:,} identities of {group} of the {role} faces, which "
        f"have {have:,}"
        for role, counts in zip(("real", "synthetic"), wanted, strict=True)
        for group, count in counts.items()
        if isinstance(part := spec.faces.by_role().get(role), RenderedFaces)
        and count > (have := part.keep.get(group, part.identities_per_group))
    ]


def set_size(wanted: WholeSet | MixedSet, real: Size, synthetic: Size) -> Size:
    """Of a training set; a mix of no given size is reckoned as large as ``real``."""
    if wanted.groups is not None and wanted.images is not None:
        return Size(wanted.identities, (wanted.identities or 0) * wanted.images)
    if isinstance(wanted, WholeSet):
        whole = real if wanted.kind == "real" else synthetic
        if wanted.identities is None:
            return replace(whole, exact=False)
        return Size(wanted.identities, _times(wanted.identities, _per_identity(whole)))
    identities = wanted.identities or real.identities
    fraction = wanted.real_fraction
    parts = [(fraction, _per_identity(real)), (1 - fraction, _per_identity(synthetic))]
    images = 0.0
    for part, each in parts:
        if part and each is None:
            return Size(identities)
        images += part * (each or 0.0)
    return Size(identities, _times(identities, images))


@dataclass(frozen=True)
class RealShare:
    """Share of a training set that is of the real faces, in [0, 1]; None where it is not known."""

    identities: float | None
    images: float | None


def real_share(wanted: WholeSet | MixedSet, real: Size, synthetic: Size) -> RealShare:
    """Of a training set that is not there yet.

    A mix's fraction is one of identities, or of images where it balances images. The other share
    follows from how many images a person of each source has.
    """
    fraction = wanted.real_fraction
    if fraction in (0, 1):
        return RealShare(fraction, fraction)
    by_images = isinstance(wanted, MixedSet) and wanted.balance == "images"
    each = _per_identity(real), _per_identity(synthetic)
    if each[0] is None or each[1] is None:
        return RealShare(None, fraction) if by_images else RealShare(fraction, None)
    if by_images:
        parts = fraction / each[0], (1 - fraction) / each[1]
        return RealShare(parts[0] / sum(parts), fraction)
    parts = fraction * each[0], (1 - fraction) * each[1]
    return RealShare(fraction, parts[0] / sum(parts))


def counted_real_share(wanted: WholeSet | MixedSet, folder: Path) -> RealShare:
    """Of a training set in a study's folder: for a mix, counted as its report says."""
    report = folder / MIX_REPORT_NAME
    if not report.exists():
        return RealShare(wanted.real_fraction, wanted.real_fraction)
    sources = read_json(report)["sources"].values()

    def counted(unit: str) -> float:
        whole = sum(source[unit] for source in sources)
        return sum(source[unit] for source in sources if source["role"] == "real") / whole

    return RealShare(counted("identities"), counted("images"))


def share(size: Size, fraction: float) -> Size:
    """Of a share of the identities."""
    return Size(_times(size.identities, fraction), _times(size.images, fraction))


def _times(count: int | None, factor: float | None) -> int | None:
    return None if count is None or factor is None else round(count * factor)


def _per_identity(size: Size) -> float | None:
    return size.images / size.identities if size.images and size.identities else None
