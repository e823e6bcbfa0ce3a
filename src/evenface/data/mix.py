"""Ethnicity-aware mixes of a real and a synthetic set.

The study mixes about 70 % real with 30 % synthetic faces so that every ethnicity has the same
weight (arXiv 2408.17399); its exact recipe is unpublished. Ours:

1. **Groups** are the values of one attribute, or of several crossed. Rows without a value take no
   part. An identity belongs to one group.
2. **Quota of a group**: ``total`` is divided equally among the groups (largest remainder; a rest
   goes to the first groups by name). ``total`` counts identities for ``balance="identities"`` and
   images for ``balance="images"``. Without ``total`` every group gets the same number, the largest
   that both sources can supply in every group.
3. **Quota of a part**: of a group's quota T, ``real_fraction``·T, rounded to the nearest whole
   number (a half goes to real), comes from the real set, the rest from the synthetic one. A group
   so small that a part with a share would get nothing is refused.
4. **Choice**: the identities of a group and part are ordered by a hash of (seed, part, identity).
   By identities, the first ones are taken with all their images. By images, whole identities are
   taken in that order until the quota is met; of the last one only as many images as are missing,
   chosen by a permutation seeded by (seed, part, identity).
5. ``balance="none"`` keeps the groups as the sources give them: the quotas count the identities of
   all groups together, rows without a group included.

The result depends on the seed and on which rows there are, not on their order. Its rows are sorted
by part, group, identity and image. Rows keep their true ``origin``: "real" and "synthetic" here are
the two roles, and a stand-in may play the real one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel

from evenface.data.manifest import ALL, MANIFEST_NAME, UNKNOWN, Manifest
from evenface.data.quotas import apportion, exact
from evenface.errors import DataError, UsageError
from evenface.files import read_json, write_json
from evenface.seeds import derive_seed, generator

Balance = Literal["identities", "images", "none"]
PARTS = ("real", "synthetic")
REPORT_NAME = "mix-report.json"


class PartReport(BaseModel):
    """What one part of the mix could give and gave, for one group."""

    available_identities: int
    available_images: int
    identities: int
    images: int
    truncated_identities: int
    """Identities of which only some images were taken (0 or 1)."""


class GroupReport(BaseModel):
    """One group of the mix."""

    real: PartReport
    synthetic: PartReport
    real_fraction_identities: float
    real_fraction_images: float


class MixReport(BaseModel):
    """The recipe as it was carried out."""

    real_fraction: float
    balance: Balance
    group_by: list[str]
    seed: int
    total: int
    """Identities (balance identities, none) or images (balance images) asked for or derived."""
    identities: int
    images: int
    groups: dict[str, GroupReport]
    rows_without_group: dict[str, int]
    """Rows of each part that have no value of the attribute."""
    prefixed: bool
    """Whether identities were renamed ``real:…`` and ``synthetic:…`` because names collided."""
    inputs: dict[str, str]
    """Manifest fingerprint of each part (it depends on the order of rows)."""


def mix(
    real: Manifest,
    synthetic: Manifest,
    *,
    real_fraction: float = 0.7,
    balance: Balance = "identities",
    group_by: str | Sequence[str] | None = None,
    seed: int = 0,
    total: int | None = None,
) -> tuple[Manifest, MixReport]:
    """Mix two manifests; the module's text states the recipe.

    Args:
        real, synthetic: the two parts. They share no image.
        real_fraction: share of each group that comes from ``real``, in [0, 1].
        balance: what is counted, and made equal over the groups.
        group_by: attribute(s) that define the groups; None: the first attribute of ``real`` that
            ``synthetic`` has too, or a single group when neither has any.
        seed: decides who is taken.
        total: identities or images over all groups; None: as many as possible.

    Raises:
        UsageError: a request that cannot be met, with what is available in each group.
    """
    if balance not in get_args(Balance):
        raise UsageError(f"balance is one of {', '.join(get_args(Balance))}; got {balance!r}")
    if not 0.0 <= real_fraction <= 1.0:
        raise UsageError(f"the real fraction lies between 0 and 1, got {real_fraction}")
    names = _group_attributes(real, synthetic, group_by)
    unit = "images" if balance == "images" else "identities"
    shares = (exact(real_fraction), 1 - exact(real_fraction))
    pools = {
        part: _Pool.of(manifest, part, names, pooled=balance == "none")
        for part, manifest in zip(PARTS, (real, synthetic), strict=True)
    }
    needed = [part for part, share in zip(PARTS, shares, strict=True) if share > 0]
    strata = sorted({group for part in needed for group in pools[part].members})
    if not strata:
        raise UsageError(f"no row has a value of {' × '.join(names)}: nothing to mix")
    quotas = _quotas(pools, strata, shares, unit, total)

    taken: dict[str, np.ndarray] = {}
    truncated: dict[str, set[int]] = {}
    for part in PARTS:
        wanted = {group: quotas[group][part] for group in strata}
        taken[part], truncated[part] = pools[part].draw(wanted, unit, seed)
    rows = [pools[part].manifest.select(taken[part]) for part in PARTS]
    prefixed = bool(set(rows[0].identities()) & set(rows[1].identities()))
    if prefixed:
        rows = [_prefixed(chosen, part) for part, chosen in zip(PARTS, rows, strict=True)]
    mixed = Manifest.concat(rows)
    _refuse_shared_images(mixed)
    report = MixReport(
        real_fraction=real_fraction,
        balance=balance,
        group_by=list(names),
        seed=seed,
        total=sum(sum(quota.values()) for quota in quotas.values()),
        identities=len(mixed.identities()),
        images=len(mixed),
        groups=_report_groups(pools, taken, truncated),
        rows_without_group={part: int((pools[part].row_groups == UNKNOWN).sum()) for part in PARTS},
        prefixed=prefixed,
        inputs={part: pools[part].manifest.fingerprint for part in PARTS},
    )
    return mixed, report


def write_mix(mixed: Manifest, report: MixReport, out: str | Path) -> None:
    """Write ``manifest.parquet`` and ``mix-report.json`` into the folder ``out``.

    The images stay where they are; the manifest points at them by relative paths. Writing the same
    mix again changes nothing.

    Raises:
        DataError: ``out`` holds something else.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        held = out / REPORT_NAME
        if not held.is_file() or read_json(held) != report.model_dump():
            raise DataError(f"{out}: holds something else already. Choose a new folder")
    mixed.write(out / MANIFEST_NAME)
    write_json(out / REPORT_NAME, report.model_dump())


