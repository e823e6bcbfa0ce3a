"""From bootstrap replicates to estimates: the measures over groups, and every interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.evaluate import fairness
from evenface.evaluate.bootstrap import (
    expansion,
    percentile_interval,
    shrink,
    shrinkage,
    wilson_interval,
    zero_error_limit,
)
from evenface.evaluate.measures import MEASURES, base, of_kind
from evenface.evaluate.results import GLOBAL, Roc, WorstGroup
from evenface.record import Estimate

ROC_POINTS = 200

NO_ERRORS = "no error among these pairs: the interval cannot show how many there are in truth"
_UNBOUNDED = "no upper bound: too many resamples hold a group without errors"
_OF_INDEPENDENT = ("overall.", "mean.")
"""How measures over groups begin that are computed from figures with a threshold for each."""


def over_groups(
    by_group: Mapping[str, NDArray[np.float64]], fold_pairs: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """Measures over groups, (R,) by name, from those of the groups, (R, G).

    Args:
        by_group: "accuracy", "dprime", "fmr" and "fnmr" at the one threshold, and where they were
            measured "fmr@…" and "fnmr@…" at operating points and "worst_case.error".
        fold_pairs: (G,) pairs behind each accuracy.
    """
    found = {"overall.accuracy": by_group["accuracy"].mean(axis=1)}
    for name, values in by_group.items():
        if MEASURES[base(name)].averaged and "." not in name:
            found[f"mean.{name}"] = values.mean(axis=1)
        elif name.startswith(("fmr@", "fnmr@")):
            found[f"mean_{name}"] = values.mean(axis=1)
    if by_group["accuracy"].shape[1] < 2:
        return found
    at_one = of_kind("threshold")
    for name in by_group:
        if name.startswith("fmr@"):
            key = name.removeprefix("fmr@")
            rates = {error: by_group[f"{error}@{key}"] for error in ("fmr", "fnmr")}
            found |= {f"{m}@{key}": of.compute(rates) for m, of in at_one.items()}
    if "worst_case.error" in by_group:
        found["worst_case.worst_error"] = by_group["worst_case.error"].max(axis=1)
    known: dict[str, Any] = {**by_group, "fold_pairs": np.asarray(fold_pairs)}
    for name, of in of_kind("overall").items():
        if set(of.needs) <= set(known):
            found[f"overall.{name}"] = of.compute(known)
    return found | {f"global.{name}": at_one[name].compute(by_group) for name in GLOBAL}


@dataclass(frozen=True, eq=False)
class Resampled:
    """Replicates of every measure, as :class:`evenface.evaluate.results.Evaluation` holds them."""

    replicates: dict[str, NDArray[np.float64]]
    pair_replicates: dict[str, NDArray[np.float64]]
    shrinkage: dict[str, NDArray[np.float64]]


def resampled(
    observed: Mapping[str, NDArray[np.float64]],
    people: Mapping[str, NDArray[np.float64]],
    pairs: Mapping[str, NDArray[np.float64]],
    *,
    fold_pairs: Sequence[int],
    identities: Sequence[int | None],
    level: float,
) -> Resampled:
    """Replicates of all measures, shrunk.

    Measures of groups are shrunk, and so are measures over groups at one threshold, which all
    groups share. Other means, spreads and ratios are computed from the shrunk replicates of the
    groups, which are independent of each other.

    Args:
        observed: (1, G) of each measure of a group.
        people, pairs: (R, G) and (K, G) replicates of the same.
        fold_pairs: (G,) pairs behind each accuracy.
        identities: (G,), None where not known.
        level: of the intervals.
    """
    values, raw, of_pairs = (_shrunk_themselves(of, fold_pairs) for of in (observed, people, pairs))
    each = np.array([expansion(n, level) for n in identities])
    factors = {
        measure: np.asarray(
            shrinkage(samples, of_pairs[measure]) * (each if samples.ndim == 2 else each.max())
        )
        for measure, samples in raw.items()
    }
    shrunk = {
        measure: shrink(values[measure][0], samples, factors[measure])
        for measure, samples in raw.items()
    }
    by_group = {measure: shrunk[measure] for measure in people}
    return Resampled({**over_groups(by_group, fold_pairs), **shrunk}, of_pairs, factors)


def _shrunk_themselves(
    by_group: Mapping[str, NDArray[np.float64]], fold_pairs: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    over = over_groups(by_group, fold_pairs)
    return {**by_group, **{m: of for m, of in over.items() if not m.startswith(_OF_INDEPENDENT)}}


class Summary:
    """Replicates of every measure and the intervals they give.

    Args:
        groups: their names, in the order of the columns.
        samples: measure → (R, G) of groups, (R,) over groups; empty without replicates.
        level: coverage of the intervals.
    """

    def __init__(
        self, groups: Sequence[str], samples: dict[str, NDArray[np.float64]], level: float
    ) -> None:
        self.groups = tuple(groups)
        self.samples = samples
        self.level = level

    def estimate(
        self,
        measure: str,
        value: float | None,
        *,
        group: int | None = None,
        note: str | None = None,
    ) -> Estimate:
        """``value`` with the interval of its replicates; what is not finite becomes None."""
        if value is not None and not np.isfinite(value):
            value = None
            note = note or "undefined: no scatter among these pairs"
        low, high = self.interval(measure, value, group)
        return Estimate(value=value, low=low, high=high, note=note)

    def rate(
        self,
        measure: str,
        value: float,
        *,
        group: int,
        trials: int | None,
        note: str | None = None,
    ) -> Estimate:
        """An error rate of a group; where nothing was seen, ``high`` is what that cannot exclude.

        No resample holds an error that the sample does not, so the replicates of a rate of zero
        have no width. In their place comes :func:`zero_error_limit`.

        Args:
            measure: the rate's name.
            value: observed.
            group: index.
            trials: independent ones behind it; None if not known: then ``high`` is not either.
            note: what else to say.
        """
        estimate = self.estimate(measure, value, group=group, note=note)
        if value > 0 or estimate.high is None:
            return estimate
        if not trials:
            said = NO_ERRORS if note is None else f"{note}; {NO_ERRORS}"
            return estimate.model_copy(update={"high": None, "note": said})
        high = max(estimate.high, zero_error_limit(trials, (1 - self.level) / 2))
        none_seen = (
            f"none seen: the upper bound is that of no error in {trials:,} independent trials"
        )
        said = none_seen if note is None else f"{note}; {none_seen}"
        return Estimate(value=value, low=0.0, high=high, note=said)

    def tar(
        self, measure: str, value: float, *, group: int, trials: int | None, note: str | None
    ) -> Estimate:
        """A share of genuine pairs accepted, bounded as :meth:`rate` bounds the share rejected."""
        estimate = self.estimate(measure, value, group=group, note=note)
        if value < 1 or estimate.low is None:
            return estimate
        said = NO_ERRORS
        low = None
        if trials:
            low = min(estimate.low, 1 - zero_error_limit(trials, (1 - self.level) / 2))
            said = (
                f"none missed: the lower bound is that of no error in {trials:,} independent trials"
            )
        said = said if note is None else f"{note}; {said}"
        return estimate.model_copy(update={"low": low, "note": said})

    def interval(
        self,
        measure: str,
        value: float | None,
        group: int | None = None,
        *,
        level: float | None = None,
    ) -> tuple[float | None, float | None]:
        """Bounds by the replicates, None where there are none or they are infinite.

        Wilson's for a rate, else percentiles; at the level of the whole unless another is given.
        """
        if measure not in self.samples:
            return None, None
        known = MEASURES[base(measure)]
        samples = self.samples[measure] if group is None else self.samples[measure][:, group]
        if value is not None and known.rate and len(samples) > 1:
            variance = float(samples.var(ddof=1))
            if np.isfinite(variance):
                return wilson_interval(value, variance, level or self.level)
        low, high = percentile_interval(
            samples, level or self.level, floor=known.low, ceiling=known.high
        )
        return low if np.isfinite(low) else None, high if np.isfinite(high) else None

    def ratio(
        self,
        measure: str,
        rates: NDArray[np.float64],
        rate: str,
        trials: Sequence[int | None],
        event: str,
    ) -> Estimate:
        """Largest over smallest rate; with a bound in its place where a group's rate is zero.

        The lower bound then divides the lower bound of the largest rate by the upper limit of a
        rate of which nothing was seen, :func:`zero_error_limit`. Each of both limits takes half of
        the error probability, so the bound holds at the level.

        Args:
            measure: the ratio's name.
            rates: (G,) observed.
            rate: the name of the rates; "error" for 1 − accuracy.
            trials: (G,) independent trials behind each rate.
            event: what a rate counts, as "error".
        """
        value = float(fairness.rate_ratio(rates))
        low, high = self.interval(measure, None)
        if np.isfinite(value):
            unbounded = low is not None and high is None
            note = _UNBOUNDED if unbounded else None
            return Estimate(value=value, low=low, high=high, note=note)
        clean = np.flatnonzero(rates == 0)
        names = ", ".join(self.groups[g] for g in clean)
        note = f"undefined: no {event} seen in {names}"
        of_clean = [trials[int(g)] for g in clean]
        worst = int(np.argmax(rates))
        highest, _ = self._rate_interval(rate, float(rates[worst]), worst)
        if highest is None or None in of_clean:
            return Estimate(note=note)
        most = max(n for n in of_clean if n is not None)
        limit = zero_error_limit(most, (1 - self.level) / 2)
        note += (
            f"; the lower bound takes its rate as {100 * limit:.2f} %, the upper limit where "
            f"none of {most} independent trials fails"
        )
        return Estimate(low=max(1.0, highest / limit), note=note)

    def _rate_interval(
        self, rate: str, value: float, group: int
    ) -> tuple[float | None, float | None]:
        if rate != "error":
            return self.interval(rate, value, group)
        low, high = self.interval("accuracy", 1 - value, group)
        return None if high is None else 1 - high, None if low is None else 1 - low

    def at_operating_point(
        self,
        key: str,
        fmr: NDArray[np.float64],
        fnmr: NDArray[np.float64],
        trials: tuple[Sequence[int | None], Sequence[int | None]],
    ) -> dict[str, Estimate]:
        """The measures over groups at one threshold, with intervals.

        Where a group's rate is zero, ratios of that rate are undefined. Their lower bound takes
        each group's rate at a limit of its own, so that all hold together at the level
        (Bonferroni): that of the replicates, and for a rate of which nothing was seen
        :func:`zero_error_limit`, as in :meth:`ratio`.

        Args:
            key: of the operating point.
            fmr, fnmr: (G,) observed.
            trials: (G,) independent ones behind each error.
        """
        bounds = self._bounds_of_ratios(key, (fmr, fnmr), trials)
        clean = [
            (event, ", ".join(self.groups[g] for g in np.flatnonzero(rates == 0)))
            for event, rates in (("false match", fmr), ("false non-match", fnmr))
        ]
        found = {}
        for name, of in of_kind("threshold").items():
            measure, value = f"{name}@{key}", of.compute({"fmr": fmr, "fnmr": fnmr})
            if of.low < 1 or np.isfinite(value):
                estimate = self.estimate(measure, float(value))
                if estimate.low is not None and estimate.high is None:
                    estimate = estimate.model_copy(update={"note": _UNBOUNDED})
                found[name] = estimate
                continue
            seen = "; ".join(
                f"no {event} seen in {names}"
                for error, (event, names) in zip(("fmr", "fnmr"), clean, strict=True)
                if names and error in of.needs
            )
            found[name] = Estimate(low=bounds.get(name), note=f"undefined: {seen}")
        return found

    def _bounds_of_ratios(
        self,
        key: str,
        rates: tuple[NDArray[np.float64], NDArray[np.float64]],
        trials: tuple[Sequence[int | None], Sequence[int | None]],
    ) -> dict[str, float]:
        # Limits that must hold together: lower and upper, of both errors, of every group.
        tail = (1 - self.level) / (2 * 2 * len(self.groups))
        ratio, to_mean = {}, {}
        for error, observed, of_error in zip(("fmr", "fnmr"), rates, trials, strict=True):
            lows, highs = [], []
            for g, n in enumerate(of_error):
                rate = float(observed[g])
                low, high = self.interval(f"{error}@{key}", rate, g, level=1 - 2 * tail)
                if low is None or high is None or n is None or n < 1:
                    return {}
                lows.append(low)
                highs.append(zero_error_limit(n, tail) if rate == 0 else high)
            highest = max(lows)
            ratio[error] = max(1.0, highest / min(highs)) if min(highs) > 0 else 1.0
            mean = float(np.exp(np.mean(np.log(highs)))) if min(highs) > 0 else np.inf
            to_mean[error] = max(1.0, highest / mean)
        return {
            **{f"{error}_ratio": bound for error, bound in ratio.items()},
            **{f"{error}_worst_to_mean": bound for error, bound in to_mean.items()},
            "inequity_rate": float(np.sqrt(ratio["fmr"] * ratio["fnmr"])),
            "werm": float(np.sqrt(to_mean["fmr"] * to_mean["fnmr"])),
        }

    def std_corrected(self, observed: float) -> float | None:
        """The STD without sampling noise; its replicates are added to ``samples``.

        A replicate holds the noise of the sample and as much again of its own, so twice the
        variance of the replicates is taken from it. None where replicates are undefined.
        """
        samples = self.samples["accuracy"]
        complete = samples[~np.isnan(samples).any(axis=1)]
        if len(complete) < 2:
            return None
        noise = float(complete.var(axis=0).mean())
        self.samples["overall.std_corrected"] = fairness.std_corrected(
            self.samples["overall.std_sample"], 2 * noise
        )
        return float(fairness.std_corrected(observed, noise))

    def std_expected(self) -> tuple[NDArray[np.float64], float | None]:
        """Replicates of the STD of equal groups, and their mean (None where all are undefined)."""
        samples = fairness.std_if_equal(self.samples["accuracy"])
        defined = samples[~np.isnan(samples)]
        return samples, float(defined.mean()) if len(defined) else None

    def std_excess_p(self, observed: float) -> float | None:
        """Share of replicates of equal groups whose STD reaches the observed one."""
        if "overall.std_expected" not in self.samples:
            return None
        samples = self.samples["overall.std_expected"]
        reached = int(np.count_nonzero(np.isnan(samples) | (samples >= observed)))
        return (1 + reached) / (len(samples) + 1)

    def worst_group(
        self, values: NDArray[np.float64], measure: str = "accuracy", *, errors: bool = False
    ) -> WorstGroup:
        """The group of the lowest of ``values`` (G,), and its share of the replicates.

        Args:
            values: of the groups, observed.
            measure: the name of their replicates.
            errors: whether the highest is the worst.
        """
        sign = -1 if errors else 1
        values = sign * values
        share = None
        if measure in self.samples:
            samples = sign * self.samples[measure]
            samples = samples[~np.isnan(samples).any(axis=1)]
            if len(samples):
                ties = samples == samples.min(axis=1, keepdims=True)
                shares = (ties / ties.sum(axis=1, keepdims=True)).mean(axis=0)
                share = dict(zip(self.groups, shares.tolist(), strict=True))
        lowest = np.flatnonzero(values == values.min())
        tied = ", ".join(self.groups[g] for g in lowest)
        return WorstGroup(
            value=self.groups[lowest[0]],
            share=share,
            note=f"tied: {tied}" if len(lowest) > 1 else None,
        )


def thin_roc(far: ArrayLike, tar: ArrayLike) -> Roc:
    """Corners of a ROC near points even in log FAR and in TAR; first and last always kept."""
    x, y = np.asarray(far, dtype=np.float64), np.asarray(tar, dtype=np.float64)
    kept = np.arange(len(x))
    if len(x) > ROC_POINTS:
        half = ROC_POINTS // 2 - 1
        by_far = np.searchsorted(x, np.geomspace(x[x > 0][0], 1, half))
        by_tar = np.searchsorted(y, np.linspace(0, 1, half))
        kept = np.unique(np.concatenate([[0], by_far, by_tar, [len(x) - 1]]))
        kept = kept[kept < len(x)]
    return Roc(far=x[kept].tolist(), tar=y[kept].tolist())
