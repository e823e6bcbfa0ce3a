"""The pairs of a protocol, scored once, and every measure of them under any identity counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.bootstrap import identity_counts, pair_weights
from evenface.evaluate.embeddings import cosines, squared_distances
from evenface.evaluate.protocols import Protocol
from evenface.evaluate.verification import (
    FoldSearch,
    RocCurve,
    ScoreRanking,
    Weights,
    first_true,
)

FAR_LEVELS = {"1e-2": 1e-2, "1e-3": 1e-3}
"""Levels of TAR@FAR, by the key they have in results."""
TARGET_FMR = 1e-2
"""Mean FMR over groups at which the one global threshold is set."""

# Weights held at a time: 4 million int64, and as many cumulative sums.
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Sums:
    """Cumulative weights of one group's ranked pairs, each (R, n + 1)."""

    genuine: Weights
    impostor: Weights


class GroupScorer:
    """The pairs of one group, scored and sorted once, measured under any identity counts.

    Args:
        protocol: which pairs.
        group: index of the group.
        unit: (N, D) embeddings of unit length.
    """

    def __init__(self, protocol: Protocol, group: int, unit: NDArray[np.float64]) -> None:
        self.name = protocol.groups[group]
        self.counts = protocol.counts[group]
        folds = protocol.fold_pairs.select(protocol.fold_pairs.group == group)
        pairs = protocol.score_pairs.select(protocol.score_pairs.group == group)
        self.fold_pairs = len(folds)
        identity = protocol.identity
        self._present = np.unique(identity[np.concatenate([folds.a, folds.b, pairs.a, pairs.b])])
        self.once = np.ones((1, len(self._present)), dtype=np.int64)

        self._search = FoldSearch(
            squared_distances(unit, folds.a, folds.b), folds.genuine, folds.fold
        )
        self._fold_ends = [
            self._columns(identity[folds.a[kind.order]], identity[folds.b[kind.order]])
            for kind in (self._search.genuine, self._search.impostor)
        ]

        scores = cosines(unit, pairs.a, pairs.b)
        self.ranking = ScoreRanking(scores, pairs.genuine)
        genuine, impostor = self.ranking.genuine_order, self.ranking.impostor_order
        self._genuine_ends = self._columns(identity[pairs.a[genuine]], identity[pairs.b[genuine]])
        self._impostor_ends = self._columns(
            identity[pairs.a[impostor]], identity[pairs.b[impostor]]
        )
        self.mean_genuine = float(scores[genuine].mean(dtype=np.float64))
        self.mean_impostor = float(scores[impostor].mean(dtype=np.float64))

    @property
    def identities(self) -> int:
        """Number of identities that occur in a pair: what is resampled."""
        return len(self._present)

    @property
    def genuine_identities(self) -> int:
        """Number of identities of two or more images."""
        return self.counts.identities - self.counts.single_image_identities

    @property
    def pairs(self) -> int:
        """Number of score pairs."""
        return len(self.ranking.genuine_order) + len(self.ranking.impostor_order)

    def folds(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of correct decisions and of all pairs, by fold: each (R, F)."""
        genuine, impostor = (pair_weights(counts, *ends) for ends in self._fold_ends)
        return self._search.held_out(genuine, impostor)

    def sums(self, counts: NDArray[np.int64]) -> Sums:
        """Cumulative weights of the ranked pairs."""
        return Sums(
            *self.ranking.cumulate(
                pair_weights(counts, *self._genuine_ends),
                pair_weights(counts, *self._impostor_ends),
            )
        )

    def roc(self) -> RocCurve:
        """The ROC of the data, every pair counted once."""
        sums = self.sums(self.once)
        return self.ranking.roc(sums.genuine, sums.impostor)

    def _columns(
        self, a: NDArray[np.int64], b: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.searchsorted(self._present, a), np.searchsorted(self._present, b)


class OneThreshold:
    """The loosest threshold for all groups whose mean FMR over groups is at most the target."""

    def __init__(self, rankings: list[ScoreRanking]) -> None:
        self.thresholds = np.unique(np.concatenate([r.thresholds for r in rankings]))[::-1]
        self._accepted = [ranking.accepted(self.thresholds) for ranking in rankings]

    def rates(
        self, sums: list[Sums]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Index of the threshold (R,), FMR (R, G), FNMR (R, G); NaN where a group has no weight."""
        rows = np.arange(len(sums[0].impostor))

        def fmr(k: NDArray[np.int64]) -> NDArray[np.float64]:
            with np.errstate(invalid="ignore"):
                columns = [
                    s.impostor[rows, impostor[k]] / s.impostor[:, -1]
                    for s, (_, impostor) in zip(sums, self._accepted, strict=True)
                ]
            return np.stack(columns, axis=1)

        above = first_true(
            lambda k: fmr(k).mean(axis=1) > TARGET_FMR, len(rows), len(self.thresholds)
        )
        k = above - 1
        with np.errstate(invalid="ignore"):
            columns = [
                1 - s.genuine[rows, genuine[k]] / s.genuine[:, -1]
                for s, (genuine, _) in zip(sums, self._accepted, strict=True)
            ]
        chosen = fmr(k)
        undefined = np.isnan(chosen).any(axis=1, keepdims=True)
        return (
            k,
            np.where(undefined, np.nan, chosen),
            np.where(undefined, np.nan, np.stack(columns, axis=1)),
        )


@dataclass(frozen=True)
class Measured:
    """Every measure under R weightings; arrays (R, G) by name, and what only R = 1 needs."""

    by_group: dict[str, NDArray[np.float64]]
    folds: list[NDArray[np.float64]]
    threshold_index: NDArray[np.int64]


def measure(
    scorers: list[GroupScorer], threshold: OneThreshold, counts: list[NDArray[np.int64]]
) -> Measured:
    """All measures of all groups under identity counts: one (R, identities) array a group."""
    columns: dict[str, list[NDArray[np.float64]]] = {}
    folds, sums = [], []
    for scorer, of_group in zip(scorers, counts, strict=True):
        correct, total = scorer.folds(of_group)
        with np.errstate(invalid="ignore"):
            # Over all pairs rather than the mean over folds: equal for folds of one weight, and
            # defined when a resample leaves a fold without pairs.
            accuracy = correct.sum(axis=1) / total.sum(axis=1)
            folds.append(correct / total)
        summed = scorer.sums(of_group)
        ranking, genuine, impostor = scorer.ranking, summed.genuine, summed.impostor
        measures = {
            "accuracy": accuracy,
            "eer": ranking.eer(genuine, impostor),
            "auc": ranking.auc(genuine, impostor),
            "dprime": ranking.dprime(genuine, impostor),
            **{
                f"tar@far={key}": ranking.tar_at_far(genuine, impostor, far)
                for key, far in FAR_LEVELS.items()
            },
        }
        for name, values in measures.items():
            columns.setdefault(name, []).append(values)
        sums.append(summed)
    index, fmr, fnmr = threshold.rates(sums)
    stacked = {name: np.stack(values, axis=1) for name, values in columns.items()}
    return Measured({**stacked, "fmr": fmr, "fnmr": fnmr}, folds, index)


def measure_replicates(
    scorers: list[GroupScorer], threshold: OneThreshold, replicates: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Measures of the groups in every replicate: (R, G) by name; empty without replicates."""
    counts = [identity_counts(s.identities, replicates, seed, s.name) for s in scorers]
    parts = [
        measure(scorers, threshold, [of_group[chunk] for of_group in counts]).by_group
        for chunk in _chunks(replicates, sum(scorer.pairs for scorer in scorers))
    ]
    if not parts:
        return {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _chunks(replicates: int, pairs: int) -> Iterator[slice]:
    size = max(1, min(64, _CHUNK // pairs))
    return (slice(start, start + size) for start in range(0, replicates, size))
