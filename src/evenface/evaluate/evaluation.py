"""Scored pairs in, per-group figures with intervals out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.errors import DataError
from evenface.evaluate.cross import (
    IMAGES_A_GROUP,
    KEYS,
    CrossPair,
    CrossScores,
    compare_across,
    cross_tables,
)
from evenface.evaluate.details import (
    ChosenOn,
    Plots,
    calibration,
    operating_points,
    worst_case_threshold,
)
from evenface.evaluate.embeddings import cosines, squared_distances, unit_length
from evenface.evaluate.measures import of_kind
from evenface.evaluate.protocols import Pairs, Protocol
from evenface.evaluate.results import (
    GLOBAL,
    AccuracyEstimate,
    Bootstrap,
    CrossTable,
    Evaluation,
    GlobalThreshold,
    GroupResult,
    OperatingPoint,
    Overall,
    ProtocolSummary,
    WorstGroup,
)
from evenface.evaluate.scoring import (
    TARGET_FMR,
    GroupData,
    GroupFacts,
    GroupScorer,
    Measured,
    OneThreshold,
    ScoredPairs,
    Scorers,
)
from evenface.evaluate.summary import (
    NO_ERRORS,
    Resampled,
    Summary,
    over_groups,
    resampled,
    thin_roc,
)
from evenface.evaluate.verification import far_support
from evenface.record import Estimate
from evenface.seeds import generator

FEW_IDENTITIES = 20
"""With fewer identities in a group its intervals are flagged."""

_ONE_GROUP = "there is one group: nothing to compare"
_NOT_ON_GRID = "with exact thresholds: the reference grid is one of squared distances"


def evaluate_embeddings(
    embeddings: ArrayLike,
    protocol: Protocol,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    model: str | None = None,
    detail: bool = True,
    targets: Sequence[str] | None = None,
    cross_images: int | None = IMAGES_A_GROUP,
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
        detail: whether to measure more than the core: exact thresholds, TAR at more levels,
            operating points, the cross-table, calibration and plots.
        targets: keys of :data:`evenface.evaluate.operating.TARGETS`, the operating points that are
            measured; None for all with ``detail``, else none.
        cross_images: most images of a group that are compared for the cross-table; None for all.

    Raises:
        ValueError: ``embeddings`` not two-dimensional, or an argument out of range.
        DataError: another number of rows than the manifest's; a used row that is NaN, infinite or
            of zero norm (the row is named).
    """
    check_bootstrap(replicates, level)
    values = np.asarray(embeddings)
    if values.ndim == 2 and len(values) != len(protocol.identity):
        raise DataError(
            f"there are {len(values):,} embeddings, but the protocol's manifest has "
            f"{len(protocol.identity):,} rows: they do not belong together"
        )
    unit = unit_length(values, protocol.rows)
    single = unit.astype(np.float32)
    folds, pairs = protocol.fold_pairs, protocol.score_pairs
    # Distances are in double precision, as the reference has them; cosines in single.
    scores = PairScores(
        -squared_distances(unit, folds.a, folds.b), cosines(single, pairs.a, pairs.b), on_grid=True
    )

    def across(lowest: float) -> dict[CrossPair, CrossScores]:
        return _compare_across(protocol, single, lowest, images=cross_images, seed=seed)

    return _evaluate_pairs(
        scores,
        protocol,
        across=Across(across, _across_note(protocol, cross_images))
        if protocol.cross_table
        else None,
        bootstrap=Bootstrap(replicates=replicates, seed=seed, level=level),
        model=model,
        detail=detail,
        targets=targets,
    )


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scores of a protocol's pairs, higher for more alike."""

    folds: NDArray[np.floating]
    """(P,) of the fold pairs."""
    pairs: NDArray[np.floating]
    """(Q,) of the score pairs."""
    on_grid: bool = False
    """Whether ``folds`` are negative squared distances, for the reference protocol's grid."""


