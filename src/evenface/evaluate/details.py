"""Records of what an audit shows beyond the core: operating points, calibration, plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.measures import of_kind
from evenface.evaluate.operating import HeldOutThresholds
from evenface.evaluate.reliability import METHOD, CalibrationScorer
from evenface.evaluate.results import (
    Calibration,
    GroupCalibration,
    Histogram,
    OperatingPoint,
    OwnThreshold,
    RateCurve,
    Reliability,
    WorstCaseThreshold,
    WorstGroup,
)
from evenface.evaluate.scoring import GroupScorer
from evenface.evaluate.summary import Summary
from evenface.evaluate.verification import accepted_at, far_support
from evenface.record import Estimate

HISTOGRAM_BINS = 100
CURVE_POINTS = 101

ChosenOn = Literal["other folds", "other half of the identities"]

_NO_PAIRS = "a group has no pairs of a kind to choose the threshold on, or to measure"


def operating_points(
    held_out: HeldOutThresholds,
    chosen_on: ChosenOn,
    observed: dict[str, NDArray[np.float64]],
    summary: Summary,
    scorers: Sequence[GroupScorer],
) -> list[OperatingPoint]:
    """One for each target, those that the pairs do not support without figures."""
    chosen = held_out.chosen()
    return [
        _operating_point(key, target, held_out, chosen, chosen_on, observed, summary, scorers)
        for key, target in held_out.targets.items()
    ]


def _operating_point(
    key: str,
    target: float,
    held_out: HeldOutThresholds,
    chosen: dict[str, NDArray[np.float64]],
    chosen_on: ChosenOn,
    observed: dict[str, NDArray[np.float64]],
    summary: Summary,
    scorers: Sequence[GroupScorer],
) -> OperatingPoint:
    groups = summary.groups
    own = {
        name: _own_threshold(key, target, held_out, chosen, observed, summary, g, scorers[g])
        for g, name in enumerate(groups)
    }
    fmr, fnmr = observed[f"fmr@{key}"][0], observed[f"fnmr@{key}"][0]
    supported, note = far_support(int(held_out.training_impostors.sum(axis=0).min()), target)
    if supported and np.isnan([fmr, fnmr]).any():
        supported, note = False, _NO_PAIRS
    if not supported:
        nothing = Estimate(note=note)
        nobody = WorstGroup(value=None, share=None, note=note)
        return OperatingPoint(
            key=key,
            target_fmr=target,
            chosen_on=chosen_on,
            threshold=None,
            thresholds=[],
            fmr=dict.fromkeys(groups, nothing),
            fnmr=dict.fromkeys(groups, nothing),
            mean_fmr=nothing,
            mean_fnmr=nothing,
            own=own,
            measures=dict.fromkeys(of_kind("threshold"), nothing) if len(groups) > 1 else {},
            worst_fmr=nobody,
            worst_fnmr=nobody,
            note=note,
        )
    of_fmr = [scorer.facts.impostor_trials for scorer in scorers]
    of_fnmr = [scorer.facts.genuine_trials for scorer in scorers]
    notes = [note] if note else []
    thresholds = [float(t) if np.isfinite(t) else None for t in chosen[key]]
    found = [t for t in thresholds if t is not None]
    if len(found) < len(thresholds):
        notes.append("no threshold keeps the target: impostors have the highest score")
    measures: dict[str, Estimate] = {}
    if len(groups) > 1:
        measures = summary.at_operating_point(key, fmr, fnmr, (of_fmr, of_fnmr))

    def by_group(
        measure: str, rates: NDArray[np.float64], trials: Sequence[int | None]
    ) -> dict[str, Estimate]:
        return {
            name: summary.rate(measure, float(rates[g]), group=g, trials=trials[g])
            for g, name in enumerate(groups)
        }

    return OperatingPoint(
        key=key,
        target_fmr=target,
        chosen_on=chosen_on,
        threshold=float(np.mean(found)) if len(found) == len(thresholds) else None,
        thresholds=thresholds,
        fmr=by_group(f"fmr@{key}", fmr, of_fmr),
        fnmr=by_group(f"fnmr@{key}", fnmr, of_fnmr),
        mean_fmr=summary.estimate(f"mean_fmr@{key}", float(fmr.mean())),
        mean_fnmr=summary.estimate(f"mean_fnmr@{key}", float(fnmr.mean())),
        own=own,
        measures=measures,
        worst_fmr=summary.worst_group(fmr, f"fmr@{key}", errors=True),
        worst_fnmr=summary.worst_group(fnmr, f"fnmr@{key}", errors=True),
        note="; ".join(notes) or None,
    )


def _own_threshold(
    key: str,
    target: float,
    held_out: HeldOutThresholds,
    chosen: dict[str, NDArray[np.float64]],
    observed: dict[str, NDArray[np.float64]],
    summary: Summary,
    g: int,
    scorer: GroupScorer,
) -> OwnThreshold:
    supported, note = far_support(int(held_out.training_impostors[g].min()), target)
    rates = {name: observed[f"own.{name}@{key}"][0, g] for name in ("fmr", "fnmr")}
    if supported and any(np.isnan(rate) for rate in rates.values()):
        supported, note = False, _NO_PAIRS
    if not supported:
        nothing = Estimate(note=note)
        return OwnThreshold(threshold=None, fmr=nothing, fnmr=nothing)
    threshold = float(chosen[f"own.{key}"][g].mean())
    trials = {"fmr": scorer.facts.impostor_trials, "fnmr": scorer.facts.genuine_trials}
    return OwnThreshold(
        threshold=threshold if np.isfinite(threshold) else None,
        **{
            name: summary.rate(
                f"own.{name}@{key}", float(rate), group=g, trials=trials[name], note=note
            )
            for name, rate in rates.items()
        },
    )


def worst_case_threshold(
    held_out: HeldOutThresholds, observed: dict[str, NDArray[np.float64]], summary: Summary
) -> WorstCaseThreshold | None:
    """None where a group lacks pairs of a kind."""
    if held_out.worst_case is None or np.isnan(observed["worst_case.error"]).any():
        return None
    errors = observed["worst_case.error"][0]
    threshold = float(held_out.thresholds[held_out.worst_case].mean())
    measure = "worst_case.worst_error" if len(errors) > 1 else "worst_case.error"
    return WorstCaseThreshold(
        threshold=threshold if np.isfinite(threshold) else None,
        error={
            name: summary.estimate("worst_case.error", float(errors[g]), group=g)
            for g, name in enumerate(summary.groups)
        },
        worst_error=summary.estimate(
            measure, float(errors.max()), group=0 if len(errors) == 1 else None
        ),
        worst_group=summary.worst_group(errors, "worst_case.error", errors=True),
        note="the threshold stays as it is in resamples",
    )


def calibration(
    scorer: CalibrationScorer, observed: dict[str, NDArray[np.float64]], summary: Summary
) -> Calibration:
    """Reliability and errors of each group."""
    groups = {}
    for g, name in enumerate(summary.groups):
        predicted, seen, pairs = scorer.bins(g)
        groups[name] = GroupCalibration(
            reliability=Reliability(
                predicted=_finite(predicted), observed=_finite(seen), pairs=pairs.tolist()
            ),
            **{
                measure: summary.estimate(
                    f"calibration.{measure}",
                    float(observed[f"calibration.{measure}"][0, g]),
                    group=g,
                    note=None if pairs.any() else _NO_PAIRS,
                )
                for measure in ("brier", "error")
            },
        )
    return Calibration(method=METHOD, groups=groups, note="the map stays as it is in resamples")


class Plots:
    """Score distributions and error rates of all groups over one range of scores."""

    def __init__(self, scorers: Sequence[GroupScorer]) -> None:
        scores = [scorer.data.score_pairs.scores for scorer in scorers]
        finite = [of[np.isfinite(of)] for of in scores]
        self._low = float(min(of.min(initial=np.inf) for of in finite))
        self._high = float(max(of.max(initial=-np.inf) for of in finite))
        if not np.isfinite([self._low, self._high]).all():
            self._low, self._high = 0.0, 1.0

    def histogram(self, scorer: GroupScorer) -> Histogram:
        """Counts in :data:`HISTOGRAM_BINS` bins; infinite scores are left out."""
        pairs = scorer.data.score_pairs
        # A range without width is widened, as NumPy would, so that it can be written down.
        high = self._high if self._high > self._low else self._low + 1
        counts = [
            np.histogram(pairs.scores[kind], bins=HISTOGRAM_BINS, range=(self._low, high))[0]
            for kind in (pairs.genuine, ~pairs.genuine)
        ]
        return Histogram(
            low=self._low, high=high, genuine=counts[0].tolist(), impostor=counts[1].tolist()
        )

    def rates(self, scorer: GroupScorer) -> RateCurve:
        """FMR and FNMR at :data:`CURVE_POINTS` thresholds."""
        pairs = scorer.data.score_pairs
        thresholds = np.linspace(self._low, self._high, CURVE_POINTS)
        share = [
            accepted_at(np.sort(pairs.scores[kind]), thresholds) / np.count_nonzero(kind)
            for kind in (pairs.genuine, ~pairs.genuine)
        ]
        return RateCurve(
            thresholds=thresholds.tolist(), fmr=share[1].tolist(), fnmr=(1 - share[0]).tolist()
        )


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