@dataclass(frozen=True)
class _Pool:
    """One part's manifest, arranged by stratum and identity."""

    manifest: Manifest
    part: str
    row_groups: np.ndarray  # (N,) group of each row
    identities: list[str]
    labels: np.ndarray  # (N,) identity of each row
    group_of: np.ndarray  # (identities,) group of each identity
    order: np.ndarray  # rows sorted by identity, then image
    first: np.ndarray  # (identities + 1,) where each identity starts in `order`
    members: dict[str, np.ndarray]  # stratum → its identities
    counted: np.ndarray  # (identities,) images that may be taken

    @classmethod
    def of(cls, manifest: Manifest, part: str, names: Sequence[str], *, pooled: bool) -> _Pool:
        groups = manifest.groups(names)
        if names:
            # A crossing with a missing value is no group either.
            missing = np.any([manifest.table[name].is_null().to_numpy() for name in names], axis=0)
            groups[missing] = UNKNOWN
        identities, labels = manifest.identities(), manifest.labels()
        eligible = np.ones(len(manifest), dtype=bool) if pooled else groups != UNKNOWN
        group_of = _group_of_identities(identities, labels, groups, names, eligible)
        rows = np.flatnonzero(eligible)
        rows = rows[_by_identity_and_image(manifest, labels, rows)]
        counted = np.bincount(labels[rows], minlength=len(identities))
        first = np.concatenate([[0], np.cumsum(counted)])
        present = np.flatnonzero(counted)
        members = (
            {ALL: present}
            if pooled
            else {g: present[group_of[present] == g] for g in np.unique(group_of[present])}
        )
        return cls(
            manifest=manifest,
            part=part,
            row_groups=groups,
            identities=identities,
            labels=labels,
            group_of=group_of,
            order=rows,
            first=first,
            members=members,
            counted=counted,
        )

    def available(self, stratum: str, unit: str) -> int:
        members = self.members.get(stratum, np.empty(0, dtype=np.int64))
        return len(members) if unit == "identities" else int(self.counted[members].sum())

    def draw(self, quotas: dict[str, int], unit: str, seed: int) -> tuple[np.ndarray, set[int]]:
        """Rows for the quotas of each stratum, sorted by group, identity, image; and which
        identities were truncated."""
        chosen: dict[int, int] = {}  # identity → images to take
        for stratum, quota in quotas.items():
            members = self.members.get(stratum, np.empty(0, dtype=np.int64))
            order = sorted(
                members.tolist(),
                key=lambda i: (derive_seed(seed, "mix", self.part, self.identities[i]), i),
            )
            if unit == "identities":
                chosen |= {identity: int(self.counted[identity]) for identity in order[:quota]}
                continue
            left = quota
            for identity in order:
                if not left:
                    break
                chosen[identity] = min(left, int(self.counted[identity]))
                left -= chosen[identity]
        rows = [
            self._rows(identity, chosen[identity], seed)
            for identity in sorted(chosen, key=lambda i: (self.group_of[i], i))
        ]
        cut = {identity for identity, images in chosen.items() if images < self.counted[identity]}
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64), cut

    def _rows(self, identity: int, images: int, seed: int) -> np.ndarray:
        rows = self.order[self.first[identity] : self.first[identity + 1]]
        if images == len(rows):
            return rows
        permutation = generator(seed, "mix-images", self.part, self.identities[identity])
        return rows[np.sort(permutation.permutation(len(rows))[:images])]


