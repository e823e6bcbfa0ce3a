"""The catalogue of measures: names, what they mean, how they are shown, and which way is better.

Everything that names a measure reads it: replicates and intervals, comparisons, tables, glossaries,
the terminal. A new measure is one function in :mod:`evenface.evaluate.fairness` and one entry here.

A name among an evaluation's replicates is "<scope>.<name>@<level>", with or without scope and
level: "eer", "tar@far=1e-3", "overall.std_sample", "mean.eer", "own.fmr@1e-3", "fdr@1e-3".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate import fairness

Kind = Literal["group", "scores", "overall", "threshold", "other"]
"""Of one group; of one group relative to all, from moments of scores; over groups, from their
figures at thresholds of their own; over groups at one threshold; recorded in a field of its own."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """An entry of a glossary; ``id`` is its anchor."""

    id: str
    name: str
    meaning: str


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        name: without scope and level.
        title: heading of a column.
        term: id of what it means, in :data:`TERMS`.
        kind: what it is of.
        better: which way; None where neither is (0 is even).
        unit: "percent" for fractions that are shown in % or percentage points, else "number".
        low, high: what it can be at all.
        digits: shown after the point.
        rate: a share of pairs, whose interval is Wilson's.
        averaged: its mean over groups is given.
        compared: between two models.
        of: computes it from ``needs``; (…, G) arrays in, (…) out, or (…, G) for kind "scores".
        needs: names of measures of groups; "fold_pairs"; or "genuine_mean", "genuine_variance",
            "impostor_mean", "impostor_variance" of scores.
    """

    name: str
    title: str
    term: str
    kind: Kind = "group"
    better: Literal["higher", "lower"] | None = "lower"
    unit: Literal["percent", "number"] = "percent"
    low: float = 0.0
    high: float = 1.0
    digits: int = 2
    rate: bool = False
    averaged: bool = False
    compared: bool = True
    of: Callable[..., Values] | None = None
    needs: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """Factor on what is shown."""
        return 100.0 if self.unit == "percent" else 1.0

    def compute(self, values: Mapping[str, Any]) -> Values:
        """From the values that it needs."""
        if self.of is None:
            raise ValueError(f"{self.name} is not computed from other measures")
        return self.of(*(values[name] for name in self.needs))


