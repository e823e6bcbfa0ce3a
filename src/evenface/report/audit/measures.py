"""What measures are called on a page, and how they are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evenface.report.numbers import number


@dataclass(frozen=True)
class Measure:
    """A heading, its entry in the glossary, and the unit."""

    heading: str
    term: str
    scale: float = 100
    """100 for what is shown in per cent or points, 1 for ratios and indices."""
    digits: int = 2


_NAMED = {
    "accuracy": Measure("accuracy", "accuracy"),
    "accuracy_exact": Measure("accuracy, exact thresholds", "exact"),
    "eer": Measure("EER", "eer"),
    "auc": Measure("AUC", "auc", 1, 4),
    "dprime": Measure("d′", "dprime", 1),
    "tar": Measure("TAR", "tar-far"),
    "fmr": Measure("FMR", "fmr"),
    "fnmr": Measure("FNMR", "fnmr"),
    "std_sample": Measure("STD", "std"),
    "std_population": Measure("STD, population", "std"),
    "std_corrected": Measure("STD, corrected", "std-corrected"),
    "ser": Measure("SER", "ser", 1),
    "gap": Measure("gap", "gap"),
    "dprime_gap": Measure("d′ gap", "dprime", 1),
    "probit_gap": Measure("probit gap", "probit", 1),
    "worst_error": Measure("worst group’s error", "worst-threshold"),
    "fdr": Measure("FDR", "fdr", 1, 4),
    "garbe": Measure("GARBE", "garbe", 1, 3),
    "inequity_rate": Measure("IR", "ir", 1),
    "werm": Measure("WERM", "werm", 1),
    "fmr_gap": Measure("FMR gap", "rate-gap"),
    "fnmr_gap": Measure("FNMR gap", "rate-gap"),
    "fmr_ratio": Measure("FMR ratio", "rate-ratio", 1),
    "fnmr_ratio": Measure("FNMR ratio", "rate-ratio", 1),
    "fmr_worst_to_mean": Measure("FMR worst to mean", "worst-to-mean", 1),
    "fnmr_worst_to_mean": Measure("FNMR worst to mean", "worst-to-mean", 1),
    "fmr_gini": Measure("FMR Gini", "gini", 1, 3),
    "fnmr_gini": Measure("FNMR Gini", "gini", 1, 3),
}


def measure(name: str) -> Measure:
    """How a measure is shown, by the name that it has among an evaluation's replicates."""
    base, _, level = name.partition("@")
    known = _NAMED.get(base.rpartition(".")[2])
    if known is None:
        return Measure(name.replace("_", " "), "", 1)
    heading = "mean accuracy" if name == "overall.accuracy" else known.heading
    if not level:
        return Measure(heading, known.term, known.scale, known.digits)
    key = level.removeprefix("far=")
    digits = rate_digits(float(key)) if base.endswith("fmr") else known.digits
    joint = "@FAR " if level != key else " at FMR "
    return Measure(f"{heading}{joint}{in_percent(float(key))}", known.term, known.scale, digits)


def in_percent(rate: float) -> str:
    """A target rate as it is spoken of: "0.1 %"."""
    return f"{100 * rate:g} %"


def rate_digits(target: float) -> int:
    """Digits after the point, in per cent, of rates near a target."""
    return max(2, math.ceil(-math.log10(target) - 1e-9))


def cosine(value: float | None) -> str:
    """A threshold."""
    return number(value, digits=4)
