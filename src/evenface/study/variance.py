"""Where the chance in a study's figures comes from: people, pairs, and training.

A model's rate in one group (accuracy, EER, FNMR, FMR) is taken as

    truth + people and pairs of the test + training,

where what the test contributes has a part that all arms share, one that the models of an arm share,
and one of each model; and training a part common to all groups and one of each group. A plan needs
the parts one by one, for each falls with something else: people, pairs, or training seeds.

:func:`measured` takes them from evaluations with their replicates; a study writes them to
``results.json`` ("variance"). :func:`parts_of` reads them, or works them out from the intervals and
the seeds' accuracies of results that lack them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import Figure
from evenface.record import Estimate, Record

if TYPE_CHECKING:
    from evenface.study.record import Results

MEASURES = ("accuracy", "eer", "fnmr", "fmr")


class Parts(Record):
    """Of a rate of one group; standard deviations and rates are fractions.

    Attributes:
        rate: of students without distillation, mean over groups.
        spread: sample standard deviation over groups of their rates, sampling noise taken out.
        person: of one person's contribution: variance ``person² / people``.
        pair: of one pair's: variance ``pair² / fold pairs``; 0 where it is in ``person``.
        shared: share of this variance that all arms have in common.
        own: share that the models of an arm have in common besides.
        training: between training seeds, in all groups alike.
        training_of_group: between training seeds, in each group by itself.
    """

    rate: float
    spread: float
    person: float
    pair: float
    shared: float
    own: float
    training: float
    training_of_group: float

    def testing(self, people: int, pairs: int, rate: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation of one model's rate over tests of this size.

        It follows the binomial √(rate · (1 − rate)) from the rate it was found at.

        Args:
            people, pairs: of a group.
            rate: any shape, in (0, 1).
        """
        variance = self.person**2 / people + self.pair**2 / pairs
        binomial = rate * (1 - rate) / (self.rate * (1 - self.rate))
        return np.sqrt(variance * np.maximum(binomial, 0))


class Found(Record):
    """The parts of every measure on one benchmark, and the test they are from.

    Attributes:
        source: where they come from, for people.
        gap: real minus synthetic training faces in mean accuracy, without distillation; None
            where a study lacks one of them.
        groups, people, pairs, seeds: of the test, a group; and how often each arm was trained.
    """

    source: str
    parts: dict[str, Parts]
    groups: int
    people: int
    pairs: int
    seeds: int
    gap: float | None = None


QUICK = Found(
    source="the committed results of quick",
    parts={
        measure: Parts(
            rate=rate,
            spread=spread,
            person=person,
            pair=pair,
            shared=0.51,
            own=0.24,
            training=training,
            training_of_group=of_group,
        )
        for measure, rate, spread, person, pair, training, of_group in (
            ("accuracy", 0.87, 0.0088, 0.078, 0.34, 0.0026, 0.0055),
            ("eer", 0.13, 0.0, 0.106, 0.0, 0.0022, 0.0047),
            ("fnmr", 0.45, 0.0, 0.28, 0.0, 0.0058, 0.0124),
            ("fmr", 0.01, 0.0019, 0.0122, 0.0, 0.00025, 0.00054),
        )
    },
    groups=3,
    people=80,
    pairs=960,
    seeds=3,
    gap=0.11,
)
"""What :func:`parts_of` finds in ``docs/results/quick/results.json``, rounded: a plan's default.
``evenface study plan quick --power --from docs/results/quick --json`` prints it."""


