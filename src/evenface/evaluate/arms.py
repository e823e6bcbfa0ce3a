"""An arm: one way to train, tried with several seeds, and how sure its figures are.

A model's figures vary with the people it is tested on and with the chance in its training. The
intervals of one evaluation cover the former only. Here the evaluations of an arm's models, one for
each training seed, become one evaluation:

- Values are means over seeds. A measure that is no average of its parts (STD, SER, gaps, ratios) is
  computed for each model and then averaged: a group is served by a model, not by the average of
  several, and averaging accuracies first would hide unevenness that differs between seeds.
- Replicates resample identities and seeds. Replicate r is the mean over seeds under identity
  resample r, the same for all seeds, plus the deviation of the mean of n − 1 seeds, drawn with
  replacement, from that of all n. Drawing n would understate the variance of a mean over few seeds
  by the factor (n − 1)/n; n − 1 sets it right (Rao & Wu, *Resampling Inference with Complex Survey
  Data*, JASA 83, 1988). What differs between seeds *and* identities at once is in both parts; it is
  taken from the first, whose variance becomes the covariance of two seeds
  (:func:`evenface.evaluate.bootstrap.shrinkage_to_shared`).
- The core is averaged, and so are operating points; the cross-table counts all models' matches
  together, without intervals. There are no calibration and no plots.
- The draw of seeds depends on the bootstrap's seed and the number of seeds only. Arms of the same
  seeds share it: their differences are paired by seed and by identity.

n seeds show the chance in training n times. Replicates of a mean over few seeds reach no further
than the seeds do, so they are expanded by Student's t with the effective degrees of freedom of
seeds and people together (:func:`evenface.evaluate.bootstrap.seeds_freedom`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from evenface.evaluate.bootstrap import Figure, mean_figure
from evenface.evaluate.results import (
    AccuracyEstimate,
    Bootstrap,
    CrossCell,
    CrossTable,
    Evaluation,
    GlobalThreshold,
    GroupResult,
    OperatingPoint,
    Overall,
    OwnThreshold,
    Roc,
    WorstGroup,
)
from evenface.evaluate.summary import Summary, thin_roc
from evenface.record import Estimate, Record
from evenface.seeds import generator


class SeedAccuracy(Record):
    """One of an arm's models."""

    seed: int
    accuracy: dict[str, float | None]
    mean: float | None
    """Over groups."""


class ArmEvaluation(Evaluation):
    """All models of one arm on one protocol; see the module for what values and replicates are."""

    seeds: list[SeedAccuracy] = Field(default_factory=list)
    """Empty for a model that was not trained here."""
    _models: tuple[Evaluation, ...] = PrivateAttr(default=())

    @property
    def models(self) -> tuple[Evaluation, ...]:
        """The evaluations it was made of, in the order of ``seeds``; not part of the JSON."""
        return self._models

    def figure(self, measure: str, group: str | None = None) -> Figure:
        """The mean over models, with the chance in training as the seeds show it."""
        if not self._models:
            return super().figure(measure, group)
        figures = [model.figure(measure, group) for model in self._models]
        return replace(self.averaged(figures), value=self.estimate(measure, group).value)

    def averaged(self, figures: Sequence[Figure]) -> Figure:
        """The mean of a figure of each model, with the chance in training as the seeds show it."""
        mean = _mean_over_models(figures, self.bootstrap.seed)
        return replace(mean, models=mean.models[: len(self.seeds)], level=self.bootstrap.level)

    def _pairing(self) -> tuple[object, ...]:
        return *super()._pairing(), tuple(model.seed for model in self.seeds)