_TERMS = (
    Term(
        "accuracy",
        "Accuracy",
        "Share of pairs told right, mean over 10 folds: the threshold is chosen on nine folds and "
        "used on the tenth. Each group has its own threshold, as in the RFW benchmark; the table "
        "at one threshold shows what that hides.",
    ),
    Term(
        "exact",
        "Exact thresholds",
        "Accuracy as above, with every score as a possible threshold instead of a grid of 400.",
    ),
    Term(
        "eer",
        "EER, equal error rate",
        "The error where FMR and FNMR are equal. Lower is better.",
    ),
    Term(
        "auc",
        "AUC",
        "Area under the ROC: the chance that a genuine pair scores higher than an impostor pair.",
    ),
    Term(
        "dprime",
        "d′ gap",
        "d′ is the distance between the mean scores of genuine and impostor pairs in pooled "
        "standard deviations: it depends on no threshold and has no ceiling. The gap is the "
        "highest over groups minus the lowest.",
    ),
    Term(
        "tar-far",
        "TAR@FAR",
        "Share of genuine pairs accepted (true accept rate) at the threshold that lets through "
        "that share of impostor pairs.",
    ),
    Term(
        "fmr",
        "FMR, FAR",
        "False match rate (false accept rate): share of impostor pairs that are accepted. Both "
        "people of such a pair are of one group, but for the cross-table.",
    ),
    Term(
        "fnmr",
        "FNMR",
        "False non-match rate: share of genuine pairs that are rejected.",
    ),
    Term(
        "failure",
        "Failure to enrol or acquire",
        "Share of the pairs to be compared that have no score, because an image gave no template "
        "(ISO/IEC 19795-1).",
    ),
    Term(
        "generalised",
        "GFMR, GFNMR",
        "Generalised error rates (ISO/IEC 19795-1): those of all pairs, where a pair without a "
        "score is never matched. GFNMR counts it as a false non-match.",
    ),
    Term(
        "worst-threshold",
        "Threshold for the worst group",
        "The one threshold that makes the largest group error, the mean of FMR and FNMR, as small "
        "as one threshold can.",
    ),
    Term(
        "brier",
        "Brier score",
        "Mean squared difference between the probability given and the truth (0 or 1).",
    ),
    Term(
        "score-shift",
        "Score shift",
        "Mean score of a group's genuine (or impostor) pairs minus the mean over groups, in "
        "standard deviations within groups. 0 is even. Genuine scores below 0 and impostor scores "
        "above it both bring errors at a common threshold. Such differences of score "
        "distributions, whatever the threshold, are called differential performance. The gap is "
        "the highest over groups minus the lowest.",
    ),
    Term(
        "std",
        "STD",
        "Standard deviation of accuracy over groups. The sample convention divides by the number "
        "of groups minus one, the population convention by the number of groups; the literature "
        "uses both.",
    ),
    Term(
        "std-expected",
        "STD if groups were equal",
        "The STD that sampling noise alone gives when all groups have one accuracy. STD cannot be "
        "negative, so it is above zero even then. Only an STD that noise seldom reaches shows "
        "groups that differ.",
    ),
    Term(
        "std-corrected",
        "Corrected STD",
        "STD without the share of its square that sampling noise gives. Zero is a frequent value "
        "and no proof of equality.",
    ),
    Term(
        "ser",
        "SER, skewed error ratio",
        "Highest error over groups divided by the lowest; error is 100 − accuracy. 1 is equal. "
        "Without an error in some group it is undefined, and only a lower bound is given.",
    ),
    Term(
        "gap",
        "Gap",
        "Highest accuracy over groups minus the lowest.",
    ),
    Term(
        "probit",
        "Probit gap",
        "Highest minus lowest accuracy over groups after the inverse of the normal distribution, "
        "which undoes the ceiling: near 100 % every gap shrinks, this one does not.",
    ),
    Term(
        "avg-std",
        "AVG − STD",
        "Mean accuracy over groups minus its sample STD: the figure that ranks entries of the "
        "FRCSyn challenge. Higher is better; accuracy and evenness are traded one for one.",
    ),
    Term(
        "fdr",
        "FDR, fairness discrepancy rate",
        "1 minus the mean of the largest differences of FMR and of FNMR between groups, at one "
        "threshold. 1 is equal.",
    ),
    Term(
        "garbe",
        "GARBE",
        "Mean of the Gini coefficients of FMR and of FNMR over groups, at one threshold. 0 is "
        "equal.",
    ),
    Term(
        "ir",
        "IR, inequity rate",
        "Square root of highest over lowest FMR times highest over lowest FNMR. 1 is even; one "
        "lucky group decides.",
    ),
    Term(
        "werm",
        "WERM",
        "Square root of the product of both errors’ highest rate over the geometric mean of the "
        "groups. 1 is even.",
    ),
    Term(
        "rate-gap",
        "FMR gap, FNMR gap",
        "Highest rate over groups minus the lowest.",
    ),
    Term(
        "rate-ratio",
        "FMR ratio, FNMR ratio",
        "Highest rate over groups divided by the lowest. 1 is even. Without an error in some "
        "group it is undefined, and only a lower bound is given.",
    ),
    Term(
        "worst-to-mean",
        "Worst to mean",
        "Highest rate over groups divided by the geometric mean of the groups’ rates. 1 is even.",
    ),
    Term(
        "gini",
        "Gini coefficient",
        "Mean difference between the rates of two groups, relative to twice the mean rate. 0 is "
        "even.",
    ),
)
TERMS = {term.id: term for term in _TERMS}
"""What the measures mean, by anchor."""

_INF = math.inf
_NUMBER: Any = {"unit": "number"}
_GAP: Any = {"unit": "number", "high": _INF, "of": fairness.gap}
_RATIO: Any = {"unit": "number", "low": 1.0, "high": _INF}
_SHIFT: Any = {"unit": "number", "low": -_INF, "high": _INF, "better": None}
_HIGH: Any = {"better": "higher"}
_BOTH, _OVER = ("fmr", "fnmr"), ("accuracy",)


def _each(of: Callable[..., Values], term: str, words: str, **more: Any) -> Iterator[Measure]:
    """A measure at a threshold that looks at one error alone, for FMR and for FNMR."""
    for error in _BOTH:
        name = f"{error}_{words.lower().replace(' ', '_')}"
        yield Measure(
            name, f"{error.upper()} {words}", term, "threshold", of=of, needs=(error,), **more
        )