def _group_attributes(
    real: Manifest, synthetic: Manifest, group_by: str | Sequence[str] | None
) -> tuple[str, ...]:
    if isinstance(group_by, str):
        return (group_by,)
    if group_by is not None:
        return tuple(group_by)
    shared = [name for name in real.attributes if name in synthetic.attributes]
    if not shared and (real.attributes or synthetic.attributes):
        raise UsageError(
            "the two manifests share no attribute to group by. real has: "
            f"{', '.join(real.attributes) or 'none'}; synthetic has: "
            f"{', '.join(synthetic.attributes) or 'none'}. Import both with the same "
            "--group-attribute"
        )
    return tuple(shared[:1])


def _group_of_identities(
    identities: list[str],
    labels: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    eligible: np.ndarray,
) -> np.ndarray:
    group_of = np.full(len(identities), UNKNOWN, dtype=object)
    group_of[labels[eligible]] = groups[eligible]
    crossing = eligible & (group_of[labels] != groups)
    if crossing.any():
        row = int(np.argmax(crossing))
        raise UsageError(
            f"identity {identities[labels[row]]!r} is in two groups, {groups[row]} and "
            f"{group_of[labels[row]]}; a mix needs every identity in one. Group by attributes "
            f"that do not change within a person, not by {' × '.join(names)}"
        )
    return group_of


