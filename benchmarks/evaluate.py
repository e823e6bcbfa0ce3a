"""Speed of evaluation, as ratios to plain implementations in the same run.

python benchmarks/evaluate.py [--models 8] [--replicates 1000] [--pairs 20000] [--groups 5]
                              [--rfw-replicates 2000] [--faces 20000 40000 80000]

1. The 10-fold threshold search, against the reference protocol's loop (400 thresholds × folds,
   one NumPy comparison each), with equal results; and the same with exact thresholds, against
   trying every score.
2. The identity bootstrap of whole evaluations, against a loop over replicates that writes each
   resample out copy by copy and evaluates it afresh. The loop is timed on a few replicates of one
   model and one group, and scaled.
3. An evaluation of RFW's size (4 groups of 6,000 pairs, 12,000 images each, 512 dimensions) from
   embeddings with every measure there is, and with bootstrap replicates.
4. FMR at one in a million: the highest scores of all pairs of so many faces, in blocks; time and
   peak memory by number of faces, each in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate import (
    auc,
    eer,
    evaluate_embeddings,
    exact_fold_accuracy,
    fold_accuracy,
    tar_at_far,
)
from evenface.evaluate.blocks import impostor_tail
from evenface.evaluate.bootstrap import identity_counts, pair_weights
from evenface.evaluate.embeddings import cosines, squared_distances, unit_length
from evenface.evaluate.protocols import GroupCounts, Pairs, Protocol, protocol_from_manifest
from simulated_rows import LabelledRows

IMAGES_PER_IDENTITY = 10


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


def tried_one_by_one(
    scores: NDArray[np.float64], genuine: NDArray[np.bool_], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Exact thresholds the plain way: every score of the other folds, in a loop."""
    result = []
    for held_out in range(fold.max() + 1):
        others, own = fold != held_out, fold == held_out
        thresholds = [np.inf, *np.unique(scores[others])[::-1]]
        right = [np.sum((scores[others] >= t) == genuine[others]) for t in thresholds]
        best = thresholds[int(np.argmax(right))]
        result.append(float(np.mean((scores[own] >= best) == genuine[own])))
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


def benchmark_exact() -> None:
    """The same pairs with every score as a threshold."""
    rng = np.random.default_rng(0)
    genuine = np.arange(6000) // 300 % 2 == 0
    scores = np.where(genuine, 0.5, 0.15) + rng.normal(0, 0.15, 6000)
    fold = np.arange(6000) // 600
    naive = tried_one_by_one(scores, genuine, fold)
    if not np.array_equal(exact_fold_accuracy(scores, genuine, fold), naive):
        raise SystemExit("exact_fold_accuracy differs from trying every score")
    ours = seconds(lambda: exact_fold_accuracy(scores, genuine, fold), 20)
    loop = seconds(lambda: tried_one_by_one(scores, genuine, fold), 1)
    print(
        f"exact thresholds, 6,000 pairs: {1e3 * ours:.2f} ms, loop over {len(scores):,} scores × "
        f"10 folds {1e3 * loop:.0f} ms, equal results: {loop / ours:.0f} times as fast"
    )


def rfw_protocol(groups: int = 4, pairs: int = 6000) -> Protocol:
    """Pairs like RFW's: ten folds of 300 people, each pair of images of its own."""
    parts, identity = [], []
    for g in range(groups):
        rng = np.random.default_rng(g)
        fold = np.arange(pairs) // (pairs // 10)
        genuine = np.arange(pairs) // (pairs // 20) % 2 == 0
        first = rng.integers(0, 300, pairs)
        second = np.where(genuine, first, (first + rng.integers(1, 300, pairs)) % 300)
        who = np.stack([first, second], axis=1) + 300 * fold[:, None] + 3000 * g
        image = 2 * np.arange(pairs) + 2 * pairs * g
        parts.append(Pairs(image, image + 1, genuine, np.full(pairs, g), fold))
        identity.append(who.ravel())
    every = Pairs.concat(parts)
    return Protocol(
        name="RFW's size",
        groups=tuple(f"g{g}" for g in range(groups)),
        group_by=("group",),
        fold_pairs=every,
        score_pairs=every,
        identity=np.concatenate(identity),
        counts=tuple(GroupCounts(2 * pairs, 3000, 0) for _ in range(groups)),
        origins={"synthetic": 2 * pairs * groups},
        manifest_fingerprint="benchmark",
        folds=10,
        seed=0,
        notes=(),
    )


