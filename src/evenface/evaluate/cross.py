"""The demographic cross-table: how often people of one group match those of another.

Within one group impostors look more alike than across groups, so a false match rate over all
impostors hides the pairs at which a system fails. Here every pair of groups has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def cross_tables(
    cells: dict[CrossPair, CrossScores],
    groups: Sequence[str],
    resamples: Iterable[Sequence[NDArray[Any]]],
    operating_points: Sequence[tuple[float, float]],
    *,
    level: float,
    note: str | None = None,
) -> list[CrossTable]:
    """FMR of every pair of groups at each threshold, with intervals at that threshold.

    Args:
        cells: pairs of each two groups; two groups without any have no cell.
        groups: their names.
        resamples: counts (R, units) of the units of each group, some replicates at a time; none
            for no intervals.
        operating_points: (target FMR, threshold); scores at or above a threshold match.
        level: coverage.
        note: what a reader must know.
    """
    thresholds = [threshold for _, threshold in operating_points]
    measured = [_Cell(pair, scores, thresholds) for pair, scores in cells.items()]
    measured = [cell for cell in measured if cell.pairs]
    for counts in resamples:
        for cell in measured:
            cell.resample((counts[cell.pair.first], counts[cell.pair.second]))
    tables = []
    for t, (target, threshold) in enumerate(operating_points):
        table: dict[str, dict[str, CrossCell]] = {name: {} for name in groups}
        for cell in measured:
            first, second = groups[cell.pair.first], groups[cell.pair.second]
            table[first][second] = table[second][first] = cell.at(t, level)
        tables.append(CrossTable(target_fmr=target, threshold=threshold, cells=table, note=note))
    return tables


class _Cell:
    """Two groups: pairs, and the FMR at each threshold in every replicate seen so far."""

    def __init__(self, pair: CrossPair, scores: CrossScores, thresholds: Sequence[float]) -> None:
        self.pair = pair
        self._scores = scores
        self._within = pair.first == pair.second
        if scores.images is None:
            self.pairs = len(scores.scores)
        else:
            ones = [np.ones((1, len(of)), dtype=np.int64) for of in scores.images]
            self.pairs = round(float(scores.total((ones[0], ones[1]), self._within)[0]))
        self._matches = [int(np.count_nonzero(scores.scores >= t)) for t in thresholds]
        self._hits = scores.highest(max(self._matches, default=0))
        self._samples: list[NDArray[np.float64]] = []

    def resample(self, counts: tuple[NDArray[Any], NDArray[Any]]) -> None:
        """Measure under counts of the units of either group, (R, units) each."""
        weights = self._hits.weights(counts, self._within)
        total = self._scores.total(counts, self._within)
        matched = [weights[:, :m].sum(axis=1, dtype=np.float64) for m in self._matches]
        with np.errstate(invalid="ignore", divide="ignore"):
            self._samples.append(np.stack(matched, axis=1) / total[:, None])

    def at(self, t: int, level: float) -> CrossCell:
        """The cell at a threshold, by index."""
        matches = self._matches[t]
        low = high = note = None
        if self._samples:
            samples = np.concatenate(self._samples)[:, t]
            low, high = percentile_interval(samples, level, floor=0.0, ceiling=1.0)
            if not matches:
                people = self._scores.people()
                high = max(high, zero_error_limit(people, (1 - level) / 2))
                note = (
                    f"none seen: the upper bound is that of no failure among {people:,} "
                    f"{self._scores.unit}"
                )
        return CrossCell(
            value=matches / self.pairs,
            low=low,
            high=high,
            note=note,
            pairs=self.pairs,
            matches=matches,
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
