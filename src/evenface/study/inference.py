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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import Figure, PairedDifference, shrinkage
from evenface.evaluate.fairness import std_if_equal, std_sample

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


def contrast(figure: Figure) -> Contrast:
    """A figure that is a difference, against 0."""
    return Contrast(
        **asdict(figure.difference()),
        seeds=len(figure.models),
        replicates=len(figure.people),
        spread=None if figure.value is None else _spread(figure.samples, figure.models),
        level=figure.level,
    )


def figure(arm: ArmEvaluation, measure: str, group: str | None = None) -> Figure:
    """A measure of an arm: a key of its replicates (with a group where it is of one), or ``WORST``.

    The lowest of several accuracies is biased downwards, the more so the more alike they are in
    truth, in the data and once more in the replicates: for a test use :func:`worst_group_p`.
    """
    return lowest(by_group(arm)) if measure == WORST else arm.figure(measure, group)


def by_group(arm: ArmEvaluation) -> dict[str, Figure]:
    """Accuracy of each group."""
    return {group: figure(arm, "accuracy", group) for group in arm.groups}


def lowest(groups: Mapping[str, Figure]) -> Figure:
    """The lowest of some figures, on the data, in each replicate, and for each seed."""
    figures = list(groups.values())
    return Figure.settled(
        min(of.value for of in figures if of.value is not None),
        np.min([of.samples for of in figures], axis=0),
        np.min([of.models for of in figures], axis=0),
        figures[0].level,
    )


def over_groups(
    arm: ArmEvaluation, measure: str, statistic: Callable[[NDArray[np.float64]], Any]
) -> Figure:
    """A statistic over groups of each model, averaged; see :meth:`Evaluation.over_groups`."""
    return arm.averaged([model.over_groups(measure, statistic) for model in arm.models])


def uneven_p(arm: ArmEvaluation, measure: str) -> float | None:
    """p of an STD over groups as large as this one were the groups equal; None where undefined.

    As :func:`evenface.evaluate.fairness.std_if_equal`, averaged over models. What moves all groups
    alike, as one threshold does, is taken out first.
    """
    if measure == "accuracy":
        return arm.overall.std_excess_p
    observed, null = [], []
    for model in arm.models:
        groups = [model.figure(measure, group) for group in model.groups]
        values = [of.value for of in groups if of.value is not None]
        if len(values) < max(2, len(groups)):
            return None
        observed.append(float(std_sample(values)))
        people, pairs = (
            of - of.mean(axis=1, keepdims=True)
            for of in (_columns(groups, "people"), _columns(groups, "pairs"))
        )
        factor = shrinkage(people, pairs) if len(pairs) else 1.0
        null.append(std_if_equal(people * factor * max(of.expansion for of in groups)))
    samples = np.mean(null, axis=0)
    reached = int(np.count_nonzero(np.isnan(samples) | (samples >= np.mean(observed))))
    return (1 + reached) / (len(samples) + 1)


def _columns(groups: Sequence[Figure], of: str) -> NDArray[np.float64]:
    return np.stack([getattr(group, of) for group in groups], axis=-1)


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
                contrast(one - (other - margin)).sure_greater / shares[group == against]
                for against, other in first.items()
            ),
        )
        for group, one in second.items()
    )


def compare(
    first: ArmEvaluation, second: ArmEvaluation, measure: str, group: str | None = None
) -> Contrast:
    """``second − first`` as :meth:`Evaluation.compare` has it, with the t interval beside it.

    Raises:
        ValueError: the evaluations cannot be paired, or the measure or group is unknown.
    """
    first.check_pairing(second)
    return contrast(figure(second, measure, group) - figure(first, measure, group))


def _spread(samples: NDArray[np.float64], own: NDArray[np.float64]) -> Spread | None:
    if len(own) < 2 or not np.isfinite(own).all():
        return None
    kept = samples if np.isfinite(samples).any() else np.zeros(1)
    error, freedom = spread_of(kept[None], own[None])
    return Spread(float(error[0]), float(freedom[0]))


def spread_of(
    samples: NDArray[np.float64], models: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors (S,) and effective degrees of freedom (S,) of S differences.

    Args:
        samples: (S, R) joint replicates; those that are not finite are left out.
        models: (S, n) differences of each training seed's models.
    """
    finite = np.isfinite(samples)
    variance = (
        samples.var(axis=1)
        if finite.all()
        else np.ma.array(samples, mask=~finite).var(axis=1).filled(0.0)
    )
    of_training = models.var(axis=1, ddof=1) / models.shape[1]
    # The replicates hold the chance in training too, but few of them may fall short of it.
    variance = np.maximum(variance, of_training)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = variance / of_training
        freedom = np.where(of_training > 0, ratio * ratio * (models.shape[1] - 1), _MOST_FREEDOM)
    return np.sqrt(variance), np.minimum(freedom, _MOST_FREEDOM)
