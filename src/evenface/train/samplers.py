"""Which rows an epoch holds, and in which order: pure functions of (seed, epoch).

An epoch has as many rows as the training set whatever the sampler, so that trainings differ in
what they see and not in how long they last. A balanced epoch repeats rows of the scarce and leaves
out some of the plentiful, others in every epoch. Experimental: balance of what is seen is not yet
balance of what is learned.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenface.registry import Registry
from evenface.seeds import generator

Order = Callable[[int], np.ndarray]
"""Epoch → rows, int64 (N,)."""

SAMPLERS: Registry[Callable[[np.ndarray, np.ndarray, int], Order]] = Registry("sampler")
"""Name → function of labels (N,), groups (N,) as codes, and a seed."""


def create_sampler(name: str, *, labels: np.ndarray, groups: np.ndarray, seed: int) -> Order:
    """The order of rows of every epoch.

    Args:
        name: one of :func:`list_samplers`.
        labels: int (N,): identities.
        groups: int (N,): groups as codes.
        seed: of the training.

    Raises:
        ValueError: unknown name; the known are listed.
    """
    return SAMPLERS[name](labels, groups, seed)


def list_samplers() -> list[str]:
    """Names for :func:`create_sampler`, sorted."""
    return SAMPLERS.names()


@SAMPLERS.register("uniform")
def uniform(labels: np.ndarray, groups: np.ndarray, seed: int) -> Order:
    """Each row once, shuffled."""

    def order(epoch: int) -> np.ndarray:
        return generator(seed, "order", epoch).permutation(len(labels))

    return order


@SAMPLERS.register("identities")
def identities(labels: np.ndarray, groups: np.ndarray, seed: int) -> Order:
    """Each identity equally often (to within one row), its rows in turn, shuffled."""
    _, strata = np.unique(labels, return_inverse=True)

    def order(epoch: int) -> np.ndarray:
        random = generator(seed, "identities", epoch)
        quotas = _even(len(labels), strata.max() + 1, random)
        return random.permutation(_drawn(strata, quotas, random))

    return order


@SAMPLERS.register("groups")
def groups(labels: np.ndarray, groups: np.ndarray, seed: int) -> Order:
    """Each group equally often (to within one row), its rows in turn.

    Groups are spread over the epoch, so that each batch too holds nearly as many rows of every
    one.
    """
    _, strata = np.unique(groups, return_inverse=True)

    def order(epoch: int) -> np.ndarray:
        random = generator(seed, "groups", epoch)
        quotas = _even(len(groups), strata.max() + 1, random)
        return _spread(_drawn(strata, quotas, random), strata, random)

    return order


@SAMPLERS.register("groups_identities")
def groups_identities(labels: np.ndarray, groups: np.ndarray, seed: int) -> Order:
    """Each group equally often, and within it each identity; groups are spread as by "groups"."""
    _, outer = np.unique(groups, return_inverse=True)
    _, inner = np.unique(labels, return_inverse=True)
    pairs, strata = np.unique(outer * (inner.max() + 1) + inner, return_inverse=True)
    group_of_pair = pairs // (inner.max() + 1)

    def order(epoch: int) -> np.ndarray:
        random = generator(seed, "groups_identities", epoch)
        quotas = np.empty(len(pairs), dtype=np.int64)
        for group, quota in enumerate(_even(len(outer), outer.max() + 1, random)):
            own = np.flatnonzero(group_of_pair == group)
            quotas[own] = _even(quota, len(own), random)
        return _spread(_drawn(strata, quotas, random), outer, random)

    return order


def _even(total: int, parts: int, random: np.random.Generator) -> np.ndarray:
    """``total`` in ``parts`` that differ by at most one, the larger ones at random."""
    quotas = np.full(parts, total // parts, dtype=np.int64)
    quotas[random.permutation(parts)[: total % parts]] += 1
    return quotas


def _drawn(strata: np.ndarray, quotas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rows by stratum as often as its quota says, all equally often to within one."""
    sizes = np.bincount(strata, minlength=len(quotas))
    times = (quotas // sizes)[strata]
    shuffled = random.permutation(len(strata))
    shuffled = shuffled[np.argsort(strata[shuffled], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(strata)) - starts[strata[shuffled]]
    times[shuffled[place < (quotas % sizes)[strata[shuffled]]]] += 1
    return np.repeat(np.arange(len(strata)), times)


def _spread(rows: np.ndarray, strata: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The rows in random order, but those of each stratum at even distances."""
    rows = random.permutation(rows)
    rows = rows[np.argsort(strata[rows], kind="stable")]
    sizes = np.bincount(strata[rows], minlength=strata.max() + 1)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(rows)) - starts[strata[rows]]
    moment = (place + random.random(len(rows))) / sizes[strata[rows]]
    return rows[np.argsort(moment, kind="stable")]
