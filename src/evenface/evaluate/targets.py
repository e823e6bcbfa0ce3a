"""Declared limits on an evaluation's measures: met, missed, or undecided.

A target is a measure, a limit and, at an operating point, the FMR of its threshold:
``fnmr_ratio<=1.5@fmr=1e-3``, ``fnmr<=2%@fmr=1e-3``, ``std_sample<=0.5%``, ``accuracy>=95%``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evenface.errors import UsageError
from evenface.evaluate.measures import base, of_kind
from evenface.evaluate.results import Evaluation, OperatingPoint
from evenface.record import Estimate

Verdict = Literal["met", "missed", "undecided"]

_TARGET = re.compile(
    r"(?P<measure>[a-z][a-z0-9_@=.\-]*?)\s*(?P<sign><=|>=|≤|≥)\s*"
    r"(?P<limit>[0-9.eE+\-]+)\s*(?P<percent>%?)\s*(?:@\s*fmr\s*=\s*(?P<fmr>[0-9.eE\-]+))?"
)


@dataclass(frozen=True)
class Target:
    """One limit."""

    text: str
    """As it was written."""
    measure: str
    at_most: bool
    """Whether the measure must not exceed the limit; else it must not fall below it."""
    limit: float
    fmr: float | None
    """Target FMR of the operating point; None for measures without one."""


@dataclass(frozen=True)
class TargetResult:
    """A target and what an evaluation says to it."""

    target: Target
    verdict: Verdict
    group: str | None
    """The group that decides: the one furthest on the wrong side. None for measures over groups."""
    estimate: Estimate

    @property
    def statement(self) -> str:
        """The verdict in a sentence."""
        where = f" in group {self.group}" if self.group else ""
        why = {
            "met": "the whole interval keeps the limit",
            "missed": "the whole interval is beyond the limit",
            "undecided": self.estimate.note or "the interval holds the limit",
        }[self.verdict]
        return f"{self.target.text}: {self.verdict}{where} ({why})"


def parse_target(text: str) -> Target:
    """A target from its text.

    Raises:
        UsageError: the text is no target.
    """
    found = _TARGET.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"target {text!r} is not understood; write MEASURE<=LIMIT or MEASURE>=LIMIT, with "
            "@fmr=TARGET for rates at one threshold, e.g. fnmr_ratio<=1.5@fmr=1e-3"
        )
    try:
        limit = float(found["limit"])
        fmr = None if found["fmr"] is None else float(found["fmr"])
    except ValueError:
        raise UsageError(f"target {text!r}: the limit or the FMR is no number") from None
    return Target(
        text=text.strip(),
        measure=found["measure"],
        at_most=found["sign"] in ("<=", "≤"),
        limit=limit / 100 if found["percent"] else limit,
        fmr=fmr,
    )


def check_target(evaluation: Evaluation, target: Target) -> TargetResult:
    """Whether an evaluation meets a target.

    Met where the whole interval keeps the limit, missed where the whole interval is beyond it,
    undecided otherwise, also where the measure is undefined or there are no intervals. A measure of
    each group has to keep the limit in every group: met where every group does, which needs no
    correction for their number (an intersection–union test: Berger, *Technometrics* 24, 1982);
    missed where any group is beyond it. A two-sided 95 % interval leaves 2.5 % on either side, the
    chance that a model exactly at the limit is declared met.

    Raises:
        UsageError: the evaluation has no such measure or operating point.
    """
    found = _estimates(evaluation, target)
    verdicts = {group: _verdict(estimate, target) for group, estimate in found.items()}
    order: tuple[Verdict, ...] = ("missed", "undecided", "met")
    verdict = min(verdicts.values(), key=order.index)
    deciding = [group for group, of in verdicts.items() if of == verdict]
    group = max(deciding, key=lambda name: _excess(found[name], target))
    return TargetResult(target, verdict, group or None, found[group])


def _verdict(estimate: Estimate, target: Target) -> Verdict:
    low, high = estimate.low, estimate.high
    if target.at_most:
        if high is not None and high <= target.limit:
            return "met"
        return "missed" if low is not None and low > target.limit else "undecided"
    if low is not None and low >= target.limit:
        return "met"
    return "missed" if high is not None and high < target.limit else "undecided"


def _excess(estimate: Estimate, target: Target) -> float:
    """How far the value is on the wrong side; infinite where it is undefined."""
    if estimate.value is None:
        return float("inf")
    excess = estimate.value - target.limit
    return excess if target.at_most else -excess


def _estimates(evaluation: Evaluation, target: Target) -> Mapping[str, Estimate]:
    """The measure's estimates: of every group, or of "" over groups."""
    if target.fmr is not None:
        point = _point(evaluation, target)
        rates = {name: getattr(point, name) for name in ("fmr", "fnmr", "gfmr", "gfnmr")}
        if rates.get(target.measure):
            return rates[target.measure]
        if target.measure in point.measures:
            return {"": point.measures[target.measure]}
        known = (*(name for name, of in rates.items() if of), *point.measures)
    else:
        overall = evaluation.overall
        over = [n for n in of_kind("overall") if n in overall.measures or hasattr(overall, n)]
        if target.measure in over:
            return {"": overall.estimate(target.measure)}
        each = of_kind("group") | of_kind("scores")
        of_group = {
            name: found
            for name, group in evaluation.groups.items()
            if base(target.measure) in each
            and (found := group.estimate(target.measure)) is not None
        }
        if len(of_group) == len(evaluation.groups):
            return of_group
        levels = next(iter(evaluation.groups.values())).tar_at_far
        single = (name for name in each if name != "tar")
        known = (*single, *(f"tar@far={of}" for of in levels), *over)
    at = f" at FMR {target.fmr:g}" if target.fmr is not None else " without @fmr="
    raise UsageError(
        f"target {target.text!r}: no measure {target.measure!r}{at}; there are {', '.join(known)}"
    )


def _point(evaluation: Evaluation, target: Target) -> OperatingPoint:
    for point in evaluation.operating_points:
        if point.target_fmr == target.fmr:
            return point
    known = ", ".join(point.key for point in evaluation.operating_points) or "none"
    raise UsageError(
        f"target {target.text!r}: no operating point at FMR {target.fmr:g}; there are {known}"
    )