def measured(pairs: Sequence[tuple[ArmEvaluation, ArmEvaluation]], measure: str) -> Parts | None:
    """The parts of a measure, from arms without and with distillation on one benchmark.

    Differences between models show what they do not share: half the variance of the difference of
    two seeds' models is the part of each model, half that of two arms' models the parts of model
    and arm. Between seeds, figures vary by training and by the part of each model.

    Args:
        pairs: students without and with a teacher; the figures are averaged over those that were
            trained with all seeds.
        measure: a measure of a group.

    Returns:
        None without arms of two or more training seeds, or where the measure, or a resample of it,
        is undefined.
    """
    most = max((len(arm.models) for pair in pairs for arm in pair), default=0)
    kept = [pair for pair in pairs if most > 1 and all(len(arm.models) == most for arm in pair)]
    plain = [(p, g) for p, _ in kept for g in p.groups]
    figures = [[m.figure(measure, g) for m in p.models] for p, g in plain]
    if not figures or any(f.value is None for of in figures for f in of):
        return None
    rates = np.array([[f.value for f in of] for of in figures])
    single = fmean(_variance(f) for of in figures for f in of)
    within = fmean(_variance(a - b) / 2 for of in figures for a, b in combinations(of, 2))
    across = fmean(
        _variance(d.figure(measure, g) - p.figure(measure, g)) / 2
        for plain_arm, distilled in kept
        for g in plain_arm.groups
        for p, d in zip(plain_arm.models, distilled.models, strict=False)
    )
    of_pairs = fmean(
        float(f.pairs.var()) if len(f.pairs) > 1 else 0.0 for of in figures for f in of
    )
    if not np.isfinite([single, within, across, of_pairs]).all():
        return None  # too few people: some resample leaves the measure undefined
    groups = len(kept[0][0].groups)
    people, count = _size(kept[0][0])
    between = _between_seeds(rates.reshape(-1, groups, rates.shape[1]).transpose(0, 2, 1))
    whole = float(np.trace(between)) / groups
    common = min(_off_diagonal(between), max(whole - within, 0.0))
    within = min(within, whole)
    return _parts(
        rates.mean(axis=1).reshape(-1, groups),
        noise=max(single - within, 0.0) + whole / rates.shape[1],
        single=single,
        of_pairs=min(of_pairs, single) if measure == "accuracy" else 0.0,
        shared=single - across,
        own=across - within,
        training=common,
        of_group=whole - within - common,
        size=(people, count),
    )


def variance_of(
    pairs: Sequence[tuple[ArmEvaluation, ArmEvaluation]],
    gap: float | None,
    more: Sequence[str] = (),
) -> Found | None:
    """The parts of every measure on one benchmark; None where they cannot be told.

    Args:
        pairs: as for :func:`measured`.
        gap: see :class:`Found`.
        more: further measures of a group, such as those of declared endpoints.
    """
    parts = {
        m: of for m in dict.fromkeys((*MEASURES, *more)) if (of := measured(pairs, m)) is not None
    }
    if "accuracy" not in parts:
        return None
    first = pairs[0][0]
    people, fold_pairs = _size(first)
    return Found(
        source="this study",
        parts=parts,
        groups=len(first.groups),
        people=people,
        pairs=fold_pairs,
        seeds=max(len(arm.models) for arm, _ in pairs),
        gap=gap,
    )


def parts_of(results: Results, source: str, benchmark: str | None = None) -> Found:
    """The parts in a study's results.

    Results that lack them ("variance") show the variance of an arm's rate in its interval, that
    of a difference in its, and the seeds' accuracies. Pairs are taken as independent draws:
    ``pair² = rate · (1 − rate)``. What seeds differ by in one group and not in all is training
    as far as another test of the same models repeats it, plus one standard error of that, else
    chance of the test; without another test by group all of it is taken as training. Both err on
    the cautious side.

    Args:
        results: of the study.
        source: what to call them.
        benchmark: id; None for the first by group.

    Raises:
        DataError: there is no test by group, or not two training seeds of an arm without and with
            distillation.
    """
    by_group = [b.id for b in results.benchmarks if len(b.groups) > 1]
    chosen = benchmark or next(iter(by_group), "")
    if written := results.variance.get(chosen):
        return written.model_copy(update={"source": source})
    try:
        return _Older(results, chosen, by_group).found(source)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        raise DataError(
            f"{source}: no variances. They need a test by group and students without and with "
            "distillation, each with two or more training seeds"
        ) from None


