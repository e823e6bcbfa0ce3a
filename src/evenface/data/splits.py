"""Splits that share no person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evenface.data.manifest import Manifest
from evenface.data.quotas import apportion, exact
from evenface.errors import UsageError
from evenface.seeds import derive_seed


def split_rows(manifest: Manifest, split: str, where: str | Path) -> np.ndarray:
    """int64: the rows of a split. UsageError names ``where`` and the splits there are."""
    splits, codes = manifest.codes("split")
    if split not in splits:
        found = ", ".join(repr(name) for name in sorted(splits))
        raise UsageError(f"{where}: no rows of split {split!r}; it has {found}")
    return np.flatnonzero(codes == splits.index(split))


def split_by_identity(
    manifest: Manifest,
    fractions: Mapping[str, float],
    *,
    seed: int,
    group_by: str | Sequence[str] | None = None,
) -> Manifest:
    """Fill the ``split`` column so that no identity is in two splits.

    Within each group the identities are put in a seeded order and dealt out in the proportions of
    ``fractions`` (largest remainder). The result does not depend on the order of the rows.

    Args:
        manifest: the rows to split; an existing ``split`` column is overwritten.
        fractions: split name → share of each group's identities; they sum to 1.
        seed: decides who goes where.
        group_by: attributes to stratify by (see :meth:`Manifest.groups`). An identity that occurs
            in several groups counts for the first of them by name.

    Raises:
        ValueError: negative fractions, or fractions that do not sum to 1.
        UsageError: an unknown attribute.
    """
    names = list(fractions)
    shares = [exact(fraction) for fraction in fractions.values()]
    if not names or any(share < 0 for share in shares) or sum(shares) != 1:
        raise ValueError(f"fractions must be at least 0 and sum to 1, got {dict(fractions)}")
    identities, labels = manifest.identities(), manifest.labels()
    members: dict[str, list[int]] = defaultdict(list)
    for label, group in _first_group(manifest, labels, group_by).items():
        members[group].append(label)
    split_of = np.empty(len(identities), dtype=object)
    for group in sorted(members):
        order = sorted(
            members[group], key=lambda label: derive_seed(seed, "split", identities[label])
        )
        start = 0
        for name, count in zip(names, apportion(len(order), shares), strict=True):
            split_of[order[start : start + count]] = name
            start += count
    return manifest.with_column("split", split_of[labels])


def _first_group(
    manifest: Manifest, labels: np.ndarray, group_by: str | Sequence[str] | None
) -> dict[int, str]:
    groups, codes = manifest.group_codes(group_by)
    first = np.full(labels.max(initial=-1) + 1, len(groups))
    np.minimum.at(first, labels, codes)
    return {label: groups[code] for label, code in enumerate(first)}
