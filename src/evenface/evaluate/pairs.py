"""Drawing genuine and impostor pairs from labelled rows."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Impostors = Literal["within", "across"]
"""Whether impostors of a group are both of it, or one is of another group."""

# Up to so many pairs are enumerated and drawn from; beyond, pairs are drawn by rejection.
_ENUMERABLE = 4_000_000


def count_genuine(identity: Rows) -> int:
    """Number of genuine pairs among rows of these identities (n,)."""
    sizes = np.unique(identity, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


def genuine_pairs(
    rows: Rows, identity: Rows, limit: int | None, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """All pairs of rows of one identity, or ``limit`` of them spread evenly over identities.

    When there are more than ``limit``, each identity gives its first random pair, then its second,
    …, so that identities with many images do not crowd out the others.

    Args:
        rows: (n,) row numbers; ``identity``: (n,) the identity of each.
        limit: most pairs to take (None: all).
        rng: decides which.

    Returns:
        two (P,) arrays of row numbers, sorted by pair.
    """
    order = np.argsort(identity, kind="stable")
    sizes = np.unique(identity[order], return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    first, second, owner = [], [], []
    for size in np.unique(sizes[sizes > 1]):
        upper, lower = np.triu_indices(int(size), k=1)
        of_size = np.flatnonzero(sizes == size)
        first.append((starts[of_size, None] + upper).ravel())
        second.append((starts[of_size, None] + lower).ravel())
        owner.append(np.repeat(of_size, len(upper)))
    if not first:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    a, b = rows[order[np.concatenate(first)]], rows[order[np.concatenate(second)]]
    if limit is not None and limit < len(a):
        chosen = _spread(np.concatenate(owner), limit, rng)
        a, b = a[chosen], b[chosen]
    return _sorted(a, b)


def impostor_pairs(
    rows: Rows, identity: Rows, limit: int | None, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """All pairs of rows of different identities, or ``limit`` of them, each equally likely.

    Arguments and result as :func:`genuine_pairs`.
    """
    n = len(rows)
    every = n * (n - 1) // 2
    available = every - count_genuine(identity)
    wanted = available if limit is None else min(limit, available)
    if every <= _ENUMERABLE or wanted > available // 4:
        i, j = np.triu_indices(n, k=1)
        different = identity[i] != identity[j]
        i, j = i[different], j[different]
        if wanted < available:
            chosen = rng.choice(available, wanted, replace=False)
            i, j = i[chosen], j[chosen]
    else:
        i, j = _reject_until(identity, wanted, rng)
    return _sorted(rows[i], rows[j])


def impostor_pairs_across(
    rows: Rows,
    others: Rows,
    identity: Rows,
    limit: int | None,
    rng: np.random.Generator,
) -> tuple[Rows, Rows]:
    """All pairs of one of ``rows`` with one of ``others``, or ``limit`` of them, equally likely.

    Args:
        rows: (n,) row numbers; ``others``: (m,) further ones.
        identity: (N,) the identity of every row; pairs of one identity are left out.
        limit: most pairs to take (None: all).
        rng: decides which.

    Returns:
        two (P,) arrays: of ``rows``, and of ``others``; in the order of both.
    """
    total = len(rows) * len(others)
    if limit is None or total <= max(limit, _ENUMERABLE):
        keys = np.arange(total)
    else:
        # Enough to be left with the limit though a few be of one identity, or drawn twice.
        keys = np.unique(rng.integers(0, total, 2 * limit + 100))
    a, b = rows[keys // len(others)], others[keys % len(others)]
    different = np.flatnonzero(identity[a] != identity[b])
    if limit is not None and limit < len(different):
        different = np.sort(rng.choice(different, limit, replace=False))
    return a[different], b[different]


def _reject_until(identity: Rows, wanted: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    n = len(identity)
    keys = np.empty(0, dtype=np.int64)
    while len(keys) < wanted:
        i, j = rng.integers(0, n, (2, 2 * wanted))
        low, high = np.minimum(i, j), np.maximum(i, j)
        drawn = (low * n + high)[identity[low] != identity[high]]
        keys = np.concatenate([keys, drawn])
        # Keep the first of each, in order of drawing: later truncation stays unbiased.
        keys = keys[np.sort(np.unique(keys, return_index=True)[1])]
    keys = keys[:wanted]
    return keys // n, keys % n


def _spread(owner: Rows, limit: int, rng: np.random.Generator) -> Rows:
    shuffled = rng.permutation(len(owner))
    by_owner = shuffled[np.argsort(owner[shuffled], kind="stable")]
    sizes = np.unique(owner, return_counts=True)[1]
    turn = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Within a turn the order is random, so that the last, partial turn favours nobody.
    return by_owner[np.lexsort((rng.random(len(owner)), turn))[:limit]]


def _sorted(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((high, low))
    return low[order], high[order]
