"""Training sets of one size in which some groups have less than their even share.

A set of N identities with k images each has N / G identities of each of G groups. A group may keep
a share of its part only; what it lacks is filled up from the other groups, so the set keeps its
number of images. Either identities are taken away, or images of each identity.

Choices are nested: the identities of a smaller share are among those of a larger one, and so are
the images of an identity. Sets then differ in what was taken away, not in who was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evenface.data.manifest import Manifest
from evenface.data.quotas import apportion, exact
from evenface.errors import DataError
from evenface.seeds import generator

Starve = Literal["identities", "images"]


@dataclass(frozen=True)
class Shares:
    """How large a set is, and which groups have less than their even part.

    Attributes:
        identities: N, of all groups together with even shares.
        images: k, of each identity; None for all of them.
        groups: group → share in (0, 1] of its even part; 1 for a group without an entry.
        starve: what a group with a share below 1 has less of: "identities" (with k images each), or
            "images" of each identity, at least one; then the set has more identities than N, as
            the other groups fill up with whole identities.
        real_fraction: of the identities of each group, from the first source; the rest is from the
            second.
        seed: of the order in which identities and images are taken.
    """

    identities: int
    images: int | None = None
    groups: Mapping[str, float] = field(default_factory=dict)
    starve: Starve = "identities"
    real_fraction: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Quota:
    """What a group has in a set: identities, and images of each (None: all)."""

    identities: int
    images: int | None


def quotas(groups: Sequence[str], shares: Shares) -> dict[str, Quota]:
    """What each group has.

    Args:
        groups: all of them.
        shares: of the set.

    Raises:
        ValueError: a share of an unknown group, no group left to fill up from, or images taken
            away without a number of images.
    """
    if unknown := sorted(set(shares.groups) - set(groups)):
        raise ValueError(f"no group {', '.join(unknown)}; there are {', '.join(groups)}")
    even = dict(zip(groups, apportion(shares.identities, _even(len(groups))), strict=True))
    starved = {group: exact(share) for group, share in shares.groups.items() if share < 1}
    others = [group for group in groups if group not in starved]
    if starved and not others:
        raise ValueError("every group has a share below 1, so there is none to fill up from")
    found = {group: Quota(count, shares.images) for group, count in even.items()}
    missing = Fraction(0)
    for group, share in starved.items():
        if shares.starve == "identities":
            kept = round(share * even[group])
            found[group] = Quota(kept, shares.images)
            missing += even[group] - kept
        else:
            if shares.images is None:
                raise ValueError("starving images takes a number of images of each identity")
            kept = max(1, round(share * shares.images))
            found[group] = Quota(even[group], kept)
            missing += Fraction(even[group] * (shares.images - kept), shares.images)
    more = apportion(round(missing), _even(len(others))) if starved else [0] * len(others)
    for group, count in zip(others, more, strict=True):
        found[group] = Quota(even[group] + count, shares.images)
    return found


def by_source(groups: Sequence[str], shares: Shares) -> tuple[dict[str, int], dict[str, int]]:
    """Identities of each group from the real and from the synthetic faces; as :func:`quotas`."""
    split = {
        group: apportion(of.identities, _parts(shares))
        for group, of in quotas(groups, shares).items()
    }
    real, synthetic = ({group: of[i] for group, of in split.items()} for i in (0, 1))
    return real, synthetic


def draw_shares(
    sources: tuple[Manifest, Manifest], shares: Shares, *, group_by: str | None = None
) -> Manifest:
    """A training set out of one source, or of two that are mixed in every group.

    Args:
        sources: the real faces and the synthetic ones; one that has no part in the set is not
            looked at.
        shares: of the set.
        group_by: attribute of the groups; None for the first.

    Raises:
        ValueError: see :func:`quotas`.
        DataError: a group has fewer identities with enough images than are asked for.
    """
    used = [s for s, part in zip(sources, _parts(shares), strict=True) if part]
    groups = sorted({str(group) for source in used for group in source.groups(group_by)})
    wanted = quotas(groups, shares)
    short: list[str] = []
    drawn = []
    for source, counts in zip(sources, by_source(groups, shares), strict=True):
        if any(counts.values()):
            rows, lacking = _draw(source, counts, wanted, shares, group_by)
            short += lacking
            drawn.append(source.select(rows))
    if short:
        raise DataError("; ".join(short))
    return drawn[0] if len(drawn) == 1 else Manifest.concat(drawn)


def _draw(
    source: Manifest,
    counts: Mapping[str, int],
    wanted: Mapping[str, Quota],
    shares: Shares,
    group_by: str | None,
) -> tuple[NDArray[np.int64], list[str]]:
    """Rows of a source in its order, and what it has too little of."""
    names, codes = np.array(source.identities(), dtype=object), source.labels()
    groups = source.groups(group_by)
    rows_of = np.split(
        np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    )
    least = shares.images or 1
    chosen, short = [], []
    for group, count in counts.items():
        there = [p for p, rows in enumerate(rows_of) if groups[rows[0]] == group]
        enough = [p for p in there if len(rows_of[p]) >= least]
        if len(enough) < count:
            with_images = f" with {least} images" if least > 1 else ""
            short.append(
                f"group {group}: {count:,} identities{with_images} are asked for, there are "
                f"{len(enough):,}"
            )
            continue
        order = generator(shares.seed, "shares", group).permutation(len(enough))
        for place in order[:count]:
            rows = rows_of[enough[place]]
            images = wanted[group].images
            if images is not None:
                drawn = generator(shares.seed, "shares", group, str(names[enough[place]]))
                rows = rows[drawn.permutation(len(rows))[:images]]
            chosen.append(rows)
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64), short


def _parts(shares: Shares) -> tuple[Fraction, Fraction]:
    real = exact(shares.real_fraction)
    return real, 1 - real


def _even(parts: int) -> list[Fraction]:
    return [Fraction(1, parts)] * parts