_MEASURES = (
    # Of a group, at thresholds of its own.
    Measure("accuracy", "accuracy", "accuracy", rate=True, **_HIGH),
    Measure(
        "accuracy_exact", "accuracy, exact thresholds", "exact", rate=True, averaged=True, **_HIGH
    ),
    Measure("eer", "EER", "eer", rate=True, averaged=True),
    Measure("auc", "AUC", "auc", unit="number", digits=4, averaged=True, **_HIGH),
    Measure("dprime", "d′", "dprime", averaged=True, **_SHIFT | _HIGH),
    Measure("tar", "TAR", "tar-far", rate=True, averaged=True, **_HIGH),
    # Of a group at one threshold for all.
    Measure("fmr", "FMR", "fmr", "other", rate=True),
    Measure("fnmr", "FNMR", "fnmr", "other", rate=True),
    Measure("gfmr", "GFMR", "generalised", "other", rate=True),
    Measure("gfnmr", "GFNMR", "generalised", "other", rate=True),
    Measure("genuine_failure", "genuine pairs without a score", "failure", "other", rate=True),
    Measure("impostor_failure", "impostor pairs without a score", "failure", "other", rate=True),
    Measure("mean_fmr", "mean FMR", "fmr", "other", rate=True),
    Measure("mean_fnmr", "mean FNMR", "fnmr", "other", rate=True),
    Measure("error", "error", "worst-threshold", "other", rate=True),
    Measure("worst_error", "worst group’s error", "worst-threshold", "other"),
    Measure("brier", "Brier score", "brier", "other", digits=4, **_NUMBER),
    # Of a group relative to all.
    *(
        Measure(
            f"{kind}_shift",
            f"{kind} score shift",
            "score-shift",
            "scores",
            of=fairness.score_shift,
            needs=(f"{kind}_mean", f"{kind}_variance"),
            **_SHIFT,
        )
        for kind in ("genuine", "impostor")
    ),
    # Over groups, each at thresholds of its own.
    Measure("std_sample", "STD", "std", "overall", of=fairness.std_sample, needs=_OVER),
    Measure(
        "std_population",
        "STD, population",
        "std",
        "overall",
        compared=False,
        of=fairness.std_population,
        needs=_OVER,
    ),
    Measure("std_expected", "STD if groups were equal", "std-expected", "other"),
    Measure("std_corrected", "STD, corrected", "std-corrected", "other"),
    Measure("ser", "SER", "ser", "overall", of=fairness.skewed_error_ratio, needs=_OVER, **_RATIO),
    Measure("gap", "gap", "gap", "overall", of=fairness.gap, needs=_OVER),
    Measure("dprime_gap", "d′ gap", "dprime", "overall", needs=("dprime",), **_GAP),
    Measure(
        "probit_gap",
        "probit gap",
        "probit",
        "overall",
        needs=("accuracy", "fold_pairs"),
        **_GAP | {"of": fairness.probit_gap},
    ),
    Measure(
        "avg_minus_std",
        "AVG − STD",
        "avg-std",
        "overall",
        low=-1.0,
        of=fairness.average_minus_std,
        needs=_OVER,
        **_HIGH,
    ),
    *(
        Measure(
            f"{kind}_shift_gap",
            f"gap of {kind} score shift",
            "score-shift",
            "overall",
            needs=(f"{kind}_shift",),
            **_GAP,
        )
        for kind in ("genuine", "impostor")
    ),
    # Over groups at one threshold.
    Measure(
        "fdr",
        "FDR",
        "fdr",
        "threshold",
        digits=4,
        of=fairness.fairness_discrepancy_rate,
        needs=_BOTH,
        **_NUMBER | _HIGH,
    ),
    Measure(
        "garbe", "GARBE", "garbe", "threshold", digits=3, of=fairness.garbe, needs=_BOTH, **_NUMBER
    ),
    Measure(
        "inequity_rate", "IR", "ir", "threshold", of=fairness.inequity_rate, needs=_BOTH, **_RATIO
    ),
    Measure(
        "werm",
        "WERM",
        "werm",
        "threshold",
        compared=False,
        of=fairness.werm,
        needs=_BOTH,
        **_RATIO,
    ),
    *_each(fairness.gap, "rate-gap", "gap", compared=False),
    *(
        replace(ratio, compared=ratio.name == "fnmr_ratio")
        for ratio in _each(fairness.rate_ratio, "rate-ratio", "ratio", **_RATIO)
    ),
    *_each(
        fairness.worst_to_geometric_mean, "worst-to-mean", "worst to mean", compared=False, **_RATIO
    ),
    *_each(fairness.gini, "gini", "Gini", digits=3, compared=False, **_NUMBER),
)
MEASURES = {measure.name: measure for measure in _MEASURES}
"""By name, in the order of tables."""


def of_kind(kind: Kind) -> dict[str, Measure]:
    """The measures of a kind, by name."""
    return {name: of for name, of in MEASURES.items() if of.kind == kind}


def base(name: str) -> str:
    """A name without scope and level: "fmr" for "own.fmr@1e-3"."""
    return name.partition("@")[0].rpartition(".")[2]


def measure(name: str) -> Measure:
    """The measure that a replicates' name refers to, with its level in the title.

    Raises:
        ValueError: there is no such measure.
    """
    known = MEASURES.get(base(name))
    if known is None:
        raise ValueError(f"unknown measure {name!r}; known: {', '.join(MEASURES)}")
    if name == "overall.accuracy":
        return replace(known, title="mean accuracy")
    level = name.partition("@")[2]
    if not level:
        return known
    key = level.removeprefix("far=")
    digits = rate_digits(float(key)) if known.name.endswith("fmr") else known.digits
    joint = "@FAR " if level != key else " at FMR "
    return replace(known, title=f"{known.title}{joint}{in_percent(float(key))}", digits=digits)


def better(name: str, difference: float) -> bool:
    """Whether a difference of a measure is for the better."""
    return (difference > 0) == (measure(name).better == "higher")


def in_percent(rate: float) -> str:
    """A target rate as it is spoken of: "0.1 %"."""
    return f"{100 * rate:g} %"


def rate_digits(target: float) -> int:
    """Digits after the point, in per cent, of rates near a target."""
    return max(2, math.ceil(-math.log10(target) - 1e-9))