def evaluate_arm(
    evaluations: Sequence[Evaluation], seeds: Sequence[int], *, model: str | None = None
) -> ArmEvaluation:
    """One evaluation from those of an arm's models.

    Args:
        evaluations: one for each training seed, of one protocol with one bootstrap seed, number
            of replicates and level.
        seeds: the training seeds; empty, with one evaluation, for a model without any.
        model: name to put in the result.

    Raises:
        ValueError: another number of evaluations than seeds, a seed twice, or evaluations that do
            not belong together.
    """
    if len(evaluations) != max(1, len(seeds)) or len(set(seeds)) != len(seeds):
        raise ValueError(
            f"needs one evaluation for each seed and each seed once, got {len(evaluations)} "
            f"evaluations and seeds {list(seeds)}"
        )
    first = evaluations[0]
    for other in evaluations[1:]:
        if (other.protocol, other.bootstrap) != (first.protocol, first.bootstrap):
            raise ValueError(
                "evaluations on different protocols, bootstrap seeds, replicates or levels are not "
                f"of one arm: {first.protocol.name} and {other.protocol.name}, {first.bootstrap} "
                f"and {other.bootstrap}"
            )
    bootstrap = first.bootstrap
    points = _common_points(evaluations)
    samples = {
        measure: _joint(evaluations, measure)
        for measure in first.replicates
        if _averaged(measure, points)
    }
    arm = _Arm(evaluations, Summary(list(first.groups), samples, bootstrap.level))
    several = len(evaluations) > 1
    result = ArmEvaluation(
        model=model,
        protocol=first.protocol,
        bootstrap=Bootstrap(
            unit="seed and identity" if several else "identity",
            replicates=bootstrap.replicates,
            seed=bootstrap.seed,
            level=bootstrap.level,
        ),
        groups={name: arm.group(name) for name in first.groups},
        overall=arm.overall(),
        global_threshold=arm.global_threshold(),
        operating_points=[arm.operating_point(key, of) for key, of in points.items()],
        cross_tables=_pooled_tables(evaluations),
        notes=[*_seed_notes(len(seeds)), *dict.fromkeys(n for e in evaluations for n in e.notes)],
        replicates=samples,
        seeds=[
            SeedAccuracy(
                seed=seed,
                accuracy={name: of.accuracy.value for name, of in evaluation.groups.items()},
                mean=evaluation.overall.accuracy.value,
            )
            for seed, evaluation in zip(seeds, evaluations, strict=False)
        ],
    )
    result._models = tuple(evaluations)
    return result


def _averaged(measure: str, points: Collection[str]) -> bool:
    """Whether an arm that has these operating points has this measure of its models."""
    name, _, key = measure.partition("@")
    known = not key or "=" in key or key in points
    return known and not name.startswith(("worst_case.", "calibration."))


def _common_points(evaluations: Sequence[Evaluation]) -> dict[str, list[OperatingPoint]]:
    """Key → the operating point of each model, where every model has a threshold."""
    of_models = [
        {point.key: point for point in of.operating_points if point.threshold is not None}
        for of in evaluations
    ]
    return {
        key: [points[key] for points in of_models]
        for key in of_models[0]
        if all(key in points for points in of_models)
    }


@lru_cache(maxsize=16)
def seed_weights(seeds: int, replicates: int, bootstrap_seed: int) -> NDArray[np.float64]:
    """(replicates, seeds) shares of n − 1 of n seeds drawn with replacement; rows sum to one."""
    if seeds == 1:
        return np.ones((replicates, 1))
    rng = generator(bootstrap_seed, "seed-bootstrap", seeds)
    drawn = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=replicates) / (seeds - 1)
    drawn.flags.writeable = False
    return drawn


def _mean_over_models(figures: Sequence[Figure], bootstrap_seed: int) -> Figure:
    """The mean of a figure of each model, one for each training seed."""
    mean = mean_figure(figures)
    models = np.array([np.nan if of.value is None else of.value for of in figures])
    people, pairs = (
        np.stack(rows) for rows in ([of.people for of in figures], [of.pairs for of in figures])
    )
    return replace(
        mean,
        training=_of_training(models, len(mean.people), bootstrap_seed),
        models=models,
        of_models=(people, pairs) if len(figures) > 1 and pairs.size else None,
    )


def _of_training(
    models: NDArray[np.float64], replicates: int, bootstrap_seed: int
) -> NDArray[np.float64]:
    """(R, …) deviations of the mean of drawn seeds; 0 where a model (n, …) is undefined."""
    deviations = np.nan_to_num(models - models.mean(axis=0), nan=0.0, posinf=0.0, neginf=0.0)
    return np.tensordot(seed_weights(len(models), replicates, bootstrap_seed), deviations, axes=1)


