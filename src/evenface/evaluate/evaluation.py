"""Embeddings in, per-group figures with intervals out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.errors import DataError
from evenface.evaluate import fairness
from evenface.evaluate.bootstrap import identity_counts, pair_weights, percentile_interval
from evenface.evaluate.embeddings import cosines, squared_distances, unit_length
from evenface.evaluate.protocols import Protocol
from evenface.evaluate.results import (
    AccuracyEstimate,
    Bootstrap,
    Estimate,
    Evaluation,
    GlobalThreshold,
    GroupResult,
    Overall,
    ProtocolSummary,
    Roc,
    WorstGroup,
)
from evenface.evaluate.verification import (
    FoldSearch,
    RocCurve,
    ScoreRanking,
    Weights,
    far_support,
    first_true,
)

FAR_LEVELS = {"1e-2": 1e-2, "1e-3": 1e-3}
"""Levels of TAR@FAR, by the key they have in results."""
TARGET_FMR = 1e-2
"""Mean FMR over groups at which the one global threshold is set."""
ROC_POINTS = 200
FEW_IDENTITIES = 20
"""With fewer identities in a group its intervals are flagged."""

# Weights held at a time: 4 million int64, and as many cumulative sums.
_CHUNK = 4_000_000
_ONE_GROUP = "there is one group: nothing to compare"


def evaluate_embeddings(
    embeddings: ArrayLike,
    protocol: Protocol,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    model: str | None = None,
) -> Evaluation:
    """Verification per group and fairness over groups, with identity-bootstrap intervals.

    Thresholds of the 10-fold accuracy are chosen per group (RFW's protocol) and chosen anew in
    each replicate; error rates at one global threshold stand beside it. Two evaluations of one
    protocol with one seed use the same resamples: ``first.compare(second, measure)`` is paired.

    Args:
        embeddings: (N, D), one row for each row of the protocol's manifest; need not be
            normalised. Rows that occur in no pair may hold anything.
        protocol: which pairs.
        replicates: bootstrap replicates; 0 for none (then no intervals).
        seed: of the bootstrap.
        level: coverage of the intervals, in (0, 1).
        model: name to put in the result.

    Raises:
        ValueError: ``embeddings`` not two-dimensional, or an argument out of range.
        DataError: another number of rows than the manifest's; a used row that is NaN, infinite or
            of zero norm (the row is named).
    """
    if replicates < 0:
        raise ValueError(f"replicates must not be negative, got {replicates}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    values = np.asarray(embeddings)
    if values.ndim == 2 and len(values) != len(protocol.identity):
        raise DataError(
            f"there are {len(values):,} embeddings, but the protocol's manifest has "
            f"{len(protocol.identity):,} rows: they do not belong together"
        )
    unit = unit_length(values, protocol.rows)
    scorers = [_GroupScorer(protocol, g, unit) for g in range(len(protocol.groups))]
    threshold = _OneThreshold([scorer.ranking for scorer in scorers])
    observed = _measure(scorers, threshold, [scorer.once for scorer in scorers])
    resampled = _replicates(scorers, threshold, replicates, seed)
    summary = _Summary(protocol.groups, resampled, replicates, level)
    groups = {
        scorer.name: _group_result(scorer, g, observed, summary) for g, scorer in enumerate(scorers)
    }
    accuracies = np.array([result.accuracy.value for result in groups.values()])
    return Evaluation(
        model=model,
        protocol=_protocol_summary(protocol),
        bootstrap=Bootstrap(replicates=replicates, seed=seed, level=level),
        groups=groups,
        overall=_overall(accuracies, summary),
        global_threshold=_global_threshold(threshold, observed, summary, scorers),
        notes=_notes(scorers, replicates),
        replicates=summary.samples,
    )


@dataclass(frozen=True)
class _Sums:
    """Cumulative weights of one group's ranked pairs, each (R, n + 1)."""

    genuine: Weights
    impostor: Weights


class _GroupScorer:
    """The pairs of one group, scored and sorted once, measured under any identity counts."""

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
        return len(self._present)

    @property
    def pairs(self) -> int:
        return len(self.ranking.genuine_order) + len(self.ranking.impostor_order)

    def folds(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of correct decisions and of all pairs, by fold: each (R, F)."""
        genuine, impostor = (pair_weights(counts, *ends) for ends in self._fold_ends)
        return self._search.held_out(genuine, impostor)

    def sums(self, counts: NDArray[np.int64]) -> _Sums:
        """Cumulative weights of the ranked pairs."""
        return _Sums(
            *self.ranking.cumulate(
                pair_weights(counts, *self._genuine_ends),
                pair_weights(counts, *self._impostor_ends),
            )
        )

    def roc(self) -> RocCurve:
        sums = self.sums(self.once)
        return self.ranking.roc(sums.genuine, sums.impostor)

    def _columns(
        self, a: NDArray[np.int64], b: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.searchsorted(self._present, a), np.searchsorted(self._present, b)


class _OneThreshold:
    """The loosest threshold for all groups whose mean FMR over groups is at most the target."""

    def __init__(self, rankings: list[ScoreRanking]) -> None:
        self.thresholds = np.unique(np.concatenate([r.thresholds for r in rankings]))[::-1]
        self._accepted = [ranking.accepted(self.thresholds) for ranking in rankings]

    def rates(
        self, sums: list[_Sums]
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
class _Measured:
    """Every measure under R weightings; arrays (R, G) by name, and what only R = 1 needs."""

    by_group: dict[str, NDArray[np.float64]]
    folds: list[NDArray[np.float64]]
    threshold_index: NDArray[np.int64]


def _measure(
    scorers: list[_GroupScorer], threshold: _OneThreshold, counts: list[NDArray[np.int64]]
) -> _Measured:
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
    return _Measured({**stacked, "fmr": fmr, "fnmr": fnmr}, folds, index)


def _replicates(
    scorers: list[_GroupScorer], threshold: _OneThreshold, replicates: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Measures of the groups in every replicate: (R, G) by name; empty without replicates."""
    counts = [identity_counts(s.identities, replicates, seed, s.name) for s in scorers]
    parts = [
        _measure(scorers, threshold, [of_group[chunk] for of_group in counts]).by_group
        for chunk in _chunks(replicates, sum(scorer.pairs for scorer in scorers))
    ]
    if not parts:
        return {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _chunks(replicates: int, pairs: int) -> Iterator[slice]:
    size = max(1, min(64, _CHUNK // pairs))
    return (slice(start, start + size) for start in range(0, replicates, size))


class _Summary:
    """Replicates of every measure, over groups too, and the intervals they give."""

    def __init__(
        self,
        groups: tuple[str, ...],
        by_group: dict[str, NDArray[np.float64]],
        replicates: int,
        level: float,
    ) -> None:
        self.groups = groups
        self.level = level
        self.samples = dict(by_group)
        if replicates:
            self.samples["overall.accuracy"] = by_group["accuracy"].mean(axis=1)
        if replicates and len(groups) > 1:
            accuracy, fmr, fnmr = (by_group[name] for name in ("accuracy", "fmr", "fnmr"))
            for name, statistic in _OVER_GROUPS.items():
                self.samples[f"overall.{name}"] = statistic(accuracy)
            self.samples["global.fdr"] = fairness.fairness_discrepancy_rate(fmr, fnmr)
            self.samples["global.garbe"] = fairness.garbe(fmr, fnmr)

    def estimate(
        self,
        measure: str,
        value: float | None,
        *,
        group: int | None = None,
        note: str | None = None,
        floor: float = 0.0,
        ceiling: float = 1.0,
    ) -> Estimate:
        """``value`` with the interval of its replicates; infinite bounds become None."""
        low, high = self.interval(measure, group, floor, ceiling)
        return Estimate(value=value, low=low, high=high, note=note)

    def interval(
        self, measure: str, group: int | None, floor: float = 0.0, ceiling: float = 1.0
    ) -> tuple[float | None, float | None]:
        if measure not in self.samples:
            return None, None
        samples = self.samples[measure] if group is None else self.samples[measure][:, group]
        low, high = percentile_interval(samples, self.level, floor=floor, ceiling=ceiling)
        return low if np.isfinite(low) else None, high if np.isfinite(high) else None


_OVER_GROUPS = {
    "std_sample": fairness.std_sample,
    "std_population": fairness.std_population,
    "ser": fairness.skewed_error_ratio,
    "gap": fairness.accuracy_gap,
}


def _group_result(
    scorer: _GroupScorer, g: int, observed: _Measured, summary: _Summary
) -> GroupResult:
    folds = observed.folds[g][0]
    accuracy = float(folds.mean())
    low, high = summary.interval("accuracy", g)
    impostors = len(scorer.ranking.impostor_order)

    def estimate(measure: str, note: str | None = None) -> Estimate:
        return summary.estimate(
            measure, float(observed.by_group[measure][0, g]), group=g, note=note
        )

    tar_at_far = {}
    for key, far in FAR_LEVELS.items():
        measurable, note = far_support(impostors, far)
        tar_at_far[key] = (
            estimate(f"tar@far={key}", note)
            if measurable
            else Estimate(value=None, low=None, high=None, note=note)
        )
    error_rate = float(observed.by_group["eer"][0, g])
    return GroupResult(
        accuracy=AccuracyEstimate(
            value=accuracy,
            low=low,
            high=high,
            note=_no_errors_note(accuracy == 1),
            fold_std=float(folds.std()),
        ),
        folds=folds.tolist(),
        eer=estimate("eer", _no_errors_note(error_rate == 0)),
        auc=estimate("auc"),
        tar_at_far=tar_at_far,
        fold_pairs=scorer.fold_pairs,
        genuine_pairs=len(scorer.ranking.genuine_order),
        impostor_pairs=impostors,
        identities=scorer.counts.identities,
        images=scorer.counts.images,
        single_image_identities=scorer.counts.single_image_identities,
        mean_genuine_cosine=scorer.mean_genuine,
        mean_impostor_cosine=scorer.mean_impostor,
        roc=_thin(scorer.roc()),
    )


def _no_errors_note(error_free: bool) -> str | None:
    if not error_free:
        return None
    return "no error among these pairs: the interval cannot show how many there are in truth"


def _overall(accuracies: NDArray[np.float64], summary: _Summary) -> Overall:
    mean = summary.estimate("overall.accuracy", float(accuracies.mean()))
    if len(accuracies) < 2:
        nothing = Estimate(value=None, low=None, high=None, note=_ONE_GROUP)
        return Overall(
            accuracy=mean,
            **dict.fromkeys(_OVER_GROUPS, nothing),
            worst_group=WorstGroup(value=None, share=None, note=_ONE_GROUP),
        )
    spread = {
        name: summary.estimate(f"overall.{name}", float(_OVER_GROUPS[name](accuracies)))
        for name in ("std_sample", "std_population", "gap")
    }
    return Overall(
        accuracy=mean,
        **spread,
        ser=_ser(accuracies, summary),
        worst_group=_worst(accuracies, summary),
    )


def _ser(accuracies: NDArray[np.float64], summary: _Summary) -> Estimate:
    ratio = float(fairness.skewed_error_ratio(accuracies))
    low, high = summary.interval("overall.ser", None, floor=1.0, ceiling=np.inf)
    notes = []
    if not np.isfinite(ratio):
        clean = [summary.groups[g] for g in np.flatnonzero(accuracies == 1)]
        notes.append(f"undefined: no error seen in {', '.join(clean)}")
    if low is not None and high is None:
        notes.append("no upper bound: too many resamples hold a group without error")
    return Estimate(
        value=ratio if np.isfinite(ratio) else None,
        low=low,
        high=high,
        note="; ".join(notes) or None,
    )


def _worst(accuracies: NDArray[np.float64], summary: _Summary) -> WorstGroup:
    share = None
    if "accuracy" in summary.samples:
        worst = fairness.worst_group(summary.samples["accuracy"])
        share = {name: float(np.mean(worst == g)) for g, name in enumerate(summary.groups)}
    lowest = np.flatnonzero(accuracies == accuracies.min())
    tied = ", ".join(summary.groups[g] for g in lowest)
    return WorstGroup(
        value=summary.groups[lowest[0]],
        share=share,
        note=f"tied: {tied}" if len(lowest) > 1 else None,
    )


def _global_threshold(
    threshold: _OneThreshold,
    observed: _Measured,
    summary: _Summary,
    scorers: list[_GroupScorer],
) -> GlobalThreshold:
    fmr, fnmr = observed.by_group["fmr"][0], observed.by_group["fnmr"][0]
    cosine = float(threshold.thresholds[observed.threshold_index[0]])
    notes = ["chosen on the pairs it is measured on"]
    fewest = min(len(scorer.ranking.impostor_order) for scorer in scorers)
    if note := far_support(fewest, TARGET_FMR)[1]:
        notes.append(f"smallest group: {note}")
    if not np.isfinite(cosine):
        notes.append("no threshold keeps the target: impostors have the highest score")
    one_group = Estimate(value=None, low=None, high=None, note=_ONE_GROUP)
    several = len(scorers) > 1
    fdr = float(fairness.fairness_discrepancy_rate(fmr, fnmr)) if several else None
    gini = float(fairness.garbe(fmr, fnmr)) if several else None
    return GlobalThreshold(
        target_fmr=TARGET_FMR,
        threshold=cosine if np.isfinite(cosine) else None,
        fmr={
            scorer.name: summary.estimate("fmr", float(fmr[g]), group=g)
            for g, scorer in enumerate(scorers)
        },
        fnmr={
            scorer.name: summary.estimate("fnmr", float(fnmr[g]), group=g)
            for g, scorer in enumerate(scorers)
        },
        fdr=summary.estimate("global.fdr", fdr) if several else one_group,
        garbe=summary.estimate("global.garbe", gini) if several else one_group,
        note="; ".join(notes),
    )


def _thin(curve: RocCurve) -> Roc:
    """Corners of the ROC near points even in log FAR and in TAR; first and last always kept."""
    corners = len(curve.far)
    kept = np.arange(corners)
    if corners > ROC_POINTS:
        half = ROC_POINTS // 2 - 1
        lowest = curve.far[curve.far > 0][0]
        by_far = np.searchsorted(curve.far, np.geomspace(lowest, 1, half))
        by_tar = np.searchsorted(curve.tar, np.linspace(0, 1, half))
        kept = np.unique(np.concatenate([[0], by_far, by_tar, [corners - 1]]))
        kept = kept[kept < corners]
    return Roc(far=curve.far[kept].tolist(), tar=curve.tar[kept].tolist())


def _protocol_summary(protocol: Protocol) -> ProtocolSummary:
    return ProtocolSummary(
        name=protocol.name,
        fingerprint=protocol.fingerprint,
        manifest_fingerprint=protocol.manifest_fingerprint,
        group_by=list(protocol.group_by),
        folds=protocol.folds,
        seed=protocol.seed,
        origins=protocol.origins,
        simulated=protocol.simulated,
        notes=list(protocol.notes),
    )


def _notes(scorers: list[_GroupScorer], replicates: int) -> list[str]:
    notes = []
    few = [s for s in scorers if s.counts.identities < FEW_IDENTITIES]
    if few and replicates:
        listed = ", ".join(f"{s.name} {s.counts.identities}" for s in few)
        notes.append(
            f"fewer than {FEW_IDENTITIES} identities ({listed}): a bootstrap over so few gives "
            "intervals that are too narrow"
        )
    if len(scorers) > 1:
        notes.append(
            "STD, SER and gap are never negative and so are biased upwards when groups are nearly "
            "equal: sampling noise alone makes them positive"
        )
    return notes