def evaluate_pair_scores(
    scores: PairScores,
    protocol: Protocol,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    model: str | None = None,
    detail: bool = True,
    targets: Sequence[str] | None = None,
) -> Evaluation:
    """Verification per group and fairness over groups, from scores of a protocol's pairs.

    As :func:`evaluate_embeddings`, with the same resamples, for a model of which nothing but scores
    is known. There is no cross-table: it compares images that are in no pair.

    Args:
        scores: of the protocol's pairs.
        protocol: which pairs.
        replicates, seed, level, model, detail, targets: as in :func:`evaluate_embeddings`.

    Raises:
        ValueError: an argument out of range.
        DataError: another number of scores than of pairs, or a score that is not finite.
    """
    check_bootstrap(replicates, level)
    for of, pairs in ((scores.folds, protocol.fold_pairs), (scores.pairs, protocol.score_pairs)):
        if of.shape != (len(pairs),):
            raise DataError(f"scores of shape {of.shape} for {len(pairs):,} pairs")
        if not np.isfinite(of).all():
            raise DataError(f"the score of pair {int((~np.isfinite(of)).argmax())} is not finite")
    return _evaluate_pairs(
        scores,
        protocol,
        across=None,
        bootstrap=Bootstrap(replicates=replicates, seed=seed, level=level),
        model=model,
        detail=detail,
        targets=targets,
    )


def _evaluate_pairs(
    scores: PairScores,
    protocol: Protocol,
    *,
    across: Across | None,
    bootstrap: Bootstrap,
    model: str | None,
    detail: bool,
    targets: Sequence[str] | None,
) -> Evaluation:
    split = _Split(protocol, bootstrap.seed)
    return evaluate_groups(
        [_group_data(protocol, g, scores, split) for g in range(len(protocol.groups))],
        protocol_summary(protocol),
        chosen_on=split.chosen_on,
        across=across,
        bootstrap=bootstrap,
        model=model,
        detail=detail,
        targets=targets,
        notes=split.notes if detail or targets else (),
    )


def check_bootstrap(replicates: int, level: float) -> None:
    """ValueError for a negative number of replicates, or a level outside (0, 1)."""
    if replicates < 0:
        raise ValueError(f"replicates must not be negative, got {replicates}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")


@dataclass(frozen=True)
class Across:
    """How people of different groups are compared."""

    compare: Callable[[float], dict[CrossPair, CrossScores]]
    """From the lowest threshold in question to the scores of every two groups."""
    note: str | None


