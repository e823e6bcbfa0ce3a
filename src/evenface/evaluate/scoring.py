"""Scored pairs of each group, sorted once, and every measure of them under any resample.

What is resampled are *units*: identities, or, where none are known, the pairs themselves. Every
pair names the unit of either end. To see how much of the scatter is specific to two units, the
pairs of two units (*dyads*) are resampled too; see :mod:`evenface.evaluate.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.bootstrap import count_chunks, pair_draws, pair_weights
from evenface.evaluate.exact import ExactFoldSearch
from evenface.evaluate.measures import MEASURES, base, of_kind
from evenface.evaluate.operating import TARGETS, HeldOutThresholds, SplitScores
from evenface.evaluate.reliability import CalibrationScorer
from evenface.evaluate.verification import (
    FoldSearch,
    RocCurve,
    ScoreRanking,
    Weights,
    dprime_of_moments,
    first_true,
    moments_of,
    powers_of,
)
from evenface.parallel import spare_threads

CORE_LEVELS = {"1e-2": 1e-2, "1e-3": 1e-3}
FAR_LEVELS = {f"1e-{n}": 10.0**-n for n in range(1, 6)}
"""Levels of TAR@FAR, by the key they have in results; the core ones are always measured."""
TARGET_FMR = 1e-2
"""Mean FMR over groups at which the one global threshold is set."""

PAIR_REPLICATES = 150
"""Most replicates that resample dyads: their variance is all that is taken from them."""

# Weights held at a time by each thread.
_CHUNK = 4_000_000


@dataclass(frozen=True, eq=False)
class Resample:
    """How often each unit of a group counts, or each dyad: one of both."""

    units: NDArray[Any] | None = None
    """(R, units)."""
    dyads: NDArray[Any] | None = None
    """(R, dyads); pairs within one unit count once."""


@dataclass(frozen=True, eq=False)
class ScoredPairs:
    """Pairs of one group; every array is (P,)."""

    scores: NDArray[np.floating]
    """Similarities; for the reference protocol's accuracy, negative squared distances."""
    genuine: NDArray[np.bool_]
    first: NDArray[np.int64]
    """Unit of one end, 0 … units − 1."""
    second: NDArray[np.int64]
    """Unit of the other end; equal to ``first`` where one unit decides alone."""
    part: NDArray[np.int64]
    """Fold, or part of the split that thresholds are chosen on; −1 for none."""
    dyad: NDArray[np.int64] | None = None
    """Number of the pair's two units among the group's dyads; −1 within one unit."""

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: NDArray[Any]) -> ScoredPairs:
        """The pairs of a mask or of indices."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{n: of[rows] for n, of in columns.items() if of is not None})

    def weights(self, resample: Resample) -> Weights:
        """(R, P)."""
        if resample.units is not None:
            return pair_weights(resample.units, self.first, self.second)
        if resample.dyads is None or self.dyad is None:
            raise ValueError("nothing is resampled, or the pairs' dyads are not numbered")
        dyads = resample.dyads
        with_one = np.concatenate([dyads, np.ones((len(dyads), 1), dtype=dyads.dtype)], axis=1)
        return np.take(with_one, self.dyad, axis=1)


def number_dyads(*parts: ScoredPairs) -> tuple[int, list[ScoredPairs]]:
    """How many dyads there are, and the same pairs with theirs."""
    low = np.concatenate([np.minimum(pairs.first, pairs.second) for pairs in parts])
    high = np.concatenate([np.maximum(pairs.first, pairs.second) for pairs in parts])
    apart = low != high
    distinct, number = np.unique(
        low[apart] * (int(high.max()) + 1) + high[apart], return_inverse=True
    )
    dyad = np.full(len(low), -1, dtype=np.int64)
    dyad[apart] = number
    ends = np.cumsum([len(pairs) for pairs in parts])[:-1]
    numbered = zip(parts, np.split(dyad, ends), strict=True)
    return len(distinct), [replace(pairs, dyad=of) for pairs, of in numbered]


@dataclass(frozen=True)
class GroupFacts:
    """What is known of a group besides its scores; None where a table of scores does not say."""

    name: str
    images: int | None
    identities: int | None
    single_image_identities: int | None
    mated_identities: int | None
    """Those with a genuine pair."""

    @property
    def genuine_trials(self) -> int | None:
        """Independent trials behind an error of genuine pairs: no two of a person's are."""
        return self.mated_identities

    @property
    def impostor_trials(self) -> int | None:
        """Independent trials behind an error of impostor pairs: each takes two people."""
        return None if self.identities is None else self.identities // 2