class _Older:
    """Results without the entry "variance"."""

    def __init__(self, results: Results, benchmark: str, by_group: list[str]) -> None:
        self.results, self.benchmark = results, benchmark
        self.plain = [self._evaluation(m.id) for m in results.students if not m.kd]
        self.groups = list(self.plain[0].groups)
        self.width = 2 * NormalDist().inv_cdf((1 + results.level) / 2)
        self.elsewhere = next((b for b in by_group if b != benchmark), None)

    def _evaluation(self, model: str, benchmark: str | None = None) -> ArmEvaluation:
        return self.results.evaluations[model][benchmark or self.benchmark]

    def found(self, source: str) -> Found:
        seen = self._by_seed(self.benchmark)
        seeds = seen.shape[1]
        people, pairs = _size(self.plain[0])
        between = _between_seeds(seen)
        whole = float(np.trace(between)) / len(self.groups)
        common = min(_off_diagonal(between), whole)
        of_group = min(whole - common, self._repeated(seen, whole))
        rest = whole - common - of_group
        rates = self._rates("accuracy")
        joint = self._variance(of for arm in rates for of in arm)
        difference = self._variance(
            row
            for row in self.results.differences
            if (row.benchmark, row.metric) == (self.benchmark, "accuracy")
            and row.group in self.groups
        )
        shared = max(joint - difference / 2, 0.0)
        own = max(difference / 2 - (rest + whole) / seeds, 0.0)
        single = shared + own + rest
        values = _values(rates)
        rate = float(values.mean())
        accuracy = _parts(
            values,
            noise=joint,
            single=single,
            of_pairs=min(rate * (1 - rate) / pairs, single),
            shared=shared,
            own=own,
            training=common,
            of_group=of_group,
            size=(people, pairs),
        )
        parts = {"accuracy": accuracy}
        for measure in MEASURES[1:]:
            if of := self._scaled(accuracy, measure, joint, single * people):
                parts[measure] = of
        return Found(
            source=source,
            parts=parts,
            groups=len(self.groups),
            people=people,
            pairs=pairs,
            seeds=seeds,
            gap=self._gap(),
        )

    def _by_seed(self, benchmark: str) -> NDArray[np.float64]:
        """(arms, seeds, groups) accuracies of students that have all seeds."""
        found = [
            [
                [of.accuracy[g] for g in self.groups]
                for of in self._evaluation(m.id, benchmark).seeds
            ]
            for m in self.results.students
        ]
        most = max(map(len, found))
        if most < 2:
            raise ValueError("one training seed")
        return np.array([of for of in found if len(of) == most], dtype=np.float64)

    def _repeated(self, seen: NDArray[np.float64], whole: float) -> float:
        """Variance between seeds in single groups that another test repeats, cautiously."""
        if self.elsewhere is None:
            return np.inf
        other = self._by_seed(self.elsewhere)
        arms, seeds, groups = seen.shape
        freedom = arms * (seeds - 1)
        deviations, of_other = (of - of.mean(axis=1, keepdims=True) for of in (seen, other))
        both = np.einsum("asg,ash->gh", deviations, of_other) / freedom
        repeated = float(np.trace(both)) / groups
        across = float(both.sum() - np.trace(both)) / (groups * (groups - 1))
        scatter = whole * float(np.trace(_between_seeds(other))) / groups / freedom
        error = (scatter * (1 / groups + 1 / (groups * (groups - 1)))) ** 0.5
        return max(repeated - across, 0.0) + error

    def _rates(self, measure: str) -> list[list[Estimate]]:
        """Of each plain arm, the rate of each group."""
        if measure in ("fnmr", "fmr"):
            each = [getattr(arm.global_threshold, measure) for arm in self.plain]
            return [[of[group] for group in self.groups] for of in each]
        return [
            [getattr(arm.groups[group], measure) for group in self.groups] for arm in self.plain
        ]

    def _variance(self, estimates: Iterator[Estimate]) -> float:
        """Mean of the joint variances, from intervals."""
        return fmean(
            ((of.high - of.low) / self.width) ** 2
            for of in estimates
            if of.low is not None and of.high is not None
        )

    def _scaled(self, of: Parts, measure: str, joint: float, test: float) -> Parts | None:
        """Parts of another measure, each as large beside the others as those of accuracy."""
        rates = self._rates(measure)
        if any(rate.value is None for arm in rates for rate in arm):
            return None
        variance = self._variance(rate for arm in rates for rate in arm)
        scale = (variance / joint) ** 0.5
        values = _values(rates)
        return Parts(
            rate=float(values.mean()),
            spread=_spread(values, variance),
            person=scale * test**0.5,
            pair=0.0,
            shared=of.shared,
            own=of.own,
            training=scale * of.training,
            training_of_group=scale * of.training_of_group,
        )

    def _gap(self) -> float | None:
        kinds = {of.name: of.kind for of in self.results.sets}
        means: dict[str, list[float]] = {}
        for model in self.results.students:
            value = self._evaluation(model.id).overall.accuracy.value
            if not model.kd and model.set is not None and value is not None:
                means.setdefault(kinds.get(model.set) or model.set, []).append(value)
        if not {"real", "synthetic"} <= means.keys():
            return None
        return fmean(means["real"]) - fmean(means["synthetic"])