def evaluate_groups(
    groups: Sequence[GroupData],
    protocol: ProtocolSummary,
    *,
    chosen_on: ChosenOn,
    across: Across | None,
    bootstrap: Bootstrap,
    model: str | None,
    detail: bool,
    targets: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Measure scored pairs; see :func:`evaluate_embeddings`.

    Args:
        groups: the pairs of each.
        protocol: what to say of them.
        chosen_on: what the parts of the score pairs are.
        across: for the cross-table; None for no such table.
        bootstrap: how to resample.
        model: name to put in the result.
        detail: whether to measure more than the core.
        targets: of the operating points; see :func:`evaluate_embeddings`.
        notes: what else a reader must know.
    """
    scorers = Scorers(groups, detail=detail, targets=targets)
    observed = scorers.observed()
    names = [data.facts.name for data in groups]
    fold_pairs = [scorer.fold_pairs for scorer in scorers.groups]
    of_folds = {
        measure: np.array([[folds[measure][0].mean() for folds in observed.folds]])
        for measure in observed.folds[0]
    }
    replicates = Resampled({}, {}, {})
    if bootstrap.replicates:
        replicates = resampled(
            {**observed.by_group, **of_folds},
            *scorers.replicates(bootstrap.replicates, bootstrap.seed),
            fold_pairs=fold_pairs,
            identities=[scorer.facts.identities for scorer in scorers.groups],
            level=bootstrap.level,
        )
    summary = Summary(names, replicates.replicates, bootstrap.level)
    plots = Plots(scorers.groups) if detail else None
    results = {
        scorer.name: _group_result(scorer, g, scorers, observed, summary, plots)
        for g, scorer in enumerate(scorers.groups)
    }
    accuracies = np.array([result.accuracy.value for result in results.values()])
    over = over_groups({**observed.by_group, "accuracy": accuracies[None]}, fold_pairs)
    evaluation = Evaluation(
        model=model,
        protocol=protocol,
        bootstrap=bootstrap,
        groups=results,
        overall=_overall(over, accuracies, summary, scorers.groups, _means(over, summary, results)),
        global_threshold=_global_threshold(
            over, scorers.threshold, observed, summary, scorers.groups
        ),
        notes=[*notes, *_notes(scorers.groups, bootstrap.replicates)],
        replicates=summary.samples,
        pair_replicates=replicates.pair_replicates,
        shrinkage=replicates.shrinkage,
    )
    if scorers.held_out is None:
        return evaluation
    points = operating_points(
        scorers.held_out, chosen_on, observed.by_group, summary, scorers.groups
    )
    more = {
        "operating_points": points,
        "cross_tables": _cross_tables(points, across, groups, bootstrap),
    }
    if scorers.calibration is not None:
        more |= {
            "worst_case_threshold": worst_case_threshold(
                scorers.held_out, observed.by_group, summary
            ),
            "calibration": calibration(scorers.calibration, observed.by_group, summary),
        }
    return evaluation.model_copy(update=more)


class _Split:
    """Parts of a protocol's score pairs: thresholds of one are chosen on the others.

    The pairs' own folds, where they have any; else two random halves of each group's identities,
    and pairs with one identity in either are left out of this.
    """

    def __init__(self, protocol: Protocol, seed: int) -> None:
        pairs = protocol.score_pairs
        self.chosen_on: ChosenOn = "other half of the identities"
        self.notes: list[str] = []
        ends = protocol.identity[pairs.a], protocol.identity[pairs.b]
        if len(pairs) and (pairs.fold >= 0).all() and len(np.unique(pairs.fold)) > 1:
            self.part = pairs.fold
            self.chosen_on = "other folds"
            if shared := shared_identities(pairs.fold, *ends):
                self.notes.append(shared)
            return
        self.part = identity_halves(pairs.group, *ends, groups=protocol.groups, seed=seed)


def identity_halves(
    group: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    *,
    groups: Sequence[str],
    seed: int,
) -> NDArray[np.int64]:
    """(P,) 0 or 1 for pairs within either random half of their group's identities, −1 across.

    Args:
        group: (P,) group of each pair. An identity that is in pairs of several groups is halved
            with the first.
        first, second: (P,) identities of the ends.
        groups: names of the groups.
        seed: decides the halves.
    """
    half = np.full(int(max(first.max(), second.max())) + 1, -1, dtype=np.int64)
    for g, name in enumerate(groups):
        of_group = group == g
        people = np.unique(np.concatenate([first[of_group], second[of_group]]))
        people = people[half[people] < 0]
        rng = generator(seed, "threshold-split", name)
        half[people] = 0
        half[rng.permutation(people)[: len(people) // 2]] = 1
    return np.where(half[first] == half[second], half[first], -1)


def shared_identities(
    fold: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> str | None:
    """What to say of folds that share identities: None where none do.

    Args:
        fold: (P,) fold of each pair, −1 for none.
        first, second: (P,) identities of its ends.
    """
    inside = np.tile(fold >= 0, 2)
    seen = np.unique(
        np.stack([np.concatenate([first, second])[inside], np.tile(fold, 2)[inside]]), axis=1
    )
    people, folds = np.unique(seen[0], return_counts=True)
    shared = int(np.count_nonzero(folds > 1))
    if not shared:
        return None
    return (
        f"{shared:,} of {len(people):,} identities are in more than one fold: thresholds are "
        "chosen in part on the people that they are measured on"
    )


def _group_data(protocol: Protocol, g: int, scores: PairScores, split: _Split) -> GroupData:
    in_folds, in_pairs = (p.group == g for p in (protocol.fold_pairs, protocol.score_pairs))
    folds, pairs = protocol.fold_pairs.select(in_folds), protocol.score_pairs.select(in_pairs)
    present = np.unique(protocol.identity[_rows_of(folds, pairs)])

    def scored(chosen: Pairs, scores: NDArray[np.floating], part: NDArray[np.int64]) -> ScoredPairs:
        first, second = (
            np.searchsorted(present, protocol.identity[end]) for end in (chosen.a, chosen.b)
        )
        return ScoredPairs(scores, chosen.genuine, first, second, part)

    counts = protocol.counts[g]
    return GroupData(
        facts=GroupFacts(
            name=protocol.groups[g],
            images=counts.images,
            identities=counts.identities,
            single_image_identities=counts.single_image_identities,
            mated_identities=counts.identities - counts.single_image_identities,
        ),
        units=len(present),
        fold_pairs=scored(folds, scores.folds[in_folds], folds.fold),
        on_grid=scores.on_grid,
        score_pairs=scored(pairs, scores.pairs[in_pairs], split.part[in_pairs]),
    )


def _rows_of(*pairs: Pairs) -> NDArray[np.int64]:
    return np.unique(np.concatenate([end for part in pairs for end in (part.a, part.b)]))


def _compare_across(
    protocol: Protocol, unit: NDArray[np.float32], lowest: float, *, images: int | None, seed: int
) -> dict[CrossPair, CrossScores]:
    rows, units = [], []
    for g in range(len(protocol.groups)):
        parts = [p.select(p.group == g) for p in (protocol.fold_pairs, protocol.score_pairs)]
        of_group = _rows_of(*parts)
        rows.append(of_group)
        units.append(np.unique(protocol.identity[of_group], return_inverse=True)[1])
    return compare_across(unit, rows, units, lowest, images=images, seed=seed)


def _across_note(protocol: Protocol, images: int | None) -> str:
    chosen = "all images" if images is None else f"at most {images:,} images a group, drawn"
    return f"all pairs of different people among {chosen}; intervals hold the threshold fixed"


def _cross_tables(
    points: Sequence[OperatingPoint],
    across: Across | None,
    groups: Sequence[GroupData],
    bootstrap: Bootstrap,
) -> list[CrossTable]:
    wanted = [
        (point.target_fmr, point.threshold)
        for point in points
        if point.key in KEYS and point.threshold is not None
    ]
    if across is None or not wanted or len(groups) < 2:
        return []
    cells = across.compare(min(threshold for _, threshold in wanted))
    return cross_tables(
        cells,
        [data.facts.name for data in groups],
        wanted,
        level=bootstrap.level if bootstrap.replicates else None,
        note=across.note,
    )


def _group_result(
    scorer: GroupScorer,
    g: int,
    scorers: Scorers,
    observed: Measured,
    summary: Summary,
    plots: Plots | None,
) -> GroupResult:
    impostors = len(scorer.ranking.impostor_order)

    def estimate(measure: str, note: str | None = None) -> Estimate:
        return summary.estimate(
            measure, float(observed.by_group[measure][0, g]), group=g, note=note
        )

    tar_at_far = {}
    for key, far in scorers.levels.items():
        measurable, note = far_support(impostors, far)
        tar_at_far[key] = (
            summary.tar(
                f"tar@far={key}",
                float(observed.by_group[f"tar@far={key}"][0, g]),
                group=g,
                trials=scorer.facts.genuine_trials,
                note=note,
            )
            if measurable
            else Estimate(note=note)
        )
    roc = scorer.roc()
    error_rate = float(observed.by_group["eer"][0, g])
    folds = observed.folds[g]
    accuracy = _accuracy("accuracy", g, folds, summary)
    if not scorer.data.on_grid:
        accuracy = accuracy.model_copy(update={"note": _joined(accuracy.note, _NOT_ON_GRID)})
    return GroupResult(
        accuracy=accuracy,
        folds=folds["accuracy"][0].tolist(),
        eer=estimate("eer", NO_ERRORS if error_rate == 0 else None),
        auc=estimate("auc"),
        dprime=estimate("dprime"),
        tar_at_far=tar_at_far,
        fold_pairs=scorer.fold_pairs,
        genuine_pairs=len(scorer.ranking.genuine_order),
        impostor_pairs=impostors,
        identities=scorer.facts.identities,
        images=scorer.facts.images,
        single_image_identities=scorer.facts.single_image_identities,
        mean_genuine_cosine=scorer.mean_genuine,
        mean_impostor_cosine=scorer.mean_impostor,
        roc=thin_roc(roc.far, roc.tar),
        accuracy_exact=_accuracy("accuracy_exact", g, folds, summary) if plots else None,
        distribution=plots.histogram(scorer) if plots else None,
        rates=plots.rates(scorer) if plots else None,
        measures={name: estimate(name) for name in of_kind("scores") if name in observed.by_group},
    )


def _accuracy(
    measure: str, g: int, folds: dict[str, NDArray[np.float64]], summary: Summary
) -> AccuracyEstimate:
    of_folds = folds[measure][0]
    accuracy = float(of_folds.mean())
    low, high = summary.interval(measure, accuracy, g)
    return AccuracyEstimate(
        value=accuracy,
        low=low,
        high=high,
        note=NO_ERRORS if accuracy == 1 else None,
        fold_std=float(of_folds.std()),
    )


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None


def _overall(
    values: dict[str, NDArray[np.float64]],
    accuracies: NDArray[np.float64],
    summary: Summary,
    scorers: Sequence[GroupScorer],
    means: dict[str, Estimate],
) -> Overall:
    mean = summary.estimate("overall.accuracy", float(accuracies.mean()))
    nothing = Estimate(note=_ONE_GROUP)
    if len(accuracies) < 2:
        return Overall(
            accuracy=mean,
            means=means,
            **dict.fromkeys(_spreads(), nothing),
            measures={},
            std_expected=nothing,
            std_corrected=nothing,
            std_excess_p=None,
            ser=nothing,
            worst_group=WorstGroup(value=None, share=None, note=_ONE_GROUP),
        )
    found = {
        name: summary.estimate(f"overall.{name}", float(values[f"overall.{name}"][0]))
        for name in of_kind("overall")
        if name != "ser" and f"overall.{name}" in values
    }
    expected = Estimate(note="no replicates to expect it from")
    corrected = expected
    if "accuracy" in summary.samples:
        summary.samples["overall.std_expected"], value = summary.std_expected()
        expected = summary.estimate("overall.std_expected", value)
        corrected = summary.estimate(
            "overall.std_corrected",
            summary.std_corrected(float(values["overall.std_sample"][0])),
        )
    trials = [scorer.facts.impostor_trials for scorer in scorers]
    return Overall(
        accuracy=mean,
        means=means,
        **{name: found.pop(name) for name in _spreads()},
        measures=found,
        std_expected=expected,
        std_corrected=corrected,
        std_excess_p=summary.std_excess_p(float(values["overall.std_sample"][0])),
        ser=summary.ratio("overall.ser", 1 - accuracies, "error", trials, "error"),
        worst_group=summary.worst_group(accuracies),
    )


def _spreads() -> list[str]:
    """The measures over groups that have a field of their own, but for the ratio SER."""
    return [name for name in of_kind("overall") if name in Overall.model_fields and name != "ser"]


def _means(
    values: dict[str, NDArray[np.float64]], summary: Summary, groups: dict[str, GroupResult]
) -> dict[str, Estimate]:
    """Means over groups; none where a group's figure is refused or undefined."""
    found = {}
    for key, value in values.items():
        scope, _, measure = key.partition(".")
        if scope != "mean":
            continue
        of_groups = {name: group.estimate(measure) for name, group in groups.items()}
        lacking = [name for name, of in of_groups.items() if of is None or of.value is None]
        if lacking:
            note = f"not measurable: no figure of {', '.join(lacking)}"
            found[measure] = Estimate(note=note)
        else:
            found[measure] = summary.estimate(key, float(value[0]))
    return found


def _global_threshold(
    values: dict[str, NDArray[np.float64]],
    threshold: OneThreshold,
    observed: Measured,
    summary: Summary,
    scorers: Sequence[GroupScorer],
) -> GlobalThreshold:
    impostors = [len(scorer.ranking.impostor_order) for scorer in scorers]
    measurable, note = far_support(sum(impostors), TARGET_FMR)
    if not measurable:
        nothing = Estimate(note=note)
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

    def by_group_of(
        measure: str, rates: NDArray[np.float64], trials: Sequence[int | None]
    ) -> dict[str, Estimate]:
        return {
            name: summary.rate(measure, float(rates[g]), group=g, trials=trials[g])
            for g, name in enumerate(summary.groups)
        }

    genuine_trials = [scorer.facts.genuine_trials for scorer in scorers]
    over = dict.fromkeys(GLOBAL, Estimate(note=_ONE_GROUP))
    if len(scorers) > 1:
        over = {
            name: summary.estimate(f"global.{name}", float(values[f"global.{name}"][0]))
            for name in ("fdr", "garbe")
        }
        over["fnmr_ratio"] = summary.ratio(
            "global.fnmr_ratio", fnmr, "fnmr", genuine_trials, "false non-match"
        )
    return GlobalThreshold(
        target_fmr=TARGET_FMR,
        threshold=cosine if np.isfinite(cosine) else None,
        fmr=by_group_of("fmr", fmr, [scorer.facts.impostor_trials for scorer in scorers]),
        fnmr=by_group_of("fnmr", fnmr, genuine_trials),
        **over,
        note="; ".join(notes),
    )


def protocol_summary(protocol: Protocol) -> ProtocolSummary:
    """What a result says of its protocol."""
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
        pairs=protocol.pairs,
    )


def _notes(scorers: Sequence[GroupScorer], replicates: int) -> list[str]:
    notes = []
    sizes = {s.name: s.facts.identities for s in scorers}
    few = {name: n for name, n in sizes.items() if n is not None and n < FEW_IDENTITIES}
    if few and replicates:
        listed = ", ".join(f"{name} {n}" for name, n in few.items())
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
