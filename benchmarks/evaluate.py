"""Speed of evaluation, as ratios to plain implementations in the same run.

python benchmarks/evaluate.py [--models 8] [--replicates 1000] [--pairs 20000] [--groups 5]

1. The 10-fold threshold search, against the reference protocol's loop (400 thresholds × folds,
   one NumPy comparison each), with equal results.
2. The identity bootstrap of whole evaluations, against a loop over replicates that writes each
   resample out copy by copy and evaluates it afresh. The loop is timed on a few replicates of one
   model and one group, and scaled.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate import auc, eer, evaluate_embeddings, fold_accuracy, tar_at_far
from evenface.evaluate.bootstrap import identity_counts, pair_weights
from evenface.evaluate.embeddings import cosines, squared_distances, unit_length
from evenface.evaluate.protocols import Pairs, Protocol, protocol_from_manifest

IMAGES_PER_IDENTITY = 10


class LabelledRows:
    """The part of a manifest that protocols use: labels without images."""

    attributes = ("group",)
    fingerprint = "benchmark"

    def __init__(self, groups: int, identities: int) -> None:
        people = groups * identities
        self._labels = np.repeat(np.arange(people), IMAGES_PER_IDENTITY)
        self._groups = np.array([f"g{p // identities}" for p in self._labels], dtype=object)

    def __len__(self) -> int:
        return len(self._labels)

    def labels(self) -> NDArray[np.int64]:
        """Identity of each row."""
        return self._labels

    def groups(self, group_by: object) -> NDArray[np.object_]:
        """Group of each row."""
        return self._groups

    def column(self, name: str) -> NDArray[np.object_]:
        """Group or origin of each row."""
        return self._groups if name == "group" else np.full(len(self), "synthetic", dtype=object)


def reference_folds(
    distances: NDArray[np.float64], genuine: NDArray[np.bool_], folds: int = 10
) -> NDArray[np.float64]:
    """The reference protocol, threshold by threshold and fold by fold."""

    def accuracy(threshold: float, rows: NDArray[np.int64]) -> float:
        predicted = np.less(distances[rows], threshold)
        return float(np.sum(predicted == genuine[rows])) / len(rows)

    every = np.arange(len(distances))
    result = []
    for held_out in np.array_split(every, folds):
        training = np.setdiff1d(every, held_out)
        best = np.argmax([accuracy(t, training) for t in np.arange(0, 4, 0.01)])
        result.append(accuracy(np.arange(0, 4, 0.01)[best], held_out))
    return np.array(result)


class NaiveGroup:
    """One group's pairs, scored once; each replicate is written out and evaluated from scratch."""

    def __init__(self, unit: NDArray[np.float64], protocol: Protocol, group: int) -> None:
        self._folds = protocol.fold_pairs.select(protocol.fold_pairs.group == group)
        self._pairs = protocol.score_pairs.select(protocol.score_pairs.group == group)
        self._scores = cosines(unit, self._pairs.a, self._pairs.b)
        self._distances = squared_distances(unit, self._folds.a, self._folds.b)
        self._identity = protocol.identity - protocol.identity[self._pairs.a].min()
        people = protocol.counts[group].identities
        self._counts = identity_counts(people, 10, 0, protocol.groups[group])

    def replicate(self, r: int) -> None:
        """All measures of replicate ``r``."""
        copies = self._copies(self._pairs, r)
        scores, genuine = np.repeat(self._scores, copies), np.repeat(self._pairs.genuine, copies)
        eer(scores, genuine)
        auc(scores, genuine)
        tar_at_far(scores, genuine, 1e-2)
        tar_at_far(scores, genuine, 1e-3)
        copies = self._copies(self._folds, r)
        distances = np.repeat(self._distances, copies)
        reference_folds(distances, np.repeat(self._folds.genuine, copies))

    def _copies(self, pairs: Pairs, r: int) -> NDArray[np.int64]:
        ends = self._identity[pairs.a], self._identity[pairs.b]
        return pair_weights(self._counts[r : r + 1], *ends)[0]


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of ``work``."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def benchmark_folds() -> None:
    """RFW's size: 6,000 pairs of one group."""
    rng = np.random.default_rng(0)
    genuine = np.arange(6000) // 300 % 2 == 0
    distances = np.clip(np.where(genuine, 1.0, 1.7) + rng.normal(0, 0.3, 6000), 0, 4)
    if not np.array_equal(fold_accuracy(distances, genuine), reference_folds(distances, genuine)):
        raise SystemExit("fold_accuracy differs from the reference loop")
    ours = seconds(lambda: fold_accuracy(distances, genuine), 20)
    reference = seconds(lambda: reference_folds(distances, genuine), 3)
    print(
        f"10-fold search, 6,000 pairs: {1e3 * ours:.2f} ms, reference loop {1e3 * reference:.0f} "
        f"ms, equal results: {reference / ours:.0f} times as fast"
    )


def benchmark_bootstrap(models: int, groups: int, pairs: int, replicates: int) -> None:
    """Whole evaluations with intervals."""
    rows = LabelledRows(groups, 70)
    protocol = protocol_from_manifest(rows, max_pairs=pairs)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(rows.labels().max() + 1, 128))[rows.labels()]
    embeddings = [centres + rng.normal(0, 1.5, centres.shape) for _ in range(models)]

    def ours() -> None:
        for values in embeddings:
            evaluate_embeddings(values, protocol, replicates=replicates)

    plain = NaiveGroup(unit_length(embeddings[0]), protocol, 0)
    fast = seconds(ours, 1)
    naive = seconds(lambda: plain.replicate(3), 5)
    loop = naive * models * groups * replicates
    print(
        f"bootstrap, {models} models × {groups} groups × {len(protocol.score_pairs) // groups:,} "
        f"score and {len(protocol.fold_pairs) // groups:,} fold pairs × {replicates:,} replicates: "
        f"{fast:.1f} s, loop over written-out resamples {loop:,.0f} s (scaled from {naive:.3f} s "
        f"a replicate and group): {loop / fast:.0f} times as fast"
    )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--groups", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=20_000, help="score pairs of each kind")
    parser.add_argument("--replicates", type=int, default=1000)
    arguments = parser.parse_args()
    benchmark_folds()
    benchmark_bootstrap(arguments.models, arguments.groups, arguments.pairs, arguments.replicates)


if __name__ == "__main__":
    main()
