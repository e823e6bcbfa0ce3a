"""How large an effect must be for a study to decide a claim, and what it takes to decide one.

Studies are simulated, many at once: rates of the groups with the chance that
:class:`evenface.study.variance.Parts` says, and bootstrap replicates as evaluations have them. Each
goes through the rule of the claim, see :mod:`evenface.study.power_plan`. Nothing is assumed normal
but the chance itself, so a spread that noise makes too large is too large here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate import fairness
from evenface.evaluate.arms import seed_weights
from evenface.evaluate.protocols import default_fold_pairs
from evenface.study.inference import spread_of
from evenface.study.record import Unit
from evenface.study.variance import Parts

POWER = 0.8
"""Share of studies that shall decide: 4 of 5."""
_REPLICATES = 200
_CHUNK = 100
_MOST_PEOPLE = 30_000

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]


@dataclass(frozen=True)
class Design:
    """What a study spends.

    Attributes:
        people: tested in each group.
        seeds: trainings of each arm.
        groups: how many.
        pairs_per_person: fold pairs that the images of a person give (six genuine ones of four
            images, and as many impostor pairs: 12); None: more than are drawn.
        fixed_pairs: fold pairs of a group, whatever the people; None: drawn, see
            :func:`evenface.evaluate.protocols.default_fold_pairs`.
        level: of the intervals.
        margin: a fraction, of the rules that have one.
    """

    people: int
    seeds: int
    groups: int
    pairs_per_person: float | None = None
    fixed_pairs: int | None = None
    level: float = 0.95
    margin: float = 0.01

    @property
    def pairs(self) -> int:
        """Fold pairs of a group."""
        if self.fixed_pairs is not None:
            return self.fixed_pairs
        most = default_fold_pairs(self.people)
        if self.pairs_per_person is None:
            return most
        return max(2, min(most, round(self.pairs_per_person * self.people)))


@dataclass(frozen=True, eq=False)
class Figures:
    """One figure of each of S simulated studies.

    Attributes:
        value: (S,).
        samples: (S, R) joint replicates of people and seeds.
        models: (S, n) of each training seed's model.
        level: of intervals.
    """

    value: Array
    samples: Array
    models: Array
    level: float

    def __sub__(self, other: Figures | float) -> Figures:
        if isinstance(other, Figures):
            return Figures(
                self.value - other.value,
                self.samples - other.samples,
                self.models - other.models,
                self.level,
            )
        return Figures(self.value - other, self.samples - other, self.models - other, self.level)

    @cached_property
    def _spread(self) -> tuple[Array, Array]:
        return spread_of(self.samples, self.models)

    @cached_property
    def _centred(self) -> Array:
        """The samples as :func:`evenface.evaluate.bootstrap.centred` moves them."""
        middle = np.quantile(self.samples, 0.5, axis=1, method="inverted_cdf", keepdims=True)
        return np.asarray(self.samples + (self.value[:, None] - middle))

    @cached_property
    def interval(self) -> tuple[Array, Array]:
        """Percentiles of the replicates about the value."""
        return percentiles(self._centred, self.level)

    def above(self, bound: float) -> NDArray[np.bool_]:
        """Where both intervals lie above a bound."""
        return (self.interval[0] > bound) & (self.value - self._half > bound)

    def below(self, bound: float) -> NDArray[np.bool_]:
        """Where both intervals lie below a bound."""
        return (self.interval[1] < bound) & (self.value + self._half < bound)

    @property
    def _half(self) -> Array:
        from scipy.special import stdtrit

        error, freedom = self._spread
        return np.asarray(stdtrit(freedom, (1 + self.level) / 2) * error)

    @property
    def sure_greater(self) -> Array:
        """One-sided p for being above 0, see :attr:`evenface.study.inference.Contrast`."""
        from scipy.special import stdtr

        error, freedom = self._spread
        count = 1 + np.count_nonzero(self._centred <= 0, axis=1)
        by_t = stdtr(freedom, -self.value / error)
        return np.asarray(
            np.where(count == 1, by_t, np.maximum(count / (1 + self.samples.shape[1]), by_t))
        )


def percentiles(samples: Array, level: float) -> tuple[Array, Array]:
    """(S,) bounds of replicates (S, R); those that are undefined count against either."""
    count = samples.shape[1]
    rank = int(np.quantile(np.arange(count), (1 - level) / 2, method="inverted_cdf"))
    undefined = np.isnan(samples)
    low, high = (np.where(undefined, of, samples) for of in (-np.inf, np.inf))
    return (
        np.partition(low, rank, axis=1)[:, rank],
        np.partition(high, count - 1 - rank, axis=1)[:, count - 1 - rank],
    )


def mean_of(figures: Sequence[Figures]) -> Figures:
    """Their mean, study by study."""
    first = figures[0]
    return Figures(
        np.mean([of.value for of in figures], axis=0),
        np.mean([of.samples for of in figures], axis=0),
        np.mean([of.models for of in figures], axis=0),
        first.level,
    )


class Arm:
    """An arm of each of S simulated studies.

    Args:
        values: (S, n, G) rates of its models.
        replicates: (S, n, R, G) over people, or (S, 1, R, G) of their mean over models.
        level: of intervals.
    """

    def __init__(self, values: Array, replicates: Array, level: float) -> None:
        self.values, self.replicates, self.level = values, replicates, level

    def group(self, g: int) -> Figures:
        """The rate of a group."""
        return self._figures(self.values[..., g], self.replicates[..., g])

    @property
    def groups(self) -> list[Figures]:
        """The rates of all groups."""
        return [self.group(g) for g in range(self.values.shape[-1])]

    @property
    def mean(self) -> Figures:
        """Over groups."""
        return self._figures(self.values.mean(axis=-1), self.replicates.mean(axis=-1))

    def over_groups(self, statistic: Statistic) -> Figures:
        """A statistic over groups of each model, then averaged; needs replicates of each model."""
        return self._figures(statistic(self.values), statistic(self.replicates))

    def uneven_p(self) -> Array:
        """As :func:`evenface.study.inference.uneven_p`."""
        null = fairness.std_sample(self.replicates - self.replicates.mean(axis=2, keepdims=True))
        samples = self._figures(null.mean(axis=2), null).samples
        observed = fairness.std_sample(self.values).mean(axis=1)
        reached = np.count_nonzero(samples >= observed[:, None], axis=1)
        return np.asarray((1 + reached) / (1 + samples.shape[1]))

    def _figures(self, values: Array, replicates: Array) -> Figures:
        """Of (S, n) and (S, n or 1, R)."""
        mean = values.mean(axis=1)
        weights = seed_weights(values.shape[1], replicates.shape[2], 0)
        training = (values - mean[:, None]) @ weights.T
        return Figures(mean, replicates.mean(axis=1) + training, values, self.level)


class Studies:
    """S simulated studies on tests of their own; arms of one study share its people.

    Args:
        parts: where chance comes from.
        design: what the studies spend.
        count: S.
        rng: decides everything.
        each_model: whether replicates of each model are needed, and not of their mean alone.
        replicates: R.
    """

    def __init__(
        self,
        parts: Parts,
        design: Design,
        count: int,
        rng: np.random.Generator,
        *,
        each_model: bool = False,
        replicates: int = _REPLICATES,
    ) -> None:
        self.parts, self.design, self.count = parts, design, count
        self.rng, self.each_model, self.replicates = rng, each_model, replicates
        self._shared = self._chance(1)

    def arm(self, truth: Array | float) -> Arm:
        """An arm whose groups have these rates in truth: (G,), (S, 1) or (S, G)."""
        parts, design, rng = self.parts, self.design, self.rng
        shape = (self.count, 1, design.groups)
        rates = np.asarray(truth, dtype=np.float64)
        rates = np.clip(
            np.broadcast_to(rates[:, None] if rates.ndim == 2 else rates, shape), 1e-3, 1 - 1e-3
        )
        error = parts.testing(design.people, design.pairs, rates)
        rest = 1 - parts.shared - parts.own
        models = self._chance(design.seeds)
        if not self.each_model:
            scale = design.seeds**0.5
            models = (models[0], self._normal(1, self.replicates) / scale)
        values, replicates = (
            parts.shared**0.5 * shared + parts.own**0.5 * own + rest**0.5 * of_model
            for shared, own, of_model in zip(self._shared, self._chance(1), models, strict=True)
        )
        training = parts.training * rng.normal(size=(self.count, design.seeds, 1))
        training = training + parts.training_of_group * rng.normal(
            size=(self.count, design.seeds, design.groups)
        )
        values = rates + error * values + training
        centre = values if self.each_model else values.mean(axis=1, keepdims=True)
        replicates = centre[:, :, None] + error[:, :, None] * replicates
        return Arm(_possible(values), _possible(replicates), design.level)

    def _chance(self, models: int) -> tuple[Array, Array]:
        """Standard normal deviations of (S, models, G) values and of their replicates."""
        each = models if models == 1 or self.each_model else 0
        values = self.rng.normal(size=(self.count, models, self.design.groups))
        return values, self._normal(each, self.replicates)

    def _normal(self, models: int, replicates: int) -> Array:
        return self.rng.normal(size=(self.count, models, replicates, self.design.groups))


def _possible(rates: Array) -> Array:
    return np.clip(rates, 1e-4, 1 - 1e-4)


Decide = Callable[[Studies, Array], NDArray[np.bool_]]


@dataclass(frozen=True)
class Question:
    """A claim as a plan asks about it.

    Attributes:
        rule: its name.
        measure: key of :attr:`evenface.study.variance.Found.parts`.
        effect: in words, with the number to come: "a rise of {} in every group".
        unit: of the effect.
        decides: whether each study finds the claim supported, given (S,) true effects.
        start: an effect to begin the search at.
        least, most: the range of effects there can be; None: no upper limit.
        before: what the effect starts from, where it has an end (an STD, a ratio).
        people, groups: of its own test, None for those of the design.
        each_model: as :class:`Studies`.
    """

    rule: str
    measure: str
    effect: str
    unit: Unit
    decides: Decide
    start: float
    least: float = 0.0
    most: float | None = None
    before: float | None = None
    people: int | None = None
    groups: int | None = None
    each_model: bool = False

    def test(self, design: Design) -> Design:
        """The design with the question's own test."""
        own = {"people": self.people, "groups": self.groups}
        return replace(design, **{key: of for key, of in own.items() if of is not None})


