"""Differences between arms, with few training seeds taken for what they are.

The interval of a difference is that of the joint replicates of seeds and identities
(:mod:`evenface.evaluate.arms`). With n seeds, n − 1 of them drawn, its bounds reach no further than
the seeds do: where the chance in training dominates, three seeds agree in sign by luck in one case
of four. A verdict therefore also needs a t interval,

    d ± t(ν) · s,    ν = s⁴ / ((s_t² / n)² / (n − 1)),

with s² the variance of the joint replicates, s_t² that of the n seeds' own differences, and ν their
effective degrees of freedom (Satterthwaite, *An approximate distribution of estimates of variance
components*, Biometrics Bulletin 2, 1946; so used for few readers and many cases by Hillis, *A
comparison of denominator degrees of freedom methods for multiple observer ROC analysis*, Statistics
in Medicine 26, 2007; here seeds are the readers, identities the cases). ν is n − 1 where training
is all the chance there is, and grows beyond bounds, the t interval to a normal one, where it is
small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import PairedDifference, paired_difference

MEAN = "overall.accuracy"
WORST = "worst-group accuracy"
"""A measure of :func:`figure`: the lowest of an arm's accuracies of groups."""
_MOST_FREEDOM = 1e6


@dataclass(frozen=True)
class Spread:
    """A difference's standard error and its effective degrees of freedom."""

    error: float
    freedom: float

    def half_width(self, level: float) -> float:
        """Half of the t interval."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, (1 + level) / 2)) * self.error

    def p_below(self, distance: float) -> float:
        """One-sided p of "not above", at this distance above the bound."""
        from scipy.special import stdtr

        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.freedom, -distance / self.error))


@dataclass(frozen=True)
class Contrast(PairedDifference):
    """A difference with both intervals. ``low``, ``high`` and p are those of the joint replicates.

    Attributes:
        seeds: training seeds of the arms that are compared.
        replicates: how many there were.
        spread: for the t interval; None with fewer than two seeds.
        level: of the intervals.
    """

    seeds: int
    replicates: int
    spread: Spread | None
    level: float

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Lowest and highest of both intervals: what verdicts go by."""
        if self.value is None or self.spread is None:
            return self.low, self.high
        half = self.spread.half_width(self.level)
        low = None if self.low is None else min(self.low, self.value - half)
        high = None if self.high is None else max(self.high, self.value + half)
        return low, high

    def above(self, bound: float) -> bool:
        """Whether both intervals lie above a bound."""
        low, _ = self.bounds
        return low is not None and low > bound

    def below(self, bound: float) -> bool:
        """Whether both intervals lie below a bound."""
        _, high = self.bounds
        return high is not None and high < bound

    @property
    def sure_greater(self) -> float:
        """One-sided p of both, for being above 0.

        The joint replicates cannot give a p below 1 / (replicates + 1), which is no p that many
        tests at once could use. Where no replicate is at or below 0, the t interval's p is used.
        """
        return self._sure(self.p_greater, 1.0)

    @property
    def sure_less(self) -> float:
        """One-sided p of both, for being below 0; see :attr:`sure_greater`."""
        return self._sure(self.p_less, -1.0)

    @property
    def sure(self) -> float:
        """Two-sided p of both; see :attr:`sure_greater`."""
        return min(1.0, 2 * min(self.sure_greater, self.sure_less))

    def _sure(self, p: float | None, sign: float) -> float:
        if p is None or self.value is None:
            return 1.0
        if self.spread is None:
            return p
        by_t = self.spread.p_below(sign * self.value)
        at_its_least = p * (self.replicates + 1) < 1.5
        return by_t if at_its_least else max(p, by_t)


@dataclass(frozen=True)
class Figure:
    """A number about arms: on the data, in each replicate, and for each training seed alone.

    Attributes:
        value: None where undefined.
        samples: (R,) joint replicates.
        models: (n,) of each seed's model; NaN where undefined, empty without seeds.
        level: of the intervals.
    """

    value: float | None
    samples: NDArray[np.float64]
    models: NDArray[np.float64]
    level: float

    def __sub__(self, other: Figure | float) -> Figure:
        if not isinstance(other, Figure):
            value = None if self.value is None else self.value - other
            return Figure(value, self.samples - other, self.models - other, self.level)
        with np.errstate(invalid="ignore"):
            return Figure(
                None if self.value is None or other.value is None else self.value - other.value,
                self.samples - other.samples,
                self.models - other.models,
                self.level,
            )

    def contrast(self) -> Contrast:
        """The figure, being a difference, against 0."""
        nothing = np.zeros_like(self.samples)
        start = None if self.value is None else 0.0
        return _with_spread(
            paired_difference(nothing, self.samples, start, self.value, self.level),
            self.samples,
            self.models,
            self.level,
        )


