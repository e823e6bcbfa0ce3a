"""Failures to enrol or acquire among pairs, and the generalised error rates that count them.

A pair of which an image gave no template has no score. ISO/IEC 19795-1 reports such failures as a
rate of their own and, beside the error rates of the comparisons made, generalised ones: a genuine
pair that failed is not matched, an impostor pair that failed is not matched either. With failure
rates F of genuine and of impostor pairs, GFNMR = F + (1 − F) · FNMR and GFMR = (1 − F) · FMR.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.rates import count_rate
from evenface.evaluate.results import Estimate, Evaluation, FailedPairs, OperatingPoint

_NO_PAIRS = "no pairs"


@dataclass(frozen=True, eq=False)
class OfferedPairs:
    """Pairs of one group that were to be compared; arrays are (P,)."""

    scores: NDArray[np.float64]
    """Higher for more alike; NaN where the comparison failed."""
    genuine: NDArray[np.bool_]
    people: NDArray[np.int64]
    """(2, P) who is in each pair, as numbers; the pair's own number twice where not known."""
    part: NDArray[np.int64]
    """Which threshold of an operating point applies; −1 for none."""


def with_failures(evaluation: Evaluation, groups: Mapping[str, OfferedPairs]) -> Evaluation:
    """The evaluation with failure rates by group, and generalised rates at its operating points.

    The intervals of generalised rates hold the threshold fixed; pairs that share people count as
    dependent (:func:`evenface.evaluate.rates.count_rate`).

    Args:
        evaluation: of the pairs that have a score.
        groups: all pairs of each group.
    """
    level = evaluation.bootstrap.level if evaluation.bootstrap.replicates else None
    failed = sum(int(np.isnan(of.scores).sum()) for of in groups.values())
    offered = sum(len(of.scores) for of in groups.values())
    note = (
        f"{failed:,} of {offered:,} pairs within groups have no score: they count as failures to "
        "enrol or acquire. FMR and FNMR are of the other pairs, GFMR and GFNMR of all"
    )
    return evaluation.model_copy(
        update={
            "failed_pairs": {name: _failed_pairs(of, level) for name, of in groups.items()},
            "operating_points": [
                point if point.threshold is None else _generalised(point, groups, level)
                for point in evaluation.operating_points
            ],
            "notes": [note, *evaluation.notes],
        }
    )


def _failed_pairs(pairs: OfferedPairs, level: float | None) -> FailedPairs:
    failed = np.isnan(pairs.scores)
    genuine, impostor = pairs.genuine, ~pairs.genuine
    return FailedPairs(
        genuine_pairs=int(genuine.sum()),
        genuine_failed=int(failed[genuine].sum()),
        impostor_pairs=int(impostor.sum()),
        impostor_failed=int(failed[impostor].sum()),
        genuine_failure=_rate(failed[genuine], pairs.people[:, genuine], level),
        impostor_failure=_rate(failed[impostor], pairs.people[:, impostor], level),
    )


def _generalised(
    point: OperatingPoint, groups: Mapping[str, OfferedPairs], level: float | None
) -> OperatingPoint:
    thresholds = np.array(point.thresholds, dtype=np.float64)
    rates: dict[str, dict[str, Estimate]] = {"gfmr": {}, "gfnmr": {}}
    for name, pairs in groups.items():
        used = pairs.part >= 0
        accepted = pairs.scores >= thresholds[pairs.part]  # never, where there is no score
        for measure, kind, wrong in (
            ("gfmr", ~pairs.genuine, accepted),
            ("gfnmr", pairs.genuine, ~accepted),
        ):
            of = used & kind
            rates[measure][name] = _rate(wrong[of], pairs.people[:, of], level)
    return point.model_copy(update=rates)


def _rate(wrong: NDArray[np.bool_], people: NDArray[np.int64], level: float | None) -> Estimate:
    rate = count_rate(wrong, people)
    if level is None:
        return Estimate(value=rate.value) if rate.trials else Estimate(note=_NO_PAIRS)
    return rate.estimate(level, nothing=_NO_PAIRS)