def _joint(evaluations: Sequence[Evaluation], measure: str) -> NDArray[np.float64]:
    """(R, …) joint replicates of the mean over models."""
    first = evaluations[0]
    if len(evaluations) == 1:
        return first.replicates[measure]
    groups: list[str | None] = list(first.groups) if first.replicates[measure].ndim == 2 else [None]
    columns = []
    for group in groups:
        figures = [evaluation.figure(measure, group) for evaluation in evaluations]
        columns.append(_mean_over_models(figures, first.bootstrap.seed).expanded)
    return columns[0] if groups == [None] else np.stack(columns, axis=1)


class _Arm:
    """Mean records over an arm's models, with the intervals of the joint replicates."""

    def __init__(self, evaluations: Sequence[Evaluation], summary: Summary) -> None:
        self.evaluations = evaluations
        self.summary = summary

    def estimate(self, measure: str, group: str | None = None) -> Estimate:
        """Mean over models. Where one is undefined, so is the mean; its lower bound is then the
        mean of the models' lower bounds."""
        parts = [evaluation.estimate(measure, group) for evaluation in self.evaluations]
        values = [part.value for part in parts if part.value is not None]
        note = "; ".join(dict.fromkeys(part.note for part in parts if part.note)) or None
        if len(values) == len(parts):
            column = None if group is None else self.summary.groups.index(group)
            value = float(np.mean(values))
            return self.summary.estimate(measure, value, group=column, note=note)
        lows = [part.low for part in parts if part.low is not None]
        low = float(np.mean(lows)) if len(lows) == len(parts) else None
        if values:
            note = f"undefined for {len(parts) - len(values)} of {len(parts)} models; {note}"
        return Estimate(value=None, low=low, high=None, note=note)

    def group(self, name: str) -> GroupResult:
        results = [evaluation.groups[name] for evaluation in self.evaluations]

        def mean(of: Callable[[GroupResult], float | list[float]]) -> Any:
            return np.mean([of(result) for result in results], axis=0).tolist()

        first = results[0]
        figures = {
            "accuracy": self._accuracy("accuracy", name),
            "folds": mean(lambda r: r.folds),
            "eer": self.estimate("eer", name),
            "auc": self.estimate("auc", name),
            "dprime": self.estimate("dprime", name),
            "tar_at_far": {far: self.estimate(f"tar@far={far}", name) for far in first.tar_at_far},
            "mean_genuine_cosine": mean(lambda r: r.mean_genuine_cosine),
            "mean_impostor_cosine": mean(lambda r: r.mean_impostor_cosine),
            "accuracy_exact": (
                self._accuracy("accuracy_exact", name) if first.accuracy_exact else None
            ),
            "measures": {measure: self.estimate(measure, name) for measure in first.measures},
            "distribution": None,
            "rates": None,
            "roc": _mean_roc([result.roc for result in results]),
        }
        # The rest counts pairs, people and images, which the protocol fixes.
        return first.model_copy(update=figures)

    def _accuracy(self, measure: str, name: str) -> AccuracyEstimate:
        parts = [getattr(of.groups[name], measure).fold_std for of in self.evaluations]
        return AccuracyEstimate(
            **self.estimate(measure, name).model_dump(), fold_std=float(np.mean(parts))
        )

    def overall(self) -> Overall:
        first = self.evaluations[0].overall
        estimates = {
            name: self.estimate(f"overall.{name}")
            for name, value in first
            if isinstance(value, Estimate)
        }
        spread = estimates["std_sample"].value
        return Overall(
            **estimates,
            std_excess_p=None if spread is None else self.summary.std_excess_p(spread),
            worst_group=first.worst_group if spread is None else self._worst_group(),
            means={name: self.estimate(f"mean.{name}") for name in first.means},
            measures={name: self.estimate(f"overall.{name}") for name in first.measures},
        )

    def global_threshold(self) -> GlobalThreshold:
        parts = [evaluation.global_threshold for evaluation in self.evaluations]
        first = parts[0]
        thresholds = [part.threshold for part in parts if part.threshold is not None]
        notes = list(dict.fromkeys(part.note for part in parts if part.note))
        if len(parts) > 1 and thresholds:
            notes.append("each model has its own threshold; their mean is given")
        return GlobalThreshold(
            target_fmr=first.target_fmr,
            threshold=float(np.mean(thresholds)) if len(thresholds) == len(parts) else None,
            fmr={name: self.estimate("fmr", name) for name in first.fmr},
            fnmr={name: self.estimate("fnmr", name) for name in first.fnmr},
            fdr=self.estimate("global.fdr"),
            garbe=self.estimate("global.garbe"),
            fnmr_ratio=self.estimate("global.fnmr_ratio"),
            note="; ".join(notes) or None,
        )

    def operating_point(self, key: str, points: Sequence[OperatingPoint]) -> OperatingPoint:
        """The mean over models, each at its own threshold.

        Args:
            key: of the operating point.
            points: that of each model.
        """
        first = points[0]

        def by_group(measure: str) -> dict[str, Estimate]:
            return {name: self.estimate(f"{measure}@{key}", name) for name in first.fmr}

        own = {m: by_group(f"own.{m}") for m in ("fmr", "fnmr")}
        rates = {m: by_group(m) for m in ("fmr", "fnmr")}
        worst = {
            m: self.summary.worst_group(
                np.array([of.value for of in rates[m].values()], dtype=np.float64),
                f"{m}@{key}",
                errors=True,
            )
            for m in rates
        }
        return OperatingPoint(
            key=key,
            target_fmr=first.target_fmr,
            chosen_on=first.chosen_on,
            threshold=float(np.mean([point.threshold for point in points])),
            thresholds=[],
            **rates,
            mean_fmr=self.estimate(f"mean_fmr@{key}"),
            mean_fnmr=self.estimate(f"mean_fnmr@{key}"),
            own={
                name: OwnThreshold(threshold=None, fmr=own["fmr"][name], fnmr=own["fnmr"][name])
                for name in first.own
            },
            measures={name: self.estimate(f"{name}@{key}") for name in first.measures},
            worst_fmr=worst["fmr"],
            worst_fnmr=worst["fnmr"],
            note="each model has its own thresholds; the mean of those for all groups is given",
        )

    def _worst_group(self) -> WorstGroup:
        accuracies = [
            [result.accuracy.value for result in evaluation.groups.values()]
            for evaluation in self.evaluations
        ]
        return self.summary.worst_group(np.mean(np.array(accuracies, dtype=np.float64), axis=0))