def _by_identity_and_image(manifest: Manifest, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Order of ``rows`` that does not depend on where they stand in the manifest."""
    return np.lexsort((manifest.column("index")[rows], _store_rank(manifest)[rows], labels[rows]))


def _store_rank(manifest: Manifest) -> np.ndarray:
    """(N,) rank of each row's store among the stores' fingerprints."""
    prints = {name: store.fingerprint for name, store in manifest.stores.items()}
    rank = {digest: place for place, digest in enumerate(sorted(set(prints.values())))}
    names, codes = np.unique(manifest.column("store"), return_inverse=True)
    return np.array([rank[prints[name]] for name in names], dtype=np.int64)[codes]


def _quotas(
    pools: dict[str, _Pool],
    strata: list[str],
    shares: tuple[Fraction, Fraction],
    unit: str,
    total: int | None,
) -> dict[str, dict[str, int]]:
    """Stratum → part → how many."""
    stock = {
        stratum: {part: pools[part].available(stratum, unit) for part in PARTS}
        for stratum in strata
    }
    least = _least(shares)
    most = min(_most(stock[stratum], shares) for stratum in strata)
    if total is None:
        sizes = [max(most, least)] * len(strata)
    else:
        sizes = apportion(max(total, 0), [Fraction(1, len(strata))] * len(strata))
    quotas = {
        stratum: dict(zip(PARTS, apportion(size, shares), strict=True))
        for stratum, size in zip(strata, sizes, strict=True)
    }
    if min(sizes) < least or any(
        quotas[stratum][part] > stock[stratum][part] for stratum in strata for part in PARTS
    ):
        possible = range(least * len(strata), most * len(strata) + 1)
        raise UsageError(_infeasible(stock, quotas, unit, total, possible))
    return quotas


def _least(shares: tuple[Fraction, Fraction]) -> int:
    """The smallest size of a group in which every part that has a share has a member."""
    size = math.ceil(1 / (2 * min(share for share in shares if share)))
    whole = all(
        part or not share for part, share in zip(apportion(size, shares), shares, strict=True)
    )
    return size if whole else size + 1


def _most(stock: dict[str, int], shares: tuple[Fraction, Fraction]) -> int:
    """The largest size of a group that its stock can fill. Both parts grow with the size."""
    low, high = 0, sum(stock.values())
    while low < high:
        size = (low + high + 1) // 2
        fits = all(
            count <= stock[part] for part, count in zip(PARTS, apportion(size, shares), strict=True)
        )
        low, high = (size, high) if fits else (low, size - 1)
    return low


def _infeasible(
    stock: dict[str, dict[str, int]],
    quotas: dict[str, dict[str, int]],
    unit: str,
    total: int | None,
    possible: range,
) -> str:
    asked = f"a mix of {total:,} {unit}" if total is not None else "a mix"
    lines = [
        f"  {stratum}: "
        + ", ".join(
            f"{part} {quotas[stratum][part]:,} of {stock[stratum][part]:,}" for part in PARTS
        )
        for stratum in stock
    ]
    remedy = (
        f"With this real fraction {possible.start:,} to {possible.stop - 1:,} {unit} are possible: "
        "change --total (without it, as many as possible are taken) or --real-fraction"
        if possible
        else "A group that one part lacks makes any mix impossible: add such faces, group by "
        "another attribute, or use balance none"
    )
    return (
        f"{asked} over {len(stock)} groups cannot be had; {unit} needed of those available:\n"
        + "\n".join(lines)
        + f"\n{remedy}"
    )


def _prefixed(manifest: Manifest, part: str) -> Manifest:
    return manifest.with_column(
        "identity", [f"{part}:{name}" for name in manifest.column("identity")]
    )


def _refuse_shared_images(mixed: Manifest) -> None:
    rank, index = _store_rank(mixed), mixed.column("index")
    places = rank * (index.max() + 1) + index
    _, first = np.unique(places, return_index=True)
    if len(first) < len(mixed):
        repeated = np.ones(len(mixed), dtype=bool)
        repeated[first] = False
        row = int(np.argmax(repeated))
        store = mixed.stores[mixed.column("store")[row]].path
        raise UsageError(
            f"image {index[row]:,} of {store} is in the mix twice ({repeated.sum():,} such rows): "
            "the two manifests overlap, or one lists it twice"
        )


def _report_groups(
    pools: dict[str, _Pool], taken: dict[str, np.ndarray], truncated: dict[str, set[int]]
) -> dict[str, GroupReport]:
    names = sorted({group for part in PARTS for group in np.unique(pools[part].row_groups)})
    reports = {}
    for group in names:
        parts = {
            part: _report_part(pools[part], group, taken[part], truncated[part]) for part in PARTS
        }
        real, synthetic = parts["real"], parts["synthetic"]
        reports[group] = GroupReport(
            real=real,
            synthetic=synthetic,
            real_fraction_identities=_share(real.identities, synthetic.identities),
            real_fraction_images=_share(real.images, synthetic.images),
        )
    return reports


def _report_part(pool: _Pool, group: str, taken: np.ndarray, cut: set[int]) -> PartReport:
    labels, of_group = pool.labels, pool.row_groups == group
    rows = taken[of_group[taken]]
    return PartReport(
        available_identities=len(np.unique(labels[of_group])),
        available_images=int(of_group.sum()),
        identities=len(np.unique(labels[rows])),
        images=len(rows),
        truncated_identities=sum(bool(pool.group_of[identity] == group) for identity in cut),
    )


def _share(real: int, synthetic: int) -> float:
    return real / (real + synthetic) if real + synthetic else 0.0
