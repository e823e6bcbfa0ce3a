"""Embeddings in, per-group figures with intervals out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.errors import DataError
from evenface.evaluate import fairness
from evenface.evaluate.bootstrap import percentile_interval
from evenface.evaluate.embeddings import unit_length
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
from evenface.evaluate.scoring import (
    FAR_LEVELS,
    TARGET_FMR,
    GroupScorer,
    Measured,
    OneThreshold,
    measure,
    measure_replicates,
)
from evenface.evaluate.verification import RocCurve, far_support

ROC_POINTS = 200
FEW_IDENTITIES = 20
"""With fewer identities in a group its intervals are flagged."""

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
    scorers = [GroupScorer(protocol, g, unit) for g in range(len(protocol.groups))]
    threshold = OneThreshold([scorer.ranking for scorer in scorers])
    observed = measure(scorers, threshold, [scorer.once for scorer in scorers])
    resampled = measure_replicates(scorers, threshold, replicates, seed)
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
    scorer: GroupScorer, g: int, observed: Measured, summary: _Summary
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
        samples = summary.samples["accuracy"]
        samples = samples[~np.isnan(samples).any(axis=1)]
        if len(samples):
            ties = samples == samples.min(axis=1, keepdims=True)
            shares = (ties / ties.sum(axis=1, keepdims=True)).mean(axis=0)
            share = dict(zip(summary.groups, shares.tolist(), strict=True))
    lowest = np.flatnonzero(accuracies == accuracies.min())
    tied = ", ".join(summary.groups[g] for g in lowest)
    return WorstGroup(
        value=summary.groups[lowest[0]],
        share=share,
        note=f"tied: {tied}" if len(lowest) > 1 else None,
    )


def _global_threshold(
    threshold: OneThreshold,
    observed: Measured,
    summary: _Summary,
    scorers: list[GroupScorer],
) -> GlobalThreshold:
    impostors = [len(scorer.ranking.impostor_order) for scorer in scorers]
    measurable, note = far_support(sum(impostors), TARGET_FMR)
    if not measurable:
        nothing = Estimate(value=None, low=None, high=None, note=note)
        by_group = dict.fromkeys(summary.groups, nothing)
        return GlobalThreshold(
            target_fmr=TARGET_FMR,
            threshold=None,
            fmr=by_group,
            fnmr=by_group,
            fdr=nothing,
            garbe=nothing,
            note=note,
        )
    cosine = float(threshold.thresholds[observed.threshold_index[0]])
    notes = ["chosen on the pairs it is measured on"]
    if note := far_support(min(impostors), TARGET_FMR)[1]:
        notes.append(f"FMR of the smallest group: {note}")
    if not np.isfinite(cosine):
        notes.append("no threshold keeps the target: impostors have the highest score")
    fmr, fnmr = observed.by_group["fmr"][0], observed.by_group["fnmr"][0]

    def by_group_of(measure: str, values: NDArray[np.float64]) -> dict[str, Estimate]:
        return {
            name: summary.estimate(measure, float(values[g]), group=g)
            for g, name in enumerate(summary.groups)
        }

    if len(scorers) > 1:
        fdr = float(fairness.fairness_discrepancy_rate(fmr, fnmr))
        fdr_estimate = summary.estimate("global.fdr", fdr)
        garbe_estimate = summary.estimate("global.garbe", float(fairness.garbe(fmr, fnmr)))
    else:
        fdr_estimate = garbe_estimate = Estimate(value=None, low=None, high=None, note=_ONE_GROUP)
    return GlobalThreshold(
        target_fmr=TARGET_FMR,
        threshold=cosine if np.isfinite(cosine) else None,
        fmr=by_group_of("fmr", fmr),
        fnmr=by_group_of("fnmr", fnmr),
        fdr=fdr_estimate,
        garbe=garbe_estimate,
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


def _notes(scorers: list[GroupScorer], replicates: int) -> list[str]:
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
