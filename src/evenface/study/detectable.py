"""The smallest effect that a finished study would detect: tells "no effect" from "no power".

From the intervals of its results alone. An interval of width w at 95 % has the standard error
s = w / 3.92; with ν degrees of freedom a true effect of λ · s is decided in 4 of 5 studies, λ being
the noncentrality at which a t test of ν and the rule's level has that power. ν is that of
:mod:`evenface.study.inference`, pooled over the study's pairs of arms. (``evenface study plan
--power`` simulates instead of assuming normal figures; the two agree where figures are means.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median, variance
from typing import Protocol

import numpy as np

from evenface.study.power import POWER
from evenface.study.wording import Interval, number

RUNS = "in 4 of 5 runs"


class Test(Interval, Protocol):
    """A figure behind a verdict."""

    @property
    def label(self) -> str: ...
    @property
    def unit(self) -> str: ...


@dataclass(frozen=True)
class Chance:
    """What a study's intervals hold.

    Attributes:
        level: their coverage.
        seeds: training seeds of each arm.
        least_seeds: fewer decide nothing.
        freedom: degrees of freedom of figures of one group, and of others over groups.
        freedom_of_mean: of means over groups.
        margin: a fraction, of the rules that have one.
    """

    level: float
    seeds: int
    least_seeds: int
    freedom: float
    freedom_of_mean: float
    margin: float


@dataclass(frozen=True)
class Detectable:
    """What a study that could not decide would have decided.

    Attributes:
        effect: the smallest true effect that 4 of 5 such studies decide, in the unit of the claim's
            figures; None where none is possible.
        short: "detects a fall of 0.9 points or more".
        sentence: the same as a sentence.
    """

    effect: float | None
    short: str
    sentence: str


@dataclass(frozen=True)
class _Kind:
    """How a rule tests.

    Attributes:
        effect: in words, with the number to come; with a margin, what would have to be true.
        tests: which of the claim's tests must pass, all of them.
        tail: one-sided level of each as a multiple of α = 1 − level.
        of_mean: whether they are of a mean over groups.
        has_margin: whether they are against a loss of the margin.
        best_of: whether one of the tests is enough, after Holm's correction.
        falls: whether the figure cannot fall below an end.
    """

    effect: str
    tests: Callable[[Sequence[Test]], Sequence[Test]]
    tail: float = 0.5
    of_mean: bool = False
    has_margin: bool = False
    best_of: bool = False
    falls: bool = False


def _first(tests: Sequence[Test]) -> Sequence[Test]:
    return tests[:1]


def _groups(tests: Sequence[Test]) -> Sequence[Test]:
    """Those that follow the summary of all groups and the mean over them."""
    return [of for of in tests[1:] if not of.label.startswith("mean over")] or tests[1:]


def _mean_and_worst(tests: Sequence[Test]) -> Sequence[Test]:
    return [of for of in tests if of.label in ("mean over groups", "worst group")]


_RULES: dict[str, _Kind] = {
    "kd-raises-accuracy": _Kind("a rise of {} or more in every group", _groups, tail=1.0),
    "kd-raises-accuracy-everywhere": _Kind(
        "a rise of {} or more in every group of every pair", _groups, tail=1.0
    ),
    "kd-helps-on-average": _Kind("a change of {} or more", _first, of_mean=True),
    "worst-group-better-off": _Kind("a rise of {} or more", _first, tail=0.25),
    "no-group-worse-off": _Kind("every group changed by {} or more", _groups, has_margin=True),
    "gap-closed": _Kind("a gap closed by {} or more", _first, of_mean=True),
    "gap-closed-synthetic": _Kind("a gap closed by {} or more", _first, of_mean=True),
    "mix-matches-real": _Kind(
        "the mix differed by {} or more", _first, of_mean=True, has_margin=True
    ),
    "which-mixes-match": _Kind(
        "a mix differed by {} or more",
        lambda tests: tests,
        of_mean=True,
        has_margin=True,
        best_of=True,
    ),
    "level-beats-baseline": _Kind("a rise of {} or more", _mean_and_worst),
    "real-people": _Kind("a fall of {} or more", _first),
}
_UNEVENNESS = _Kind("a fall of {} or more", _first, falls=True)
_OTHER = _Kind("a change of {} or more", _first)
_LONGER = ("mix-matches-real-plain", "mix-matches-real-without-kd")


def detectable(
    rule: str,
    tests: Sequence[Test],
    chance: Chance,
    *,
    before: float | None = None,
    floor: float | None = None,
) -> Detectable | None:
    """What a study would detect of what a claim asks; None where its figures have no intervals.

    Args:
        rule: the claim's.
        tests: the figures behind it, in the order of the results.
        chance: of the study.
        before: the STD or ratio without distillation, where the claim is about one.
        floor: what that of equal groups would be with distillation, by chance alone.
    """
    if chance.seeds < chance.least_seeds:
        said = f"with {chance.seeds} training seed{'s' * (chance.seeds != 1)} nothing is decided"
        return Detectable(None, said, f"{said[0].upper()}{said[1:]}, whatever the effect.")
    kind = _kind(rule)
    used = [of for of in kind.tests(tests) if of.low is not None and of.high is not None]
    if not used:
        return None
    width = 2 * NormalDist().inv_cdf((1 + chance.level) / 2)
    errors = [((of.high or 0.0) - (of.low or 0.0)) / width for of in used]
    if min(errors) <= 0:
        return None
    tail = kind.tail * (1 - chance.level)
    if kind.best_of:
        errors, tail = [median(errors)], tail / len(errors)
    freedom = chance.freedom_of_mean if kind.of_mean else chance.freedom
    effect = smallest(errors, freedom, tail) - (chance.margin if kind.has_margin else 0.0)
    return _said(kind, effect, used[0].unit, before, floor)


def smallest(errors: Sequence[float], freedom: float, tail: float) -> float:
    """The true effect with which all of some independent figures pass their tests in 4 of 5 cases.

    Args:
        errors: standard errors.
        freedom: degrees of freedom of the t tests.
        tail: one-sided level of each.
    """
    from scipy.special import nctdtr, nctdtrinc, stdtrit

    critical = float(stdtrit(freedom, 1 - tail))

    def passed(effect: float) -> float:
        all_of_them = 1.0
        for error in errors:
            all_of_them *= 1 - float(nctdtr(freedom, effect / error, critical))
        return all_of_them

    # One figure alone needs this much, and the largest so many times as sure needs enough for all.
    low = max(errors) * float(nctdtrinc(freedom, 1 - POWER, critical))
    high = max(errors) * float(nctdtrinc(freedom, 1 - POWER ** (1 / len(errors)), critical))
    for _ in range(40 if high > low else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if passed(middle) >= POWER else (middle, high)
    return high


def pooled_freedom(errors: Iterable[float], by_seed: Sequence[Sequence[float]]) -> float:
    """Effective degrees of freedom of a study's differences, pooled over them.

    ν = (V / (T / n))² · (n − 1), V the mean variance of the differences, T that between the seeds'
    own and n the number of seeds: Satterthwaite, as for one difference, but T from all of them.

    Args:
        errors: standard errors of differences.
        by_seed: of each, the differences of the models of each seed.
    """
    several = [of for of in by_seed if len(of) > 1]
    whole = [error**2 for error in errors]
    seeds = max(map(len, several), default=1)
    if not several or not whole:
        return max(seeds - 1.0, 1.0)
    training = fmean(variance(of) for of in several) / seeds
    most = 1e6
    if training == 0:
        return most
    ratio = max(fmean(whole) / training, 1.0)
    return min(ratio * ratio * (seeds - 1), most)


def by_chance(
    rates: Sequence[float], errors: Sequence[float], *, unit: str, to_mean: bool
) -> float:
    """What unevenness of equal groups looks like on average, by the noise of their rates alone.

    Args:
        rates: of the groups; errors, where a ratio is asked for.
        errors: their standard errors.
        unit: "points" for the sample standard deviation, "ratio" for a ratio.
        to_mean: of the ratio, whether it is to the geometric mean and not to the smallest rate.
    """
    groups = len(rates)
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    below = np.cumsum(density) * (grid[1] - grid[0])
    highest = float((grid * groups * density * below ** (groups - 1)).sum() * (grid[1] - grid[0]))
    noise = math.sqrt(fmean(error**2 for error in errors))
    if unit != "ratio":
        shape = math.lgamma(groups / 2) - math.lgamma((groups - 1) / 2)
        return noise * math.sqrt(2 / (groups - 1)) * math.exp(shape)
    relative = noise / fmean(rates)
    return math.exp((1 if to_mean else 2) * highest * relative)


def standard_error(interval: Interval, level: float) -> float | None:
    """Of a figure, from its interval; None without one."""
    if interval.low is None or interval.high is None:
        return None
    return (interval.high - interval.low) / (2 * NormalDist().inv_cdf((1 + level) / 2))


def _kind(rule: str) -> _Kind:
    if rule in _LONGER:
        return _RULES["mix-matches-real"]
    if "unevenness" in rule:
        return _UNEVENNESS
    return _RULES.get(rule, _OTHER)


def _said(
    kind: _Kind, effect: float, unit: str, before: float | None, floor: float | None
) -> Detectable:
    if kind.has_margin:
        words = kind.effect.format(size(effect, unit, sign=True))
        if effect <= 0:
            said = f"This study would show it {RUNS} if nothing differed."
            return Detectable(effect, "would show no difference", said)
        said = f"This study would show it {RUNS} only if {words}."
        return Detectable(effect, f"shows it only if {words}", said)
    words = kind.effect.format(size(effect, unit))
    if kind.falls and before is not None and before - effect < (floor or 0.0):
        chance = f"Equal groups would still show {size(floor or 0.0, unit)} by chance, and only "
        return Detectable(
            None,
            "no fall would be detected",
            f"This study cannot show a fall from {size(before, unit)}. "
            f"{chance if floor else 'Only '}{words} would be detected {RUNS}.",
        )
    return Detectable(effect, f"detects {words}", f"This study would detect {words} {RUNS}.")


def size(effect: float, unit: str, *, sign: bool = False) -> str:
    """An effect with its unit: "0.9 points", "34 %", "0.25"."""
    if unit == "ratio":
        return number(effect, sign=sign)
    if unit == "share":
        return f"{number(100 * effect, digits=0, sign=sign)} %"
    return f"{number(100 * effect, digits=1 if abs(effect) >= 0.0095 else 2, sign=sign)} points"
