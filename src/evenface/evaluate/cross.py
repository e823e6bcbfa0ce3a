"""The demographic cross-table: how often people of one group match those of another.

Within one group impostors look more alike than across groups, so a false match rate over all
impostors hides the pairs at which a system fails. Here every pair of groups has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.bootstrap import pair_weights, percentile_interval, zero_error_limit
from evenface.evaluate.results import CrossCell, CrossTable
from evenface.seeds import generator

KEYS = ("1e-2", "1e-3", "1e-4")
"""Operating points that have a cross-table."""
IMAGES_A_GROUP = 600
"""Images of a group whose pairs are all compared, unless all images are asked for."""

_BLOCK = 2048
# Weights held at a time.
_CHUNK = 4_000_000


class CrossPair(NamedTuple):
    """Two groups, by index, the first not above the second."""

    first: int
    second: int


@dataclass(frozen=True, eq=False)
class CrossScores:
    """Impostor pairs of two groups, from the highest score down; arrays are (H,)."""

    scores: NDArray[np.floating]
    """Of all pairs, or of those that score at least the lowest threshold in question."""
    first: NDArray[np.int64]
    """Unit of the first group."""
    second: NDArray[np.int64] | None
    """Unit of the second group; None where a unit of the first group is the pair itself."""
    images: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    """Images of each unit of either group, where every pair of images was compared; None where
    ``scores`` are all pairs."""

    @property
    def unit(self) -> str:
        """What is resampled."""
        return "pairs" if self.second is None else "identities"

    def people(self) -> int:
        """Number of units compared, of the smaller group: the trials of a rate of zero."""
        if self.images is not None:
            return int(min(np.count_nonzero(of) for of in self.images))
        if self.second is None:
            return len(self.first)
        return min(len(np.unique(end)) for end in (self.first, self.second))

    def highest(self, count: int) -> CrossScores:
        """So many pairs of the highest scores."""
        second = None if self.second is None else self.second[:count]
        return CrossScores(self.scores[:count], self.first[:count], second, self.images)

    def total(self, counts: tuple[NDArray[Any], NDArray[Any]], within: bool) -> NDArray[np.float64]:
        """(R,) weight of all pairs under counts of the units of either group, (R, units) each."""
        if self.images is None:
            return self.weights(counts, within).sum(axis=1, dtype=np.float64)
        (a, b), (n, m) = counts, self.images
        of_first = a.astype(np.float64) @ n
        if not within:
            return of_first * (b.astype(np.float64) @ m)
        return (of_first**2 - a.astype(np.float64) ** 2 @ n**2) / 2

    def weights(self, counts: tuple[NDArray[Any], NDArray[Any]], within: bool) -> NDArray[Any]:
        """(R, H) weights of the pairs."""
        if self.second is None:
            return counts[0][:, self.first]
        if within:
            return pair_weights(counts[0], self.first, self.second)
        return counts[0][:, self.first] * counts[1][:, self.second]


def compare_across(
    unit: NDArray[np.floating],
    rows: Sequence[NDArray[np.int64]],
    units: Sequence[NDArray[np.int64]],
    lowest: float,
    *,
    images: int | None = IMAGES_A_GROUP,
    seed: int = 0,
) -> dict[CrossPair, CrossScores]:
    """Compare all images of different people, within and across groups.

    Args:
        unit: (N, D) embeddings of unit length.
        rows: the rows of each group.
        units: the identity of each of these rows, numbered within its group from 0.
        lowest: only scores at or above it are kept.
        images: most images of a group, spread evenly over its people; None for all.
        seed: decides which.
    """
    kept = [
        _spread(of_units, images, generator(seed, "cross-table", g))
        for g, of_units in enumerate(units)
    ]
    embedded = [
        unit[of_rows[which]].astype(np.float32) for of_rows, which in zip(rows, kept, strict=True)
    ]
    people = [of_units[which] for of_units, which in zip(units, kept, strict=True)]
    sizes = [
        np.bincount(who, minlength=int(of_units.max(initial=-1)) + 1)
        for who, of_units in zip(people, units, strict=True)
    ]
    found = {}
    for g in range(len(rows)):
        for h in range(g, len(rows)):
            scores, first, second = [], [], []
            for start in range(0, len(embedded[g]), _BLOCK):
                block = embedded[g][start : start + _BLOCK] @ embedded[h].T
                hit = block >= lowest
                if g == h:
                    # Each pair of images once, and none of one person.
                    hit &= np.arange(start, start + len(block))[:, None] < np.arange(len(people[h]))
                    hit &= people[g][start : start + _BLOCK, None] != people[h]
                i, j = np.nonzero(hit)
                scores.append(block[i, j])
                first.append(people[g][start + i])
                second.append(people[h][j])
            score = np.concatenate(scores)
            order = np.argsort(-score, kind="stable")
            found[CrossPair(g, h)] = CrossScores(
                score[order],
                np.concatenate(first)[order],
                np.concatenate(second)[order],
                (sizes[g], sizes[h]),
            )
    return found


def cross_table(
    cells: dict[CrossPair, CrossScores],
    groups: Sequence[str],
    counts: Sequence[NDArray[Any]],
    *,
    target_fmr: float,
    threshold: float,
    level: float,
    note: str | None = None,
) -> CrossTable:
    """FMR of every pair of groups at one threshold, with intervals at that threshold.

    Args:
        cells: pairs of each two groups; two groups without any have no cell.
        groups: their names.
        counts: (R, units) resamples of each group; R = 0 for no intervals.
        target_fmr: what the threshold was set for.
        threshold: scores at or above it match.
        level: coverage.
        note: what a reader must know.
    """
    table: dict[str, dict[str, CrossCell]] = {name: {} for name in groups}
    for pair, scores in cells.items():
        cell = _cell(pair, scores, counts, threshold, level)
        if cell is not None:
            table[groups[pair.first]][groups[pair.second]] = cell
            table[groups[pair.second]][groups[pair.first]] = cell
    return CrossTable(target_fmr=target_fmr, threshold=threshold, cells=table, note=note)


def _cell(
    pair: CrossPair,
    scores: CrossScores,
    counts: Sequence[NDArray[Any]],
    threshold: float,
    level: float,
) -> CrossCell | None:
    within = pair.first == pair.second
    of_pair = counts[pair.first], counts[pair.second]
    ones = tuple(np.ones((1, of.shape[1]), dtype=np.int64) for of in of_pair)
    pairs = int(scores.total((ones[0], ones[1]), within)[0])
    if not pairs:
        return None
    matches = int(np.count_nonzero(scores.scores >= threshold))
    hits = scores.highest(matches)
    samples = []
    size = max(1, _CHUNK // max(1, len(scores.scores)))
    for start in range(0, len(of_pair[0]), size):
        chunk = of_pair[0][start : start + size], of_pair[1][start : start + size]
        matched = hits.weights(chunk, within).sum(axis=1, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            samples.append(matched / scores.total(chunk, within))
    low = high = None
    if samples:
        low, high = percentile_interval(np.concatenate(samples), level, floor=0.0, ceiling=1.0)
    note = None
    if high is not None and not matches:
        people = scores.people()
        high = max(high, zero_error_limit(people, (1 - level) / 2))
        note = f"none seen: the upper bound is that of no failure among {people:,} {scores.unit}"
    return CrossCell(
        value=matches / pairs, low=low, high=high, note=note, pairs=pairs, matches=matches
    )


def _spread(
    units: NDArray[np.int64], limit: int | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Positions of at most ``limit`` images: each person's first random one, then the second, …"""
    if limit is None or len(units) <= limit:
        return np.arange(len(units))
    shuffled = rng.permutation(len(units))
    by_person = shuffled[np.argsort(units[shuffled], kind="stable")]
    sizes = np.unique(units, return_counts=True)[1]
    turn = np.arange(len(units)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(by_person[np.lexsort((rng.random(len(units)), turn))[:limit]])