@dataclass(frozen=True, eq=False)
class GroupData:
    """The scored pairs of one group."""

    facts: GroupFacts
    units: int
    fold_pairs: ScoredPairs
    """For the accuracy; each in a fold 0 … F − 1."""
    on_grid: bool
    """Whether scores of ``fold_pairs`` are negative squared distances, for the reference grid."""
    score_pairs: ScoredPairs


@dataclass(frozen=True)
class Sums:
    """What one group's ranked pairs come to under R weightings."""

    genuine: Weights
    """(R, n + 1) cumulative weights, as for impostors."""
    impostor: Weights
    moments: dict[str, NDArray[np.float64]]
    """(R,) "dprime", and mean and variance of the scores: "genuine_mean", …"""


class GroupScorer:
    """The pairs of one group, sorted and measured under any counts of its units."""

    def __init__(self, data: GroupData, *, detail: bool) -> None:
        self.data, self._detail = data, detail
        self.facts = data.facts
        self.name = data.facts.name
        self.once = Resample(np.ones((1, data.units), dtype=np.int64))

        self.dyads, (folds, pairs) = number_dyads(data.fold_pairs, data.score_pairs)
        self._folds, self.score_pairs = folds, pairs
        self.fold_pairs = len(folds)
        self._grid = None
        if data.on_grid:
            self._grid = FoldSearch(-folds.scores.astype(np.float64), folds.genuine, folds.part)
            self._grid_ends = [
                folds.select(kind.order) for kind in (self._grid.genuine, self._grid.impostor)
            ]
        self._exact = None
        if detail or not data.on_grid:
            self._exact = ExactFoldSearch(folds.scores, folds.genuine, folds.part)

        self.ranking = ScoreRanking(pairs.scores, pairs.genuine)
        self._genuine = pairs.select(self.ranking.genuine_order)
        self._impostor = pairs.select(self.ranking.impostor_order)
        self._middle = float(pairs.scores.mean(dtype=np.float64))
        self._powers = [
            powers_of(kind.scores.astype(np.float64) - self._middle)
            for kind in (self._genuine, self._impostor)
        ]
        self.mean_genuine = float(self._genuine.scores.mean(dtype=np.float64))
        self.mean_impostor = float(self._impostor.scores.mean(dtype=np.float64))

    @property
    def pairs(self) -> int:
        """Number of score pairs."""
        return len(self.score_pairs)

    def accuracies(
        self, resample: Resample
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Weight of correct decisions and of all pairs, by fold, each (R, F), by measure.

        "accuracy" is the reference protocol's where the scores allow, else that with exact
        thresholds, which with ``detail`` is also "accuracy_exact".
        """
        found = {}
        if self._grid is not None:
            genuine, impostor = (ends.weights(resample) for ends in self._grid_ends)
            found["accuracy"] = self._grid.held_out(genuine, impostor)
        if self._exact is not None:
            exact = self._exact.held_out(self._folds.weights(resample))
            found.setdefault("accuracy", exact)
            if self._detail:
                found["accuracy_exact"] = exact
        return found

    def sums(self, resample: Resample) -> Sums:
        """Sums of the weights of the ranked pairs."""
        weights = [kind.weights(resample) for kind in (self._genuine, self._impostor)]
        sums = [
            of.astype(np.float64) @ powers for of, powers in zip(weights, self._powers, strict=True)
        ]
        moments = {"dprime": dprime_of_moments(*sums)}
        for kind, of_pairs in zip(("genuine", "impostor"), sums, strict=True):
            mean, moments[f"{kind}_variance"] = moments_of(of_pairs)
            moments[f"{kind}_mean"] = mean + self._middle
        return Sums(*self.ranking.cumulate(*weights), moments)

    def roc(self) -> RocCurve:
        """The ROC of the data, every pair counted once."""
        sums = self.sums(self.once)
        return self.ranking.roc(sums.genuine, sums.impostor)


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
    """Every measure under R weightings: (R, G) arrays by name, and what only R = 1 needs."""

    by_group: dict[str, NDArray[np.float64]]
    folds: list[dict[str, NDArray[np.float64]]]
    threshold_index: NDArray[np.int64]


class Scorers:
    """All groups together.

    Args:
        groups: the data of each.
        detail: whether to measure more than the core: exact thresholds, TAR at all levels,
            operating points, the worst-case threshold and calibration.
        targets: keys of the operating points; None for all with ``detail``, else none.
    """

    def __init__(
        self,
        groups: Sequence[GroupData],
        *,
        detail: bool,
        targets: Sequence[str] | None = None,
    ) -> None:
        self.groups = [GroupScorer(data, detail=detail) for data in groups]
        self.levels = FAR_LEVELS if detail else CORE_LEVELS
        self.threshold = OneThreshold([scorer.ranking for scorer in self.groups])
        self.held_out: HeldOutThresholds | None = None
        self.calibration: CalibrationScorer | None = None
        if detail or targets:
            self.held_out = HeldOutThresholds(
                [
                    SplitScores(p.scores, p.genuine, p.part)
                    for p in (scorer.score_pairs for scorer in self.groups)
                ],
                {key: TARGETS[key] for key in (TARGETS if targets is None else targets)},
                worst_case=detail,
            )
        if detail and self.held_out is not None:
            self.calibration = CalibrationScorer(self.held_out.splits)

    def observed(self) -> Measured:
        """Every pair counted once."""
        return self.measure([scorer.once for scorer in self.groups])

    def measure(self, resamples: Sequence[Resample]) -> Measured:
        """All measures of all groups, each under a resample of its own with the same R."""
        columns: dict[str, list[NDArray[np.float64]]] = {}
        folds, sums = [], []
        for scorer, of_group in zip(self.groups, resamples, strict=True):
            by_fold = {}
            measures = {}
            for name, (correct, total) in scorer.accuracies(of_group).items():
                with np.errstate(invalid="ignore"):
                    # Over all pairs rather than the mean over folds: equal for folds of one
                    # weight, and defined when a resample leaves a fold without pairs.
                    measures[name] = correct.sum(axis=1) / total.sum(axis=1)
                    by_fold[name] = correct / total
            summed = scorer.sums(of_group)
            ranking, genuine, impostor = scorer.ranking, summed.genuine, summed.impostor
            measures |= {
                "eer": ranking.eer(genuine, impostor),
                "auc": ranking.auc(genuine, impostor),
                **summed.moments,
                **{
                    f"tar@far={key}": ranking.tar_at_far(genuine, impostor, far)
                    for key, far in self.levels.items()
                },
            }
            for name, values in measures.items():
                columns.setdefault(name, []).append(values)
            folds.append(by_fold)
            sums.append(summed)
        index, fmr, fnmr = self.threshold.rates(sums)
        columns_of = {name: np.stack(values, axis=1) for name, values in columns.items()}
        by_group = {name: of for name, of in columns_of.items() if base(name) in MEASURES}
        if len(self.groups) > 1:
            shifts = of_kind("scores").items()
            by_group |= {name: shift.compute(columns_of) for name, shift in shifts}
        by_group |= {"fmr": fmr, "fnmr": fnmr}
        if self.held_out is not None:
            weights = [
                scorer.score_pairs.weights(of_group)
                for scorer, of_group in zip(self.groups, resamples, strict=True)
            ]
            by_group |= self.held_out.measure(weights)
            if self.calibration is not None:
                by_group |= self.calibration.measure(weights)
        return Measured(by_group, folds, index)

    def replicates(
        self, replicates: int, seed: int
    ) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """Measures of the groups in every replicate: (R, G) by name; empty without replicates.

        Replicates are computed in several threads where there are cores to spare. Each depends on
        its own counts only, so the result does not depend on the number of threads.

        Returns:
            Replicates that resample units, and at most :data:`PAIR_REPLICATES` that resample dyads.
        """
        names = [scorer.name for scorer in self.groups]
        size = max(1, min(256, _CHUNK // sum(scorer.pairs for scorer in self.groups)))
        units = count_chunks(
            [scorer.data.units for scorer in self.groups], names, replicates, seed, size
        )
        fewer = min(replicates, PAIR_REPLICATES)
        dyads = pair_draws([scorer.dyads for scorer in self.groups], names, fewer, seed, size)
        return (
            self._measure_all([Resample(units=of) for of in chunk] for chunk in units),
            self._measure_all([Resample(dyads=of) for of in chunk] for chunk in dyads),
        )

    def _measure_all(self, chunks: Iterator[list[Resample]]) -> dict[str, NDArray[np.float64]]:
        threads = spare_threads()
        parts: list[dict[str, NDArray[np.float64]]] = []
        with ThreadPoolExecutor(threads) as pool:
            while wave := list(islice(chunks, threads)):
                parts += pool.map(lambda resamples: self.measure(resamples).by_group, wave)
        if not parts:
            return {}
        return {name: np.concatenate([of[name] for of in parts]) for name in parts[0]}
