"""From bootstrap replicates to estimates: the measures over groups, and every interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.evaluate import fairness
from evenface.evaluate.bootstrap import percentile_interval, zero_error_limit
from evenface.evaluate.results import Estimate, Roc, WorstGroup

ROC_POINTS = 200

_RANGES = {
    "dprime": (-np.inf, np.inf),
    "overall.dprime_gap": (0.0, np.inf),
    "overall.probit_gap": (0.0, np.inf),
    "overall.ser": (1.0, np.inf),
    "global.fnmr_ratio": (1.0, np.inf),
}
"""What a measure can be at all; all others are in [0, 1]."""


def over_groups(
    by_group: Mapping[str, NDArray[np.float64]], fold_pairs: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """Measures over groups, (R,) by name, from those of the groups, (R, G).

    Args:
        by_group: "accuracy", "dprime", and "fmr" and "fnmr" at the one threshold.
        fold_pairs: (G,) pairs behind each accuracy.
    """
    accuracy, dprime, fmr, fnmr = (by_group[m] for m in ("accuracy", "dprime", "fmr", "fnmr"))
    if accuracy.shape[1] < 2:
        return {"overall.accuracy": accuracy.mean(axis=1)}
    return {
        "overall.accuracy": accuracy.mean(axis=1),
        "overall.std_sample": fairness.std_sample(accuracy),
        "overall.std_population": fairness.std_population(accuracy),
        "overall.ser": fairness.skewed_error_ratio(accuracy),
        "overall.gap": fairness.gap(accuracy),
        "overall.dprime_gap": fairness.gap(dprime),
        "overall.probit_gap": fairness.probit_gap(accuracy, fold_pairs),
        "global.fdr": fairness.fairness_discrepancy_rate(fmr, fnmr),
        "global.garbe": fairness.garbe(fmr, fnmr),
        "global.fnmr_ratio": fairness.rate_ratio(fnmr),
    }


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
        low, high = self.interval(measure, group)
        return Estimate(value=value, low=low, high=high, note=note)

    def interval(self, measure: str, group: int | None = None) -> tuple[float | None, float | None]:
        """Bounds from the replicates, None where there are none or they are infinite."""
        if measure not in self.samples:
            return None, None
        floor, ceiling = _RANGES.get(measure, (0.0, 1.0))
        samples = self.samples[measure] if group is None else self.samples[measure][:, group]
        low, high = percentile_interval(samples, self.level, floor=floor, ceiling=ceiling)
        return low if np.isfinite(low) else None, high if np.isfinite(high) else None

    def ratio(
        self,
        measure: str,
        rates: NDArray[np.float64],
        replicates: NDArray[np.float64] | None,
        identities: Sequence[int],
        event: str,
    ) -> Estimate:
        """Largest over smallest rate; with a bound in its place where a group's rate is zero.

        The lower bound then divides the lower bound of the largest rate by the upper limit of a
        rate of which nothing was seen, :func:`zero_error_limit`. Trials are identities, not
        pairs: a person's pairs are not independent, and the share of a person's pairs that fail
        is at most one, so what limits the share of people with a failure limits the rate. Each
        of both limits takes half of the error probability, so the bound holds at the level.

        Args:
            measure: the ratio's name.
            rates: (G,) observed.
            replicates: (R, G) of the rates; None without.
            identities: (G,) identities of the groups with genuine pairs.
            event: what a rate counts, as "error".
        """
        value = float(fairness.rate_ratio(rates))
        low, high = self.interval(measure)
        if np.isfinite(value):
            unbounded = low is not None and high is None
            note = f"no upper bound: too many resamples hold a group without {event}"
            return Estimate(value=value, low=low, high=high, note=note if unbounded else None)
        clean = np.flatnonzero(rates == 0)
        names = ", ".join(self.groups[g] for g in clean)
        note = f"undefined: no {event} seen in {names}"
        if replicates is None:
            return Estimate(value=None, low=None, high=None, note=note)
        most = max(identities[int(g)] for g in clean)
        limit = zero_error_limit(most, (1 - self.level) / 2)
        highest, _ = percentile_interval(
            replicates[:, int(np.argmax(rates))], self.level, floor=0.0, ceiling=1.0
        )
        note += (
            f"; the lower bound takes its rate as {100 * limit:.2f} %, the upper limit where "
            f"none of {most} identities fails"
        )
        return Estimate(value=None, low=max(1.0, highest / limit), high=None, note=note)

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

    def worst_group(self, accuracies: NDArray[np.float64]) -> WorstGroup:
        """The group of the lowest of ``accuracies`` (G,), and its share of the replicates."""
        share = None
        if "accuracy" in self.samples:
            samples = self.samples["accuracy"]
            samples = samples[~np.isnan(samples).any(axis=1)]
            if len(samples):
                ties = samples == samples.min(axis=1, keepdims=True)
                shares = (ties / ties.sum(axis=1, keepdims=True)).mean(axis=0)
                share = dict(zip(self.groups, shares.tolist(), strict=True))
        lowest = np.flatnonzero(accuracies == accuracies.min())
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
