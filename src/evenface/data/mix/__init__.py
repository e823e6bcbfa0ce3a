"""Ethnicity-aware mixes of real and synthetic sets.

The study mixes about 70 % real with 30 % synthetic faces so that every ethnicity has the same
weight (arXiv 2408.17399); its exact recipe is unpublished. Ours:

1. **Groups** are the values of one attribute, or of several crossed. Rows without a value take no
   part. An identity belongs to one group.
2. **Quota of a group**: ``total`` is divided equally among the groups (largest remainder; a rest
   goes to the first groups by name). Quotas count identities for ``balance="identities"`` and
   images for ``balance="images"``. Without ``total`` every group gets the same number, the largest
   that the sources can supply in every group.
3. **Quota of a role**: of a group's quota T, ``real_fraction``·T, rounded to the nearest whole
   number (a half goes to real), comes from the real sources, the rest from the synthetic ones. A
   group so small that a role with a share would get nothing is refused. Several sources of a role
   divide its quota by their weights, or by what each has in the group.
4. **Choice**: the identities of a group and source are ordered by a hash of (seed, source,
   identity), by the confidence of their label, or by diversity. By identities, the first ones are
   taken with all their images. By images, whole identities are taken in that order until the quota
   is met; of the last one only as many images as are missing, chosen by a permutation seeded by
   (seed, source, identity).
5. ``balance="none"`` keeps the groups as the sources give them: the quotas count over all groups
   together, rows without a group included.

``docs/mixing.md`` states the finer rules. The result depends on the seed and on which rows there
are, not on their order or on that of the sources. Its rows are sorted by role, source, group,
identity and image. Rows keep their true ``origin``: "real" and "synthetic" here are the two roles,
and a stand-in may play the real one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.mix.plan import InfeasibleMixError, Planner, Quotas
from evenface.data.mix.pools import ROLES, Pool, Source, store_rank
from evenface.data.mix.recipe import Balance, MixRecipe, MixRules, list_mixes, load_mix
from evenface.data.mix.report import MixReport, report_mix
from evenface.data.mix.selection import order_by
from evenface.errors import UsageError
from evenface.files import write_json
from evenface.lock import written_together

REPORT_NAME = "mix-report.json"

__all__ = [
    "REPORT_NAME",
    "InfeasibleMixError",
    "MixRecipe",
    "MixReport",
    "MixRules",
    "Source",
    "list_mixes",
    "load_mix",
    "mix",
    "mix_sources",
    "write_mix",
]


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
    """Mix two manifests; :func:`mix_sources` offers more.

    >>> import tempfile, numpy as np, evenface
    >>> faces, people = np.zeros((8, 112, 112, 3), np.uint8), np.arange(8) // 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     parts = [
    ...         evenface.make_dataset(f"{folder}/{origin}", faces + shade, people, origin=origin)
    ...         for shade, origin in enumerate(("real", "synthetic"))
    ...     ]
    ...     mixed, report = evenface.mix(*parts, real_fraction=0.5)
    >>> [int((mixed.column("origin") == origin).sum()) for origin in ("real", "synthetic")]
    [8, 8]

    Args:
        real, synthetic: the two parts. They share no image.
        real_fraction: share of each group that comes from ``real``, in [0, 1].
        balance: what is counted, and made equal over the groups.
        group_by: attribute(s) that define the groups; (): a single group; None: the first attribute
            of ``real`` that ``synthetic`` has too, or a single group when neither has any.
        seed: decides who is taken.
        total: identities or images over all groups; None: as many as possible.

    Raises:
        UsageError: a request that cannot be met, with what is available in each group.
    """
    if balance not in get_args(Balance):
        raise UsageError(f"balance is one of {', '.join(get_args(Balance))}; got {balance!r}")
    if not 0.0 <= real_fraction <= 1.0:
        raise UsageError(f"the real fraction lies between 0 and 1, got {real_fraction}")
    if isinstance(group_by, str):
        group_by = (group_by,)
    rules = MixRules(
        real_fraction=real_fraction,
        balance=balance,
        group_by=None if group_by is None else tuple(group_by),
        seed=seed,
        total=total,
        min_cell=0,
    )
    sources = [Source("real", "real", real), Source("synthetic", "synthetic", synthetic)]
    return mix_sources(sources, rules)


def mix_sources(
    sources: Sequence[Source],
    rules: MixRules,
    *,
    excluded: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> tuple[Manifest, MixReport]:
    """Mix any number of sources; the module's text states the rules.

    Args:
        sources: of distinct names, in any order. They share no image.
        rules: what the mix shall be.
        excluded: source → reason → identities that were left out beforehand, for the report.

    Raises:
        InfeasibleMixError: a stratum lacks what it is asked for; the message lists what each has.
        UsageError: another request that makes no sense.
    """
    sources = sorted(sources, key=lambda source: (ROLES.index(source.role), source.name))
    if not sources:
        raise UsageError("nothing to mix: name a real or a synthetic data set")
    if len({source.name for source in sources}) < len(sources):
        raise UsageError(
            f"sources need names of their own, got {', '.join(s.name for s in sources)}"
        )
    names = _group_attributes(sources, rules)
    pools = [
        Pool(
            source,
            names,
            pooled=rules.balance == "none",
            max_images=rules.max_images,
            order=order_by(rules.select),
            seed=rules.seed,
        )
        for source in sources
    ]
    quotas, carried_out = _quotas(rules, pools)
    takes = [
        pool.draw({group: quota[pool.name] for group, quota in quotas.items()}, rules.unit)
        for pool in pools
    ]
    rows = [pool.rows_of(take) for pool, take in zip(pools, takes, strict=True)]
    prefixed = _share_names(pools, takes)
    mixed = Manifest.concat(
        [_chosen(pool, some, prefixed=prefixed) for pool, some in zip(pools, rows, strict=True)]
    )
    _refuse_shared_images(mixed)
    left_out = {
        name: {reason: sorted(identities) for reason, identities in reasons.items()}
        for name, reasons in (excluded or {}).items()
    }
    report = report_mix(carried_out, rules, pools, quotas, takes, rows, left_out, prefixed=prefixed)
    return mixed, report


def write_mix(mixed: Manifest, report: MixReport, out: str | Path) -> None:
    """Write ``manifest.parquet`` and ``mix-report.json`` into the folder ``out``.

    The images stay where they are; the manifest points at them by relative paths. Writing the same
    mix again changes nothing.

    Raises:
        DataError: ``out`` holds something else.
    """
    out = Path(out)
    with written_together(out, report.model_dump(), REPORT_NAME) as folder:
        mixed.write(folder / MANIFEST_NAME)
        write_json(folder / REPORT_NAME, report.model_dump())


def _group_attributes(sources: Sequence[Source], rules: MixRules) -> tuple[str, ...]:
    if rules.group_by is not None:
        return rules.group_by
    first, *others = (source.manifest.attributes for source in sources)
    shared = [name for name in first if all(name in other for other in others)]
    if not shared and (first or any(others)):
        if rules.balance == "none":
            return ()
        have = "; ".join(
            f"{source.name} has: {', '.join(source.manifest.attributes) or 'none'}"
            for source in sources
        )
        whose = "two manifests" if len(sources) == 2 else "manifests"
        raise UsageError(
            f"the {whose} share no attribute to group by. {have}. Import all with the same "
            "--group-attribute, label them with 'evenface data label', or mix them as one group "
            "with --balance none"
        )
    return tuple(shared[:1])


def _quotas(rules: MixRules, pools: Sequence[Pool]) -> tuple[Quotas, MixRules]:
    """The quotas, and the rules that they follow: others where the nearest mix is taken."""
    planner = _planner(rules, pools)
    try:
        return planner.quotas(), rules
    except InfeasibleMixError as error:
        if not (rules.nearest and error.nearest):
            raise
        rules = rules.model_copy(update=error.nearest)
        return _planner(rules, pools).quotas(), rules


def _planner(rules: MixRules, pools: Sequence[Pool]) -> Planner:
    needed = {"real": rules.real_fraction > 0, "synthetic": rules.real_fraction < 1}
    strata = sorted({group for p in pools if needed[p.source.role] for group in p.members})
    if not strata:
        if missing := [role for role in ROLES if needed[role]]:
            present = {pool.source.role for pool in pools}
            if not present & set(missing):
                raise UsageError(
                    f"a real fraction of {rules.real_fraction} needs a {missing[0]} source"
                )
        names = " × ".join(pools[0].group_by) or "any attribute"
        raise UsageError(f"no row has a value of {names}: nothing to mix")
    return Planner(rules, pools, strata)


def _share_names(pools: Sequence[Pool], takes: Sequence[np.ndarray]) -> bool:
    """Whether an identity's name is taken from two sources."""
    seen: set[str] = set()
    for pool, take in zip(pools, takes, strict=True):
        names = {pool.identities[i] for i in np.flatnonzero(take)}
        if seen & names:
            return True
        seen |= names
    return False


def _chosen(pool: Pool, rows: np.ndarray, *, prefixed: bool) -> Manifest:
    chosen = pool.source.manifest.select(rows)
    if not prefixed:
        return chosen
    names = np.array([f"{pool.name}:{name}" for name in pool.identities], dtype=object)
    return chosen.with_column("identity", names[pool.labels[rows]])


def _refuse_shared_images(mixed: Manifest) -> None:
    rank, index = store_rank(mixed), mixed.column("index")
    places = rank * (index.max() + 1) + index
    if (np.diff(np.sort(places)) == 0).any():
        _, first = np.unique(places, return_index=True)
        repeated = np.ones(len(mixed), dtype=bool)
        repeated[first] = False
        row = int(np.argmax(repeated))
        store = mixed.stores[mixed.column("store")[row]].path
        raise UsageError(
            f"image {index[row]:,} of {store} is in the mix twice ({repeated.sum():,} such rows): "
            "the manifests overlap, or one lists it twice"
        )