def _values(rates: Sequence[Sequence[Estimate]]) -> NDArray[np.float64]:
    return np.array([[of.value for of in arm] for arm in rates], dtype=np.float64)


def _parts(
    rates: NDArray[np.float64],
    *,
    noise: float,
    single: float,
    of_pairs: float,
    shared: float,
    own: float,
    training: float,
    of_group: float,
    size: tuple[int, int],
) -> Parts:
    """Parts from variances.

    Args:
        rates: (arms, groups) of students without distillation.
        noise: of such a rate.
        single: of one model's rate over tests.
        of_pairs: what of ``single`` falls with pairs.
        shared, own: what of it all arms share, and the models of an arm besides.
        training, of_group: between seeds.
        size: people and fold pairs of a group.
    """
    people, pairs = size
    common, of_arm = (max(of, 0.0) / single if single else 0.0 for of in (shared, own))
    common = min(common, 1.0)
    return Parts(
        rate=float(rates.mean()),
        spread=_spread(rates, noise),
        person=(max(single - of_pairs, 0.0) * people) ** 0.5,
        pair=(of_pairs * pairs) ** 0.5,
        shared=common,
        own=min(of_arm, 1 - common),
        training=max(training, 0.0) ** 0.5,
        training_of_group=max(of_group, 0.0) ** 0.5,
    )


def _spread(rates: NDArray[np.float64], noise: float) -> float:
    """√ of the mean variance over groups, without that of sampling."""
    return (
        float(max(rates.var(axis=1, ddof=1).mean() - noise, 0.0)) ** 0.5
        if rates.shape[1] > 1
        else 0.0
    )


def _variance(figure: Figure) -> float:
    samples = figure.samples
    return float(samples[np.isfinite(samples)].var(ddof=1))


def _between_seeds(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G, G) covariance between seeds, pooled over arms, of rates (arms, seeds, G)."""
    deviations = rates - rates.mean(axis=1, keepdims=True)
    freedom = rates.shape[0] * (rates.shape[1] - 1)
    covariance: NDArray[np.float64] = np.einsum("asg,ash->gh", deviations, deviations) / freedom
    return covariance


def _off_diagonal(covariance: NDArray[np.float64]) -> float:
    """Mean covariance of two groups, 0 where negative or where there is one group."""
    groups = len(covariance)
    if groups < 2:
        return 0.0
    return max(float(covariance.sum() - np.trace(covariance)) / (groups * (groups - 1)), 0.0)


def _size(arm: ArmEvaluation) -> tuple[int, int]:
    """People and fold pairs of the smallest group."""
    groups = arm.groups.values()
    return min(of.identities or 1 for of in groups), min(of.fold_pairs for of in groups)
