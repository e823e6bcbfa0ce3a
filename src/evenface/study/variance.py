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

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import Figure

MEASURES = ("accuracy", "eer", "fnmr", "fmr")


@dataclass(frozen=True)
class Parts:
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


@dataclass(frozen=True)
class Found:
    """The parts of every measure on one benchmark, and the test they are from.

    Attributes:
        source: where they come from, for people.
        gap: real minus synthetic training faces in mean accuracy, without distillation; None
            where a study lacks one of them.
        groups, people, pairs, seeds: of the test, a group; and how often each arm was trained.
    """

    source: str
    parts: Mapping[str, Parts]
    groups: int
    people: int
    pairs: int
    seeds: int
    gap: float | None = None


QUICK = Found(
    source="the committed results of quick",
    parts={
        "accuracy": Parts(0.87, 0.0088, 0.078, 0.34, 0.51, 0.24, 0.0026, 0.0055),
        "eer": Parts(0.13, 0.0, 0.106, 0.0, 0.51, 0.24, 0.0022, 0.0047),
        "fnmr": Parts(0.45, 0.0, 0.28, 0.0, 0.51, 0.24, 0.0058, 0.0124),
        "fmr": Parts(0.01, 0.0019, 0.0122, 0.0, 0.51, 0.24, 0.00025, 0.00054),
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
        pairs: students without and with a teacher; the figures are averaged over them.
        measure: a measure of a group.

    Returns:
        None without arms of two or more training seeds, or where the measure is undefined.
    """
    kept = [pair for pair in pairs if min(len(arm.models) for arm in pair) > 1]
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


def describe_variance(
    pairs: Sequence[tuple[ArmEvaluation, ArmEvaluation]], gap: float | None
) -> dict[str, Any] | None:
    """The entry "variance" of ``results.json`` for one benchmark; None where it cannot be told.

    Args:
        pairs: as for :func:`measured`.
        gap: see :class:`Found`.
    """
    parts = {m: of for m in MEASURES if (of := measured(pairs, m)) is not None}
    if "accuracy" not in parts:
        return None
    first = pairs[0][0]
    people, fold_pairs = _size(first)
    seeds = max(len(arm.models) for arm, _ in pairs)
    return asdict(Found("this study", parts, len(first.groups), people, fold_pairs, seeds, gap))


def parts_of(results: Mapping[str, Any], source: str, benchmark: str | None = None) -> Found:
    """The parts in the content of a ``results.json``.

    Results that lack the entry "variance" show the variance of an arm's rate in its interval, that
    of a difference in its, and the seeds' accuracies. Pairs are taken as independent draws:
    ``pair² = rate · (1 − rate)``. What seeds differ by in one group and not in all is training
    as far as another test of the same models repeats it, plus one standard error of that, else
    chance of the test; without another test by group all of it is taken as training. Both err on
    the cautious side.

    Args:
        results: the content.
        source: what to call them.
        benchmark: id; None for the first by group.

    Raises:
        DataError: there is no such benchmark, or not two training seeds of an arm without and with
            distillation.
    """
    by_group = [b["id"] for b in results.get("benchmarks", ()) if len(b["groups"]) > 1]
    chosen = benchmark or next(iter(by_group), None)
    written = results.get("variance", {}).get(chosen)
    if written is not None:
        parts = {measure: Parts(**of) for measure, of in written["parts"].items()}
        return replace(Found(**{**written, "parts": parts}), source=source)
    try:
        return _Older(results, str(chosen), by_group).found(source)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(
            f"{source}: no variances: needs a test by group and students without and with "
            f"distillation of two or more training seeds ({error})"
        ) from None


class _Older:
    """Results without the entry "variance"."""

    def __init__(self, results: Mapping[str, Any], benchmark: str, by_group: list[str]) -> None:
        self.results, self.benchmark = results, benchmark
        evaluations = results["evaluations"]
        self.students = [m for m in results["models"] if m["kind"] == "student"]
        self.plain = [m["id"] for m in self.students if not m["kd"]]
        self.of = {
            arm: evaluations[arm][benchmark] for arm in evaluations if benchmark in evaluations[arm]
        }
        self.groups = list(self.of[self.plain[0]]["groups"])
        level = self.of[self.plain[0]]["bootstrap"]["level"]
        self.width = 2 * NormalDist().inv_cdf((1 + level) / 2)
        self.elsewhere = next((b for b in by_group if b != benchmark), None)

    def found(self, source: str) -> Found:
        seeds = len(self.of[self.plain[0]]["seeds"])
        first = self.of[self.plain[0]]["groups"][self.groups[0]]
        people, pairs = first["identities"], first["fold_pairs"]
        seen = self._by_seed(self.benchmark)
        between = _between_seeds(seen)
        whole = float(np.trace(between)) / len(self.groups)
        common = min(_off_diagonal(between), whole)
        of_group = whole - common
        if self.elsewhere is not None:
            deviations = seen - seen.mean(axis=1, keepdims=True)
            other = self._by_seed(self.elsewhere)
            other = other - other.mean(axis=1, keepdims=True)
            freedom, groups = len(seen) * (seeds - 1), len(between)
            both = np.einsum("asg,ash->gh", deviations, other) / freedom
            repeated = float(np.trace(both)) / groups
            across = float(both.sum() - np.trace(both)) / (groups * (groups - 1))
            scatter = whole * float(np.trace(_between_seeds(other))) / groups / freedom
            error = (scatter * (1 / groups + 1 / (groups * (groups - 1)))) ** 0.5
            of_group = min(of_group, max(repeated - across, 0.0) + error)
        rest = whole - common - of_group
        joint = self._variance("accuracy", "groups")
        difference = self._of_differences("accuracy")
        shared = max(joint - difference / 2, 0.0)
        own = max(difference / 2 - (rest + whole) / seeds, 0.0)
        single = shared + own + rest
        rates = np.array(
            [
                [self.of[a]["groups"][g]["accuracy"]["value"] for g in self.groups]
                for a in self.plain
            ]
        )
        rate = float(rates.mean())
        accuracy = _parts(
            rates,
            noise=max(joint, 0.0),
            single=single,
            of_pairs=min(rate * (1 - rate) / pairs, single),
            shared=shared,
            own=own,
            training=common,
            of_group=of_group,
            size=(people, pairs),
        )
        others = {
            measure: self._scaled(accuracy, measure, joint, single * people)
            for measure in MEASURES[1:]
        }
        return Found(
            source,
            {"accuracy": accuracy, **{m: of for m, of in others.items() if of is not None}},
            len(self.groups),
            people,
            pairs,
            seeds,
            self._gap(),
        )

    def _by_seed(self, benchmark: str) -> NDArray[np.float64]:
        """(arms, seeds, groups) accuracies of students, those of the first one's seeds."""
        found = [
            [
                list(seed["accuracy"].values())
                for seed in self.results["evaluations"][m["id"]][benchmark]["seeds"]
            ]
            for m in self.students
        ]
        most = max(map(len, found))
        if most < 2:
            raise ValueError("one training seed")
        return np.array([of for of in found if len(of) == most], dtype=np.float64)

    def _variance(self, measure: str, where: str) -> float:
        """Mean over plain students and groups of the joint variance, from intervals."""
        rates = [
            (
                self.of[arm]["groups"][g]
                if where == "groups"
                else self._at_threshold(arm, measure, g)
            )
            for arm in self.plain
            for g in self.groups
        ]
        rates = [of[measure] if where == "groups" else of for of in rates]
        return fmean(((of["high"] - of["low"]) / self.width) ** 2 for of in rates)

    def _at_threshold(self, arm: str, measure: str, group: str) -> Any:
        return self.of[arm]["global_threshold"][measure][group]

    def _of_differences(self, metric: str) -> float:
        rows = [
            row
            for row in self.results["differences"]
            if (row["benchmark"], row["metric"]) == (self.benchmark, metric)
            and row["group"] in self.groups
            and row["low"] is not None
        ]
        return fmean(((row["high"] - row["low"]) / self.width) ** 2 for row in rows)

    def _scaled(self, of: Parts, measure: str, joint: float, test: float) -> Parts | None:
        """Parts of another measure, each as large beside the others as those of accuracy."""
        where = "groups" if measure == "eer" else "threshold"
        try:
            variance = self._variance(measure, where)
            values = [
                [
                    (
                        self.of[arm]["groups"][g][measure]
                        if where == "groups"
                        else self._at_threshold(arm, measure, g)
                    )["value"]
                    for g in self.groups
                ]
                for arm in self.plain
            ]
        except (KeyError, TypeError):
            return None
        scale = (variance / joint) ** 0.5
        rates = np.array(values, dtype=np.float64)
        return replace(
            of,
            rate=float(rates.mean()),
            spread=_spread(rates, variance),
            person=scale * test**0.5,
            pair=0.0,
            training=scale * of.training,
            training_of_group=scale * of.training_of_group,
        )

    def _gap(self) -> float | None:
        kinds = {s["name"]: s.get("kind") for s in self.results.get("sets", ())}
        means: dict[str, list[float]] = {}
        for model in self.students:
            if not model["kd"]:
                kind = kinds.get(model["set"]) or model["set"]
                value = self.of[model["id"]]["overall"]["accuracy"]["value"]
                means.setdefault(kind, []).append(value)
        if not {"real", "synthetic"} <= means.keys():
            return None
        return fmean(means["real"]) - fmean(means["synthetic"])


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