def mean_of(figures: Sequence[Figure]) -> Figure:
    """Their mean, replicate by replicate and seed by seed; all of arms with the same seeds."""
    values = [figure.value for figure in figures if figure.value is not None]
    return Figure(
        float(np.mean(values)) if len(values) == len(figures) else None,
        np.mean([figure.samples for figure in figures], axis=0),
        np.mean([figure.models for figure in figures], axis=0),
        figures[0].level,
    )


def figure(arm: ArmEvaluation, measure: str, group: str | None = None) -> Figure:
    """A measure of an arm: a key of its replicates (with a group where it is of one), or ``WORST``.

    The lowest of several accuracies is biased downwards, the more so the more alike they are in
    truth, in the data and once more in the replicates: for a test use :func:`worst_group_p`.
    """
    level = arm.bootstrap.level
    if measure != WORST:
        value = arm.estimate(measure, group).value
        return Figure(value, arm.samples(measure, group), of_models(arm, measure, group), level)
    return lowest(by_group(arm))


def by_group(arm: ArmEvaluation) -> dict[str, Figure]:
    """Accuracy of each group."""
    return {group: figure(arm, "accuracy", group) for group in arm.groups}


def lowest(groups: Mapping[str, Figure]) -> Figure:
    """The lowest of some figures, on the data, in each replicate, and for each seed."""
    figures = list(groups.values())
    return Figure(
        min(of.value for of in figures if of.value is not None),
        np.min([of.samples for of in figures], axis=0),
        np.min([of.models for of in figures], axis=0),
        figures[0].level,
    )


def worst_group_p(
    first: Mapping[str, Figure], second: Mapping[str, Figure], margin: float = 0.0
) -> float:
    """One-sided p that the worst group of ``second`` is above that of ``first`` minus ``margin``.

    It is so if every group of ``second`` is above some group of ``first`` minus the margin, as no
    group of ``first`` is below its worst. So each group is tested against the same group, paired by
    people, and against the others, the level being split between these ways (Bonferroni; half of it
    for the same group), and all groups must pass (intersection–union). That keeps the level
    whichever groups are worst in truth, which a test of the difference of the two lowest does not:
    the lowest of equal accuracies is lower by chance than a single one.

    Args:
        first, second: group → accuracy; the same groups.
        margin: in accuracy, a fraction.
    """
    others = len(first) - 1
    shares = {True: 1 / 2 if others else 1.0, False: 1 / (2 * others) if others else 0.0}
    return max(
        min(
            1.0,
            *(
                (one - (other - margin)).contrast().sure_greater / shares[group == against]
                for against, other in first.items()
            ),
        )
        for group, one in second.items()
    )


def of_models(arm: ArmEvaluation, measure: str, group: str | None = None) -> NDArray[np.float64]:
    """(n,) the measure of each seed's model, NaN where undefined; empty without seeds."""
    values = [model.estimate(measure, group).value for model in arm.models[: len(arm.seeds)]]
    return np.array([np.nan if value is None else value for value in values])


def compare(
    first: ArmEvaluation, second: ArmEvaluation, measure: str, group: str | None = None
) -> Contrast:
    """``second − first`` as :meth:`Evaluation.compare` has it, with the t interval beside it."""
    if measure == WORST:
        return (figure(second, WORST) - figure(first, WORST)).contrast()
    with np.errstate(invalid="ignore"):
        samples = second.samples(measure, group) - first.samples(measure, group)
        own = of_models(second, measure, group) - of_models(first, measure, group)
    difference = first.compare(second, measure, group=group)
    return _with_spread(difference, samples, own, first.bootstrap.level)


def _with_spread(
    difference: PairedDifference,
    samples: NDArray[np.float64],
    own: NDArray[np.float64],
    level: float,
) -> Contrast:
    return Contrast(
        **asdict(difference),
        seeds=len(own),
        replicates=len(samples),
        spread=_spread(samples, own) if difference.value is not None else None,
        level=level,
    )


def _spread(samples: NDArray[np.float64], own: NDArray[np.float64]) -> Spread | None:
    if len(own) < 2 or not np.isfinite(own).all():
        return None
    finite = samples[np.isfinite(samples)]
    variance = float(finite.var()) if len(finite) else 0.0
    of_training = float(own.var(ddof=1)) / len(own)
    # The replicates hold the chance in training too, but few of them may fall short of it.
    variance = max(variance, of_training)
    if of_training == 0:
        return Spread(variance**0.5, _MOST_FREEDOM)
    ratio = variance / of_training
    freedom = ratio * ratio * (len(own) - 1)  # infinite, where a power would overflow
    return Spread(variance**0.5, min(freedom, _MOST_FREEDOM))
