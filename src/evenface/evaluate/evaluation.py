"""Embeddings in, per-group figures with intervals out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.errors import DataError
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
from evenface.evaluate.summary import Summary, over_groups, thin_roc
from evenface.evaluate.verification import far_support

FEW_IDENTITIES = 20
"""With fewer identities in a group its intervals are flagged."""

_SPREADS = ("std_sample", "std_population", "gap", "dprime_gap", "probit_gap")
_UPPER = "an upper estimate: replicates of accuracy scatter up to 1.6 times as much as they should"
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
    fold_pairs = [scorer.fold_pairs for scorer in scorers]
    if replicates:
        resampled |= over_groups(resampled, fold_pairs)
    summary = Summary(protocol.groups, resampled, level)
    groups = {
        scorer.name: _group_result(scorer, g, observed, summary) for g, scorer in enumerate(scorers)
    }
    accuracies = np.array([result.accuracy.value for result in groups.values()])
    over = over_groups({**observed.by_group, "accuracy": accuracies[None]}, fold_pairs)
    return Evaluation(
        model=model,
        protocol=_protocol_summary(protocol),
        bootstrap=Bootstrap(replicates=replicates, seed=seed, level=level),
        groups=groups,
        overall=_overall(over, accuracies, summary, scorers),
        global_threshold=_global_threshold(over, threshold, observed, summary, scorers),
        notes=_notes(scorers, replicates),
        replicates=summary.samples,
    )


def _group_result(scorer: GroupScorer, g: int, observed: Measured, summary: Summary) -> GroupResult:
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
    roc = scorer.roc()
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
        dprime=estimate("dprime"),
        tar_at_far=tar_at_far,
        fold_pairs=scorer.fold_pairs,
        genuine_pairs=len(scorer.ranking.genuine_order),
        impostor_pairs=impostors,
        identities=scorer.counts.identities,
        images=scorer.counts.images,
        single_image_identities=scorer.counts.single_image_identities,
        mean_genuine_cosine=scorer.mean_genuine,
        mean_impostor_cosine=scorer.mean_impostor,
        roc=thin_roc(roc.far, roc.tar),
    )


def _no_errors_note(error_free: bool) -> str | None:
    if not error_free:
        return None
    return "no error among these pairs: the interval cannot show how many there are in truth"


def _overall(
    values: dict[str, NDArray[np.float64]],
    accuracies: NDArray[np.float64],
    summary: Summary,
    scorers: list[GroupScorer],
) -> Overall:
    mean = summary.estimate("overall.accuracy", float(accuracies.mean()))
    nothing = Estimate(value=None, low=None, high=None, note=_ONE_GROUP)
    if len(accuracies) < 2:
        return Overall(
            accuracy=mean,
            **dict.fromkeys(_SPREADS, nothing),
            std_expected=nothing,
            std_excess_p=None,
            ser=nothing,
            worst_group=WorstGroup(value=None, share=None, note=_ONE_GROUP),
        )
    spreads = {
        name: summary.estimate(f"overall.{name}", float(values[f"overall.{name}"][0]))
        for name in _SPREADS
    }
    expected = Estimate(value=None, low=None, high=None, note="no replicates to expect it from")
    errors = None
    if "accuracy" in summary.samples:
        errors = 1 - summary.samples["accuracy"]
        summary.samples["overall.std_expected"], value = summary.std_expected()
        expected = summary.estimate("overall.std_expected", value, note=_UPPER)
    identities = [scorer.genuine_identities for scorer in scorers]
    return Overall(
        accuracy=mean,
        **spreads,
        std_expected=expected,
        std_excess_p=summary.std_excess_p(float(values["overall.std_sample"][0])),
        ser=summary.ratio("overall.ser", 1 - accuracies, errors, identities, "error"),
        worst_group=summary.worst_group(accuracies),
    )


def _global_threshold(
    values: dict[str, NDArray[np.float64]],
    threshold: OneThreshold,
    observed: Measured,
    summary: Summary,
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
            fnmr_ratio=nothing,
            note=note,
        )
    cosine = float(threshold.thresholds[observed.threshold_index[0]])
    notes = ["chosen on the pairs it is measured on"]
    if note := far_support(min(impostors), TARGET_FMR)[1]:
        notes.append(f"FMR of the smallest group: {note}")
    if not np.isfinite(cosine):
        notes.append("no threshold keeps the target: impostors have the highest score")
    fmr, fnmr = observed.by_group["fmr"][0], observed.by_group["fnmr"][0]

    def by_group_of(measure: str, rates: NDArray[np.float64]) -> dict[str, Estimate]:
        return {
            name: summary.estimate(measure, float(rates[g]), group=g)
            for g, name in enumerate(summary.groups)
        }

    over = dict.fromkeys(
        ("fdr", "garbe", "fnmr_ratio"), Estimate(value=None, low=None, high=None, note=_ONE_GROUP)
    )
    if len(scorers) > 1:
        over = {
            name: summary.estimate(f"global.{name}", float(values[f"global.{name}"][0]))
            for name in ("fdr", "garbe")
        }
        identities = [scorer.genuine_identities for scorer in scorers]
        over["fnmr_ratio"] = summary.ratio(
            "global.fnmr_ratio", fnmr, summary.samples.get("fnmr"), identities, "false non-match"
        )
    return GlobalThreshold(
        target_fmr=TARGET_FMR,
        threshold=cosine if np.isfinite(cosine) else None,
        fmr=by_group_of("fmr", fmr),
        fnmr=by_group_of("fnmr", fnmr),
        **over,
        note="; ".join(notes),
    )


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
            "STD, ratios and gaps are biased upwards when groups are nearly equal: sampling noise "
            "alone makes them positive. Read the STD against the one expected of equal groups"
        )
    return notes
