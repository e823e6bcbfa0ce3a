"""Calibrated probabilities on other people's pairs, and how far they are from what was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.calibration import LogisticCalibration
from evenface.evaluate.operating import SplitScores
from evenface.evaluate.verification import Weights

BINS = 10
METHOD = "logistic, one map for all groups; genuine and impostor pairs weigh half each"


class CalibrationScorer:
    """Brier score and calibration error of each group under one logistic map for all.

    The map of each part of the pairs is fitted on the other parts, and stays as it is in
    resamples. In the figures of a group genuine and impostor pairs weigh half each, so that they
    do not depend on how many of either kind a protocol compares.

    Args:
        splits: the pairs of each group; with one part the map is fitted on the pairs themselves.
    """

    def __init__(self, splits: Sequence[SplitScores]) -> None:
        scores = np.concatenate([split.scores for split in splits])
        genuine = np.concatenate([split.genuine for split in splits])
        part = np.concatenate([split.part for split in splits])
        parts = int(part.max(initial=-1)) + 1
        probability = np.full(len(scores), np.nan)
        for p in range(parts):
            others = (part >= 0) if parts == 1 else (part >= 0) & (part != p)
            if genuine[others].all() or not genuine[others].any():
                continue
            fitted = LogisticCalibration.fit(scores[others], genuine[others])
            probability[part == p] = fitted.predict(scores[part == p])
        ends = np.cumsum([len(split.scores) for split in splits])[:-1]
        self._groups = [
            _Group(values, split.genuine)
            for values, split in zip(np.split(probability, ends), splits, strict=True)
        ]

    def measure(self, weights: Sequence[Weights]) -> dict[str, NDArray[np.float64]]:
        """(R, G) "calibration.brier" and "calibration.error" under weights (R, P) of each group.

        The error is the expected calibration error: over equal bins of probability, the sum of
        |share of genuine pairs − mean probability|, weighed by the bin's share of the pairs
        (Naeini, Cooper & Hauskrecht, AAAI 2015). NaN where a kind of pair has no weight.
        """
        found = [of.measure(w) for of, w in zip(self._groups, weights, strict=True)]
        brier, error = (np.stack(columns, axis=1) for columns in zip(*found, strict=True))
        return {"calibration.brier": brier, "calibration.error": error}

    def bins(
        self, group: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """(BINS,) mean probability, share of genuine pairs (both NaN where empty), and pairs."""
        return self._groups[group].bins()


class _Group:
    def __init__(self, probability: NDArray[np.float64], genuine: NDArray[np.bool_]) -> None:
        usable = ~np.isnan(probability)
        self._kinds = []
        for kind in (genuine, ~genuine):
            chosen = np.flatnonzero(kind & usable)
            value = probability[chosen]
            truth = 1.0 if kind is genuine else 0.0
            bin_of = np.minimum((value * BINS).astype(np.int64), BINS - 1)
            residual = np.zeros((len(chosen), BINS + 1))
            residual[np.arange(len(chosen)), bin_of] = truth - value
            residual[:, BINS] = (truth - value) ** 2
            self._kinds.append((chosen, residual, bin_of, value))

    def measure(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        total = np.zeros((len(weights), BINS + 1))
        for chosen, residual, *_ in self._kinds:
            of_kind = weights[:, chosen].astype(np.float64)
            with np.errstate(invalid="ignore", divide="ignore"):
                total += of_kind @ residual / of_kind.sum(axis=1, keepdims=True) / 2
        return total[:, BINS], np.abs(total[:, :BINS]).sum(axis=1)

    def bins(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        mass, of_genuine, sum_of = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
        pairs = np.zeros(BINS, dtype=np.int64)
        for is_genuine, (chosen, _, bin_of, value) in zip((True, False), self._kinds, strict=True):
            if not len(chosen):
                continue
            share = np.bincount(bin_of, minlength=BINS) / len(chosen) / 2
            mass += share
            of_genuine += share if is_genuine else 0
            sum_of += np.bincount(bin_of, weights=value, minlength=BINS) / len(chosen) / 2
            pairs += np.bincount(bin_of, minlength=BINS)
        with np.errstate(invalid="ignore", divide="ignore"):
            return sum_of / mass, of_genuine / mass, pairs
