"""Who is taken first within a group: at random, by the confidence of the label, by diversity."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from evenface.data.embedded import identity_means
from evenface.data.mix.pools import Order, Pool
from evenface.errors import UsageError

Select = Literal["random", "confidence", "diversity"]


def order_by(select: Select) -> Order:
    """The order of a rule by its name. UsageError for another name."""
    if select not in get_args(Select):
        raise UsageError(f"select is one of {', '.join(get_args(Select))}; got {select!r}")
    return {"random": at_random, "confidence": by_confidence, "diversity": by_diversity}[select]


def at_random(pool: Pool, identities: np.ndarray, limit: int) -> np.ndarray:
    """By a hash of (seed, source, name)."""
    return _shuffled(pool, identities)[:limit]


def by_confidence(pool: Pool, identities: np.ndarray, limit: int) -> np.ndarray:
    """The most confident label first; equals by the hash.

    A group that is ahead of its quota so loses its least certain identities, as the
    continuous-label protocols have it. The confidence of an identity is the mean over its rows of
    the product over the attributes; a declared value counts as certain.

    Raises:
        UsageError: no attribute defines the groups, or a label's confidence is unknown.
    """
    if not pool.group_by:
        raise UsageError("a choice by confidence needs groups: name an attribute to group by")
    manifest = pool.source.manifest
    sure = np.prod([manifest.confidence(name) for name in pool.group_by], axis=0)
    eligible = pool.rows
    if np.isnan(sure[eligible]).any():
        row = eligible[np.argmax(np.isnan(sure[eligible]))]
        raise UsageError(
            f"source '{pool.name}': nothing is known of the confidence of the label of identity "
            f"{pool.identities[pool.labels[row]]!r}. Label it with 'evenface data label', or "
            "choose another rule than confidence"
        )
    sums = np.bincount(pool.labels[eligible], sure[eligible], minlength=len(pool.identities))
    shuffled = _shuffled(pool, identities)
    mean = sums[shuffled] / pool.held[shuffled]
    return shuffled[np.argsort(-mean, kind="stable")][:limit]


def by_diversity(pool: Pool, identities: np.ndarray, limit: int) -> np.ndarray:
    """Greedy k-centre in the teacher's space: each next identity is the one farthest from all
    that have been taken (Gonzalez 1985, a 2-approximation); see :func:`k_centre`.

    Raises:
        UsageError: the source has no embeddings.
    """
    embeddings = pool.source.embeddings
    if embeddings is None:
        raise UsageError(
            f"source '{pool.name}' has no teacher embeddings, which a choice by diversity needs. "
            "Make them with 'evenface teacher embed' and name the cache"
        )
    shuffled = _shuffled(pool, identities)
    means = identity_means(embeddings, pool.rows, pool.first, shuffled)
    return shuffled[k_centre(means, limit)]


def k_centre(points: np.ndarray, k: int) -> np.ndarray:
    """Greedy k-centre by cosine: indices (min(k, n),) of ``points``, farthest first.

    The first is the point nearest to the mean direction of all. Ties go to the lower index. A
    smaller ``k`` gives the beginning of a larger one's answer. Time n·k·D.

    Args:
        points: (n, D) of unit length.
        k: how many.
    """
    count = min(k, len(points))
    chosen = np.empty(count, dtype=np.int64)
    if not count:
        return chosen
    nearest = np.full(len(points), -np.inf, dtype=points.dtype)
    following = int(np.argmax(points @ points.mean(axis=0)))
    for place in range(count):
        chosen[place] = following
        np.maximum(nearest, points @ points[following], out=nearest)
        nearest[following] = np.inf
        following = int(np.argmin(nearest))
    return chosen


def _shuffled(pool: Pool, identities: np.ndarray) -> np.ndarray:
    seeds = np.array(pool.name_seeds(identities), dtype=np.int64)
    return identities[np.lexsort((identities, seeds))]