def power(
    question: Question,
    parts: Parts,
    design: Design,
    effects: Array,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """(S,) whether studies with these true effects find the claim supported."""
    design = question.test(design)
    found = []
    for start in range(0, len(effects), _CHUNK):
        of = effects[start : start + _CHUNK]
        studies = Studies(parts, design, len(of), rng, each_model=question.each_model)
        found.append(question.decides(studies, of))
    return np.concatenate(found)


def power_at(
    question: Question,
    parts: Parts,
    design: Design,
    effect: float,
    *,
    studies: int = 400,
    seed: int = 0,
) -> float:
    """Share of studies that find the claim supported when this is the truth."""
    rng = np.random.default_rng(seed)
    return float(power(question, parts, design, np.full(studies, effect), rng).mean())


def smallest_effect(
    question: Question, parts: Parts, design: Design, *, seed: int = 0
) -> tuple[float | None, float]:
    """The smallest true effect that 4 of 5 studies decide, and the share that decide it.

    Where no possible effect is decided so often, None and the share that decide the largest.

    Studies with effects spread over a range are simulated, and a logistic curve is fitted to their
    verdicts, first over the whole range and then near the answer.
    """
    rng = np.random.default_rng(seed)

    def decided(effects: Array) -> NDArray[np.bool_]:
        return power(question, parts, design, effects, rng)

    low = question.least
    high = question.start if question.most is None else question.most
    if question.most is None:
        for _ in range(12):
            if decided(np.full(_CHUNK, high)).mean() > 0.9:
                break
            high *= 1.7
        else:
            return None, 0.0
    elif (best := float(decided(np.full(3 * _CHUNK, high)).mean())) < POWER:
        return None, best
    found = high
    for width in (None, 0.35):
        if width is not None:
            reach = width * max(abs(found), (high - low) / 4)
            low, high = max(low, found - reach), min(high, found + reach)
        effects = np.linspace(low, high, 4 * _CHUNK)
        rng.shuffle(effects)
        found = min(max(_reached(effects, decided(effects)), low), high)
    return float(found), POWER


def smallest_test(
    question: Question, parts: Parts, design: Design, effect: float, *, seed: int = 0
) -> tuple[Design | None, float]:
    """The design with the fewest people that decides an effect in 4 of 5 studies, and its power.

    Numbers of people are tried in steps of a quarter, up to 30,000 a group. Where none is enough,
    the design is None and the power that of 30,000.
    """
    steps = [20]
    while steps[-1] < _MOST_PEOPLE:
        steps.append(_round(steps[-1] * 1.25))

    def reached(place: int) -> float:
        return power_at(question, parts, replace(design, people=steps[place]), effect, seed=seed)

    low, high = 0, len(steps) - 1
    best = reached(high)
    if best < POWER:
        return None, best
    while low < high:
        middle = (low + high) // 2
        if (found := reached(middle)) >= POWER:
            high, best = middle, found
        else:
            low = middle + 1
    return replace(design, people=steps[high]), best


def _round(people: float) -> int:
    digits = 10 ** max(0, len(str(int(people))) - 2)
    return int(round(people / digits) * digits)


def _reached(effects: Array, decided: NDArray[np.bool_]) -> float:
    """Where a logistic curve of verdicts over effects crosses the power that is asked for."""
    centre, scale = effects.mean(), effects.std()
    x = np.stack([np.ones_like(effects), (effects - centre) / scale], axis=1)
    weights = np.zeros(2)
    for _ in range(50):  # Newton's method, with a slight penalty that keeps it finite
        p = 1 / (1 + np.exp(-(x @ weights)))
        gradient = x.T @ (decided - p) - 1e-3 * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-6:
            break
    at = np.log(POWER / (1 - POWER)) - weights[0]
    return float(centre + scale * at / max(weights[1], 1e-6))
