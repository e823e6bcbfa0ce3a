"""What a mix took, by group and origin: asked, available, taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel

from evenface.data.cells import TooSmall, rate
from evenface.data.mix.plan import Quotas
from evenface.data.mix.pools import ROLES, Pool, Role, Unit
from evenface.data.mix.recipe import Balance, MixRules
from evenface.data.mix.selection import Select


class PartReport(BaseModel):
    """What one part of the mix could give and gave, for one group."""

    asked: int | None
    """Quota, in the unit of the mix; None where groups have none (balance none)."""
    available_identities: int
    available_images: int
    """Before any cap on the images of an identity."""
    identities: int
    images: int
    truncated_identities: int
    """Identities of which only some images were taken: by a cap, or the last one of an image
    quota."""


class GroupReport(BaseModel):
    """One group of the mix."""

    real: PartReport
    synthetic: PartReport
    sources: dict[str, PartReport]
    """The same, source by source."""
    real_fraction_identities: float | TooSmall
    real_fraction_images: float | TooSmall


class SourceReport(BaseModel):
    """One source of the mix."""

    role: Role
    weight: float | None
    asked: int
    """Quota over all groups, in the unit of the mix."""
    identities: int
    images: int
    excluded: dict[str, list[str]]
    """Reason → identities left out as being in a test set."""
    labels: dict[str, dict[str, int]]
    """Attribute that defines the groups → "declared" or "predicted" → rows taken."""
    fingerprint: str
    """Of its images, identities and attributes (after exclusion), whatever their order."""


class MixReport(BaseModel):
    """The recipe as it was carried out."""

    real_fraction: float
    real_fraction_of: Unit
    balance: Balance
    unit: Unit
    """What quotas and ``total`` count."""
    group_by: list[str]
    seed: int
    select: Select
    max_images: int | None
    total: int
    """The sum of all quotas."""
    total_asked: int | None
    total_of: Unit
    """What ``total_asked`` counts."""
    nearest: dict[str, float | int]
    """What was changed of the rules, because the mix asked for cannot be had."""
    identities: int
    images: int
    min_cell: int
    groups: dict[str, GroupReport]
    sources: dict[str, SourceReport]
    rows_without_group: dict[str, int]
    """Rows of each source that have no value of the attribute."""
    prefixed: bool
    """Whether identities were renamed ``<source>:…`` because names collided."""


def report_mix(
    rules: MixRules,
    asked: MixRules,
    pools: Sequence[Pool],
    quotas: Quotas,
    takes: Sequence[np.ndarray],
    rows: Sequence[np.ndarray],
    excluded: dict[str, dict[str, list[str]]],
    *,
    prefixed: bool,
) -> MixReport:
    """Describe a mix.

    Args:
        rules, asked: as carried out, and as asked for (they differ where the nearest mix is taken).
        pools: what was drawn from.
        quotas: stratum → source → how many.
        takes: for each pool, (I,) images taken of each identity.
        rows: for each pool, the rows taken.
        excluded: source → reason → identities left out beforehand.
        prefixed: whether identities were renamed.
    """
    pooled = rules.balance == "none" and bool(pools[0].group_by)
    per_pool = [
        _by_group(pool, quotas, take, pooled=pooled)
        for pool, take in zip(pools, takes, strict=True)
    ]
    names = sorted({name for groups in per_pool for name in groups})
    changes = {
        name: value
        for name in ("total", "real_fraction")
        if (value := getattr(rules, name)) != getattr(asked, name)
    }
    return MixReport(
        real_fraction=rules.real_fraction,
        real_fraction_of=rules.real_fraction_of or rules.unit,
        balance=rules.balance,
        unit=rules.unit,
        group_by=list(pools[0].group_by),
        seed=rules.seed,
        select=rules.select,
        max_images=rules.max_images,
        total=sum(sum(quota.values()) for quota in quotas.values()),
        total_asked=asked.total,
        total_of=rules.total_of or rules.unit,
        nearest=changes,
        identities=sum(int((take > 0).sum()) for take in takes),
        images=sum(int(take.sum()) for take in takes),
        min_cell=rules.min_cell,
        groups={name: _group(name, pools, per_pool, rules.min_cell) for name in names},
        sources={
            pool.name: _source(pool, quotas, take, chosen, excluded.get(pool.name, {}))
            for pool, take, chosen in zip(pools, takes, rows, strict=True)
        },
        rows_without_group={pool.name: pool.rows_without_group for pool in pools},
        prefixed=prefixed,
    )


def _group(
    name: str, pools: Sequence[Pool], per_pool: Sequence[dict[str, PartReport]], min_cell: int
) -> GroupReport:
    nothing = PartReport(
        asked=0,
        available_identities=0,
        available_images=0,
        identities=0,
        images=0,
        truncated_identities=0,
    )
    sources = {
        pool.name: groups.get(name, nothing) for pool, groups in zip(pools, per_pool, strict=True)
    }
    real, synthetic = (
        _sum([sources[pool.name] for pool in pools if pool.source.role == role], nothing)
        for role in ROLES
    )
    people = real.identities + synthetic.identities
    return GroupReport(
        real=real,
        synthetic=synthetic,
        sources=sources,
        real_fraction_identities=rate(real.identities, people, size=people, at_least=min_cell),
        real_fraction_images=rate(
            real.images, real.images + synthetic.images, size=people, at_least=min_cell
        ),
    )


def _sum(parts: Sequence[PartReport], nothing: PartReport) -> PartReport:
    if not parts:
        return nothing
    counts = {
        name: sum(getattr(part, name) for part in parts)
        for name in PartReport.model_fields
        if name != "asked"
    }
    asked = [part.asked for part in parts]
    return PartReport(asked=None if None in asked else sum(a for a in asked if a), **counts)


def _by_group(
    pool: Pool, quotas: Quotas, take: np.ndarray, *, pooled: bool
) -> dict[str, PartReport]:
    """Group → what this source had and gave; rows without a group are of group "unknown"."""
    count = len(pool.groups)
    rows = np.bincount(pool.row_groups, minlength=count)
    # Distinct pairs of group and identity; an identity may lie in a group without being eligible.
    present = np.zeros((count, len(pool.identities)), dtype=bool)
    present[pool.row_groups, pool.labels] = True
    people = present.sum(axis=1)
    chosen = np.flatnonzero(take)
    group_of, images = pool.group_of[chosen], take[chosen]
    taken = np.bincount(group_of, minlength=count)
    taken_images = np.bincount(group_of, images, minlength=count)
    cut = np.bincount(group_of[images < pool.held[chosen]], minlength=count)
    return {
        name: PartReport(
            asked=None if pooled else quotas.get(name, {}).get(pool.name, 0),
            available_identities=int(people[code]),
            available_images=int(rows[code]),
            identities=int(taken[code]),
            images=int(taken_images[code]),
            truncated_identities=int(cut[code]),
        )
        for code, name in enumerate(pool.groups)
    }


def _source(
    pool: Pool,
    quotas: Quotas,
    take: np.ndarray,
    rows: np.ndarray,
    excluded: dict[str, list[str]],
) -> SourceReport:
    manifest = pool.source.manifest
    labels = {}
    for name in pool.group_by:
        values, codes = manifest.codes(f"{name}_source")
        counts = np.bincount(codes[rows], minlength=len(values))
        labels[name] = {
            value: int(count)
            for value, count in sorted(zip(values, counts, strict=True))
            if value and count
        }
    return SourceReport(
        role=pool.source.role,
        weight=pool.source.weight,
        asked=sum(quota[pool.name] for quota in quotas.values()),
        identities=int((take > 0).sum()),
        images=int(take.sum()),
        excluded=excluded,
        labels=labels,
        fingerprint=pool.content_fingerprint(),
    )