def _pooled_tables(evaluations: Sequence[Evaluation]) -> list[CrossTable]:
    """The matches of all models together, each at its own threshold."""
    of_models = [{table.target_fmr: table for table in of.cross_tables} for of in evaluations]
    tables = []
    for target, first in of_models[0].items():
        if not all(target in of for of in of_models):
            continue
        same = [of[target] for of in of_models]
        cells: dict[str, dict[str, CrossCell]] = {}
        for one, row in first.cells.items():
            for other in row:
                pairs = sum(of.cells[one][other].pairs for of in same)
                matches = sum(of.cells[one][other].matches for of in same)
                cells.setdefault(one, {})[other] = CrossCell(
                    value=matches / pairs, low=None, high=None, pairs=pairs, matches=matches
                )
        threshold = float(np.mean([of.threshold for of in same]))
        note = f"{len(same)} models together, without intervals; {first.note}"
        tables.append(CrossTable(target_fmr=target, threshold=threshold, cells=cells, note=note))
    return tables


def _mean_roc(curves: Sequence[Roc]) -> Roc:
    """TAR averaged at each FAR (Fawcett, *An introduction to ROC analysis*, 2006, vertical)."""
    if len(curves) == 1:
        return curves[0]
    far = np.unique(np.concatenate([curve.far for curve in curves]))
    tar = [
        np.asarray(curve.tar)[np.searchsorted(curve.far, far, side="right") - 1] for curve in curves
    ]
    return thin_roc(np.concatenate([[0.0], far]), np.concatenate([[0.0], np.mean(tar, axis=0)]))


def _seed_notes(seeds: int) -> list[str]:
    if seeds == 0:
        return []
    if seeds == 1:
        return [
            "one training seed: intervals cover the choice of test identities, not the chance in "
            "training; another seed can move every figure"
        ]
    return [
        f"intervals cover the choice of test identities and the chance in training, as {seeds} "
        "training seeds show it, with Student's t for their number"
    ]
