"""What there is to draw from: the images of one source, arranged by stratum and identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenface.data.embedded import EmbeddedRows
from evenface.data.manifest import ALL, UNKNOWN, Manifest
from evenface.errors import UsageError
from evenface.seeds import derive_seed, generator

Role = Literal["real", "synthetic"]
Unit = Literal["identities", "images"]
ROLES: tuple[Role, ...] = ("real", "synthetic")

Order = Callable[["Pool", np.ndarray, int], np.ndarray]
"""(pool, identities, limit) → the first ``limit`` of them in the order in which they are taken."""

_NOBODY = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Source:
    """A manifest, and the part it plays in a mix."""

    name: str
    """Enters the seed of every choice from this source."""
    role: Role
    manifest: Manifest
    weight: float | None = None
    """Share of its role, relative to the other sources'; None: as much as it has."""
    embeddings: EmbeddedRows | None = None
    """Of the rows of ``manifest``; needed for a choice by diversity."""


class Pool:
    """The eligible rows of a source, by stratum and identity.

    A stratum is what a quota is set for: a group, or the whole pool ("all") where groups are left
    as they are.

    Args:
        source: the manifest and its role.
        group_by: attributes that define the groups.
        pooled: one stratum for all rows, those without a group included.
        max_images: images of an identity that may be taken at most.
        order: the order in which identities are taken.
        seed: decides which images of an identity are taken.

    Raises:
        UsageError: an identity in two groups.
    """

    def __init__(
        self,
        source: Source,
        group_by: Sequence[str],
        *,
        pooled: bool,
        max_images: int | None,
        order: Order,
        seed: int,
    ) -> None:
        manifest = source.manifest
        self.source = source
        self.group_by = tuple(group_by)
        self.seed = seed
        self.groups, self.row_groups = manifest.group_codes(group_by, partial=False)
        self.identities = manifest.identities()
        self.labels = manifest.labels()
        unknown = self.groups.index(UNKNOWN) if UNKNOWN in self.groups else -1
        eligible = np.ones(len(manifest), bool) if pooled else self.row_groups != unknown
        self.rows_without_group = int((self.row_groups == unknown).sum())
        self.group_of = self._group_of_identities(eligible)
        """(I,) group of each identity, −1 for one that takes no part."""
        rows = np.flatnonzero(eligible)
        self._rank = store_rank(manifest)
        self._index = manifest.column("index")
        keys = (self._index[rows], self._rank[rows], self.labels[rows])
        self.rows = rows[np.lexsort(keys)]
        """Eligible rows by identity, then image: whatever the order of the manifest."""
        self.held = np.bincount(self.labels[rows], minlength=len(self.identities))
        """(I,) eligible images of each identity."""
        self.first = np.concatenate([[0], np.cumsum(self.held)])
        """(I + 1,) where each identity starts in ``rows``."""
        self.counted = self.held if max_images is None else np.minimum(self.held, max_images)
        """(I,) images of each identity that may be taken."""
        self._order = order
        self._ordered: dict[str, np.ndarray] = {}
        self._sums: dict[str, np.ndarray] = {}
        present = np.flatnonzero(self.held)
        self.members = (
            {ALL: present}
            if pooled
            else {
                group: members
                for code, group in enumerate(self.groups)
                if len(members := present[self.group_of[present] == code])
            }
        )

    @property
    def name(self) -> str:
        """Name of the source."""
        return self.source.name

    def available(self, stratum: str, unit: Unit) -> int:
        """Identities, or images under the cap, of a stratum."""
        members = self.members.get(stratum, _NOBODY)
        return len(members) if unit == "identities" else int(self.counted[members].sum())

    def ordered(self, stratum: str, limit: int | None = None) -> np.ndarray:
        """Identities of a stratum in the order in which they are taken: all, or ``limit``."""
        members = self.members.get(stratum, _NOBODY)
        limit = len(members) if limit is None else min(limit, len(members))
        known = self._ordered.get(stratum, _NOBODY)
        if len(known) < limit:
            known = self._ordered[stratum] = self._order(self, members, limit)
        return known[:limit]

    def counts(self, stratum: str, quota: int, unit: Unit) -> dict[Unit, int]:
        """How many identities and images a quota of ``unit`` takes."""
        if stratum not in self._sums:
            images = self.counted[self.ordered(stratum)]
            self._sums[stratum] = np.concatenate([[0], np.cumsum(images)])
        sums = self._sums[stratum]
        if unit == "identities":
            return {"identities": quota, "images": int(sums[min(quota, len(sums) - 1)])}
        return {"identities": int(np.searchsorted(sums, quota)), "images": quota}

    def draw(self, quotas: dict[str, int], unit: Unit) -> np.ndarray:
        """(I,) images to take of each identity, for the quota of each stratum."""
        take = np.zeros(len(self.identities), dtype=np.int64)
        for stratum, quota in quotas.items():
            members = self.members.get(stratum, _NOBODY)
            if unit == "identities":
                chosen = self.ordered(stratum, quota)
                take[chosen] = self.counted[chosen]
                continue
            # However small the identities that come first, so many of them are enough.
            smallest = np.cumsum(np.sort(self.counted[members]))
            chosen = self.ordered(stratum, int(np.searchsorted(smallest, quota)) + 1)
            images = self.counted[chosen]
            before = np.cumsum(images) - images
            take[chosen] = np.clip(quota - before, 0, images)
        return take

    def rows_of(self, take: np.ndarray) -> np.ndarray:
        """Rows for :meth:`draw`'s answer, sorted by group, identity and image.

        Where only some images of an identity are taken, a permutation seeded by its name decides.
        """
        chosen = np.flatnonzero(take)
        chosen = chosen[np.argsort(self.group_of[chosen], kind="stable")]
        images = take[chosen]
        ends = np.cumsum(images)
        places = np.arange(images.sum()) + np.repeat(self.first[chosen] - (ends - images), images)
        for position in np.flatnonzero(images < self.held[chosen]):
            identity, end = chosen[position], ends[position]
            seed = generator(self.seed, "mix-images", self.name, self.identities[identity])
            some = seed.permutation(self.held[identity])[: images[position]]
            places[end - images[position] : end] = self.first[identity] + np.sort(some)
        return self.rows[places]

    def content_fingerprint(self) -> str:
        """SHA-256 over images, identities and attributes of the eligible rows, in any order."""
        manifest, order = self.source.manifest, self.rows
        prints = sorted({store.fingerprint for store in manifest.stores.values()})
        digest = hashlib.sha256(json.dumps([self.identities, prints]).encode())
        for column in (self.labels, self._rank, self._index):
            digest.update(column[order].astype("<i8").data)
        for name in sorted(manifest.attributes):
            values, codes = manifest.group_codes(name)
            digest.update(json.dumps([name, values]).encode())
            digest.update(codes[order].astype("<i8").data)
        return digest.hexdigest()

    def name_seeds(self, identities: np.ndarray) -> list[int]:
        """A seed for each identity, from the mix's seed, the source and the identity's name."""
        return [derive_seed(self.seed, "mix", self.name, self.identities[i]) for i in identities]

    def _group_of_identities(self, eligible: np.ndarray) -> np.ndarray:
        group_of = np.full(len(self.identities), -1, dtype=np.int64)
        group_of[self.labels[eligible]] = self.row_groups[eligible]
        crossing = eligible & (group_of[self.labels] != self.row_groups)
        if crossing.any():
            row = int(np.argmax(crossing))
            identity = self.labels[row]
            raise UsageError(
                f"identity {self.identities[identity]!r} is in two groups, "
                f"{self.groups[self.row_groups[row]]} and {self.groups[group_of[identity]]}; a mix "
                "needs every identity in one. Group by attributes that do not change within a "
                f"person, not by {' × '.join(self.group_by)}"
            )
        return group_of


def store_rank(manifest: Manifest) -> np.ndarray:
    """(N,) rank of each row's store among the stores' fingerprints."""
    prints = {name: store.fingerprint for name, store in manifest.stores.items()}
    rank = {digest: place for place, digest in enumerate(sorted(set(prints.values())))}
    names, codes = manifest.codes("store")
    return np.array([rank[prints[name]] for name in names], dtype=np.int64)[codes]