def benchmark_rfw(replicates: int) -> None:
    """Everything that is measured, at RFW's size."""
    protocol = rfw_protocol()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(protocol.identity.max() + 1, 512)).astype(np.float32)
    embeddings = centres[protocol.identity]
    embeddings += 2.2 * rng.normal(size=embeddings.shape).astype(np.float32)
    plain = seconds(lambda: evaluate_embeddings(embeddings, protocol, replicates=0), 3)
    with_intervals = seconds(
        lambda: evaluate_embeddings(embeddings, protocol, replicates=replicates), 1
    )
    print(
        f"evaluation of 4 × 6,000 pairs, 512 dimensions, all measures: {plain:.2f} s; with "
        f"{replicates:,} identity bootstraps {with_intervals:.1f} s"
    )


def benchmark_blocks(faces: list[int], dimensions: int = 128) -> None:
    """All pairs of two sets of as many faces, for a threshold at FMR 1e-6."""
    context = multiprocessing.get_context("spawn")
    first = None
    for count in faces:
        with context.Pool(1) as pool:
            took, peak, threshold = pool.apply(tail_of, (count, dimensions))
        pairs = count**2
        first = first or (pairs, took)
        hours = took / pairs * 1e12 / 3600
        print(
            f"FMR 1e-6 of {count:,} × {count:,} faces, {dimensions} dimensions: {took:.1f} s, "
            f"{peak:.2f} GiB at most, threshold {threshold:.3f}; pairs × {pairs / first[0]:.0f}, "
            f"time × {took / first[1]:.1f}; a million × a million would take {hours:.1f} h"
        )


def tail_of(count: int, dimensions: int) -> tuple[float, float, float]:
    """Seconds, peak memory in GiB, and the threshold."""
    rng = np.random.default_rng(0)
    sets = [rng.standard_normal((count, dimensions), dtype=np.float32) for _ in range(2)]
    people = np.arange(2 * count)
    start = time.perf_counter()
    tail = impostor_tail(
        sets[0], people[:count], sets[1], people[count:], keep=int(2e-6 * count**2) + 2
    )
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return took, peak, tail.threshold(1e-6)


def benchmark_bootstrap(models: int, groups: int, pairs: int, replicates: int) -> None:
    """Whole evaluations with intervals."""
    rows = LabelledRows(IMAGES_PER_IDENTITY, np.repeat([f"g{g}" for g in range(groups)], 70))
    protocol = protocol_from_manifest(rows, max_pairs=pairs)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(rows.labels().max() + 1, 128))[rows.labels()]
    embeddings = [centres + rng.normal(0, 1.5, centres.shape) for _ in range(models)]

    def ours() -> None:
        for values in embeddings:
            evaluate_embeddings(values, protocol, replicates=replicates, detail=False)

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
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--groups", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=20_000, help="score pairs of each kind")
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--rfw-replicates", type=int, default=2000)
    parser.add_argument("--faces", type=int, nargs="+", default=[20_000, 40_000, 80_000])
    arguments = parser.parse_args()
    benchmark_folds()
    benchmark_exact()
    benchmark_rfw(arguments.rfw_replicates)
    benchmark_blocks(arguments.faces)
    benchmark_bootstrap(arguments.models, arguments.groups, arguments.pairs, arguments.replicates)


if __name__ == "__main__":
    main()
