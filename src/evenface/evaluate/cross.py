"""The demographic cross-table: how often people of one group match those of another.

Within one group impostors look more alike than across groups, so a false match rate over all
impostors hides the pairs at which a system fails. Here every pair of groups has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.bootstrap import expansion, wilson_interval, zero_error_limit
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

    def trials(self, *, within: bool) -> int:
        """Independent trials: pairs that share no unit."""
        if self.second is None:
            return len(self.first)
        if self.images is not None:
            people = int(min(np.count_nonzero(of) for of in self.images))
        else:
            people = min(len(np.unique(end)) for end in (self.first, self.second))
            if within:
                people = len(np.unique(np.concatenate([self.first, self.second])))
        return people // 2 if within else people

    def variance(self, matches: int, rate: float, *, within: bool) -> float:
        """Dyadic-robust variance of the rate, the first so many pairs matching.

        (ΣS² − ΣT²) / P² and at least ΣT² / P², with S the summed centred matches of a person's
        pairs and T those of two people: see :mod:`evenface.evaluate.bootstrap`.
        """
        total = self.pairs(within=within)
        first = self.first[:matches]
        if self.second is None:
            return rate * (1 - rate) / total
        second = self.second[:matches]
        if within:
            first, second = np.minimum(first, second), np.maximum(first, second)
        width = int(max(end.max(initial=0) for end in (self.first, self.second))) + 1
        keys, hits = np.unique(first * width + second, return_counts=True)
        a, b = keys // width, keys % width
        if self.images is not None:
            n, m = (of.astype(np.float64) for of in self.images)
            of_a, of_b = (n * (n.sum() - n),) * 2 if within else (n * m.sum(), m * n.sum())
            of_hits = n[a] * m[b]
            squares = (n**2).sum() * (m**2).sum()
            if within:
                squares = (squares - (n**4).sum()) / 2
        else:
            low, high = (self.first, self.second)
            if within:
                low, high = np.minimum(low, high), np.maximum(low, high)
            every, compared = np.unique(low * width + high, return_counts=True)
            of_hits = compared[np.searchsorted(every, keys)].astype(np.float64)
            squares = (compared.astype(np.float64) ** 2).sum()
            of_a, of_b = np.bincount(low, minlength=width), np.bincount(high, minlength=width)
            if within:
                of_a = of_b = of_a + of_b
        hit_a = np.bincount(a, hits, len(of_a))
        hit_b = np.bincount(b, hits, len(of_b))
        sums = (
            [hit_a + hit_b - rate * of_a] if within else [hit_a - rate * of_a, hit_b - rate * of_b]
        )
        over_people = sum(float((of**2).sum()) for of in sums)
        over_pairs = float((hits**2 - 2 * rate * hits * of_hits).sum() + rate**2 * squares)
        return max(over_people - over_pairs, over_pairs) / total**2

    def pairs(self, *, within: bool) -> int:
        """How many were compared."""
        if self.images is None:
            return len(self.scores)
        n, m = self.images
        if not within:
            return int(n.sum() * m.sum())
        return int((n.sum() ** 2 - (n**2).sum()) // 2)


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
    operating_points: Sequence[tuple[float, float]],
    *,
    level: float | None,
    note: str | None = None,
) -> list[CrossTable]:
    """FMR of every pair of groups at each threshold, with Wilson intervals at that threshold.

    Args:
        cells: pairs of each two groups; two groups without any have no cell.
        groups: their names.
        operating_points: (target FMR, threshold); scores at or above a threshold match.
        level: coverage; None for no intervals.
        note: what a reader must know.
    """
    tables = []
    for target, threshold in operating_points:
        table: dict[str, dict[str, CrossCell]] = {name: {} for name in groups}
        for pair, scores in cells.items():
            if scores.pairs(within=pair.first == pair.second):
                cell = _cell(scores, threshold, level, within=pair.first == pair.second)
                first, second = groups[pair.first], groups[pair.second]
                table[first][second] = table[second][first] = cell
        tables.append(CrossTable(target_fmr=target, threshold=threshold, cells=table, note=note))
    return tables


def _cell(scores: CrossScores, threshold: float, level: float | None, *, within: bool) -> CrossCell:
    pairs = scores.pairs(within=within)
    matches = int(np.count_nonzero(scores.scores >= threshold))
    rate = matches / pairs
    low = high = note = None
    if level is not None:
        trials = scores.trials(within=within)
        variance = scores.variance(matches, rate, within=within)
        low, high = wilson_interval(rate, variance * expansion(trials, level) ** 2, level)
        if not matches:
            high = zero_error_limit(max(1, trials), (1 - level) / 2)
            note = f"none seen: the upper bound is that of none in {trials:,} independent trials"
    return CrossCell(value=rate, low=low, high=high, note=note, pairs=pairs, matches=matches)


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
