"""How many faces a study will have, as far as its file says it before they are there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evenface.study.spec import AnyFaces, MixedSet, RenderedFaces, WholeSet


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
    """Of faces that are rendered; others show their number when they are there."""
    if not isinstance(part, RenderedFaces):
        return Size()
    from evenface.data.render import GROUPS

    identities = sum(part.keep.get(group, part.identities_per_group) for group in GROUPS)
    return Size(identities, identities * part.images_per_identity)


def set_size(wanted: WholeSet | MixedSet, real: Size, synthetic: Size) -> Size:
    """Of a training set; a mix of no given size is reckoned as large as ``real``."""
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


def share(size: Size, fraction: float) -> Size:
    """Of a share of the identities."""
    return Size(_times(size.identities, fraction), _times(size.images, fraction))


def _times(count: int | None, factor: float | None) -> int | None:
    return None if count is None or factor is None else round(count * factor)


def _per_identity(size: Size) -> float | None:
    return size.images / size.identities if size.images and size.identities else None
