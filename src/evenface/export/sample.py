"""Images to calibrate and to compare on: the same number of every group."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from evenface.data.manifest import Manifest
from evenface.data.quotas import apportion
from evenface.seeds import generator


def balanced_rows(
    manifest: Manifest, count: int, *, group_by: str | Sequence[str] | None, seed: int
) -> tuple[np.ndarray, dict[str, int]]:
    """Rows of a manifest, as equally many of each group as there are.

    Args:
        manifest: with at least one row.
        count: rows wanted in all; a group with too few gives all that it has, and the others no
            more for it: quantisation ranges must not follow the largest group.
        group_by: see :meth:`Manifest.groups`.
        seed: decides which rows.

    Returns:
        Sorted rows, and how many of each group.
    """
    groups = manifest.groups(group_by)
    names = sorted(set(groups))
    taken, counts = [], {}
    for name, share in zip(
        names, apportion(count, [Fraction(1, len(names))] * len(names)), strict=True
    ):
        rows = np.flatnonzero(groups == name)
        chosen = generator(seed, "calibration", name).permutation(rows)[:share]
        taken.append(chosen)
        counts[name] = len(chosen)
    return np.sort(np.concatenate(taken)), counts
