"""The claims a study tests, each with a rule fixed before the numbers are seen.

Every function takes arm evaluations on one benchmark and answers with a :class:`Claim`. Differences
are paired by identity and by seed. Intervals have the level of the evaluations; rules that speak of
α mean 1 − level. Verdicts are not adjusted for the number of claims.

Values of evidence are fractions (0.012 for 1.2 points or 1.2 %) where the unit is "points" or
"share", and plain numbers where it is "ratio" (ratios of rates; gaps in standard deviations).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import PairedDifference, paired_difference
from evenface.evaluate.evaluation import FEW_IDENTITIES
from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.study.wording import change, listed, number, p, percent

Verdict = Literal["supported", "not supported", "undecided", "undefined"]
Unit = Literal["points", "ratio", "share"]

MARGIN = 0.01
"""Loss of mean accuracy, one percentage point, below which two training sets count as equal."""
LEAST_SCALES = 3
"""Scales of unevenness that must be defined for a verdict, STD among them."""

_MEAN = "overall.accuracy"
_SCALES: dict[str, tuple[str, Unit]] = {
    "STD of accuracy": ("overall.std_sample", "points"),
    "SER": ("overall.ser", "ratio"),
    "d′ gap": ("overall.dprime_gap", "ratio"),
    "probit gap": ("overall.probit_gap", "ratio"),
    "FNMR ratio": ("global.fnmr_ratio", "ratio"),
}


@dataclass(frozen=True)
class Evidence:
    """One figure behind a verdict."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_holm: float | None
    unit: Unit
    note: str | None


@dataclass(frozen=True)
class Claim:
    """A question, the rule that decides it, and the answer."""

    id: str
    question: str
    benchmark: str
    teacher: str | None
    verdict: Verdict
    statement: str
    rule: str
    tests: tuple[Evidence, ...]

    def describe(self) -> dict[str, Any]:
        """The claim as ``results.json`` has it."""
        return {**asdict(self), "tests": [asdict(test) for test in self.tests]}


def kd_raises_accuracy(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    *,
    training_set: str,
    benchmark: str,
    teacher: str,
) -> Claim:
    """Whether distillation raises the accuracy of every group."""
    found = {g: plain.compare(distilled, "accuracy", group=g) for g in plain.groups}
    adjusted = dict(zip(found, holm([_defined(d.p_value) for d in found.values()]), strict=True))
    together = intersection_union([_defined(d.p_greater) for d in found.values()])
    alpha = _alpha(plain)
    verdict: Verdict = "undecided"
    if together < alpha:
        verdict = "supported"
    elif any(_below(d, 0) for d in found.values()):
        verdict = "not supported"
    ordered = sorted(found, key=lambda g: _defined(found[g].value))
    least, most = (found[g] for g in (ordered[0], ordered[-1]))
    rises = [g for g, d in found.items() if _defined(d.value) > 0]
    decided = [g for g in found if adjusted[g] < alpha]
    mean = plain.compare(distilled, _MEAN)
    several = len(found) > 1
    of_groups = (
        f"are more accurate in {len(rises)} of {len(found)} groups, by {change(least, 'points')} "
        f"in {ordered[0]} to {change(most, 'points')} in {ordered[-1]}, and by "
        f"{change(mean, 'points')} in the mean over groups. For all groups together {p(together)}; "
        "taken one by one, "
        + (f"{listed(decided)} differ" if decided else "no group differs")
        + " beyond chance after Holm's correction."
    )
    of_one = f"differ in accuracy by {change(mean, 'points')} (one-sided {p(together)})."
    return Claim(
        id=f"kd-raises-accuracy:{training_set}",
        question=(
            f"Does distillation raise accuracy{' in every group' if several else ''} "
            f"(training set {training_set})?"
        ),
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"Trained on “{training_set}”, students with KD from {teacher} "
            f"{of_groups if several else of_one}"
        ),
        rule=(
            f"Supported if the one-sided p of every group is below {alpha:.3g} (intersection–union "
            "test, no correction needed); not supported if some group's interval lies wholly below "
            "0; else undecided."
        ),
        tests=(
            Evidence(
                label="all groups together",
                value=least.value,
                low=None,
                high=None,
                p_value=together,
                p_holm=None,
                unit="points",
                note="smallest rise of a group; p is the largest of the groups' one-sided p",
            ),
            _evidence("mean over groups", mean),
            *(_evidence(g, d, p_holm=adjusted[g]) for g, d in found.items()),
        ),
    )


def kd_lowers_unevenness(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    *,
    training_set: str,
    benchmark: str,
    teacher: str,
) -> Claim:
    """Whether distillation makes the groups more alike, on every scale that can be measured.

    Noise alone makes groups look uneven on every scale, and there may be less noise with
    distillation: lower scales show groups more alike only if the groups differed without it.
    """
    found = {
        scale: (plain.compare(distilled, measure), unit)
        for scale, (measure, unit) in _SCALES.items()
    }
    defined = {scale: of for scale, of in found.items() if of[0].value is not None}
    differences = [difference for difference, _ in defined.values()]
    alpha, excess = _alpha(plain), plain.overall.std_excess_p
    measurable = excess is not None and excess < alpha
    verdict: Verdict = "undecided"
    if len(defined) < LEAST_SCALES or "STD of accuracy" not in defined:
        verdict = "undefined"
    elif measurable and all(_below(d, 0) for d in differences):
        verdict = "supported"
    elif all(_above(d, 0) for d in differences):
        verdict = "not supported"
    return Claim(
        id=f"kd-lowers-unevenness:{training_set}",
        question=f"Does distillation make groups more alike (training set {training_set})?",
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"Trained on “{training_set}”, with KD from {teacher} against without: "
            f"{_directions(found)}. {_against_equal_groups(plain, distilled)}"
            + (
                ""
                if measurable
                else " Without KD no unevenness was measurable that could be lowered."
            )
        ),
        rule=(
            "Supported if the interval lies below 0 on every scale that is defined and STD without "
            f"KD exceeds that of equal groups (p below {alpha:.3g}); not supported if above 0 on "
            f"every one; at least {LEAST_SCALES} of {len(_SCALES)} must be defined, STD among "
            "them, or the verdict is undefined; else undecided. The scales are not independent: "
            "STD, SER and probit gap come from the same accuracies, all of them from the same "
            "scores."
        ),
        tests=tuple(
            _evidence(
                scale,
                difference,
                unit=unit,
                note=None
                if difference.value is not None
                else _why_undefined(scale, plain, distilled),
            )
            for scale, (difference, unit) in found.items()
        ),
    )


def gap_closed(
    real_plain: ArmEvaluation,
    real_kd: ArmEvaluation,
    synthetic_plain: ArmEvaluation,
    synthetic_kd: ArmEvaluation,
    *,
    benchmark: str,
    teacher: str,
) -> Claim:
    """How much smaller the gap between real and synthetic training faces is when both distil."""
    remaining = synthetic_kd.compare(real_kd, _MEAN)
    return _gap_claim(
        "gap-closed",
        real_plain,
        synthetic_plain,
        question="Does distillation narrow the gap between real and synthetic training faces?",
        what="1 − (real − synthetic with KD) / (real − synthetic without KD)",
        words=f"and {change(remaining, 'points')} with KD from {teacher}",
        other=_evidence("real − synthetic, with KD", remaining),
        closed=lambda gap: gap - _defined(remaining.value),
        closed_samples=lambda gap: gap - (real_kd.samples(_MEAN) - synthetic_kd.samples(_MEAN)),
        benchmark=benchmark,
        teacher=teacher,
    )


def gap_closed_synthetic(
    real_plain: ArmEvaluation,
    synthetic_plain: ArmEvaluation,
    synthetic_kd: ArmEvaluation,
    *,
    benchmark: str,
    teacher: str,
) -> Claim:
    """How much of the gap to real faces without distillation synthetic faces make up with it."""
    rise = synthetic_plain.compare(synthetic_kd, _MEAN)
    return _gap_claim(
        "gap-closed-synthetic",
        real_plain,
        synthetic_plain,
        question="Does distillation bring synthetic faces nearer to real faces without it?",
        what="(synthetic with KD − synthetic without KD) / (real − synthetic without KD)",
        words=f"and KD from {teacher} changes “synthetic” by {change(rise, 'points')}",
        other=_evidence("synthetic, with KD − without", rise),
        closed=lambda gap: _defined(rise.value),
        closed_samples=lambda gap: synthetic_kd.samples(_MEAN) - synthetic_plain.samples(_MEAN),
        benchmark=benchmark,
        teacher=teacher,
    )


def mix_matches_real(
    real: ArmEvaluation, mix: ArmEvaluation, *, benchmark: str, teacher: str | None
) -> Claim:
    """Whether a mix is as good as real faces alone, both distilled from ``teacher`` or both not."""
    difference = real.compare(mix, _MEAN)
    against_margin = paired_difference(
        real.samples(_MEAN) - MARGIN,
        mix.samples(_MEAN),
        _defined(real.overall.accuracy.value) - MARGIN,
        mix.overall.accuracy.value,
        real.bootstrap.level,
    )
    verdict: Verdict = "undecided"
    if _above(difference, -MARGIN):
        verdict = "supported"
    elif _below(difference, -MARGIN):
        verdict = "not supported"
    condition = f"with KD from {teacher}" if teacher else "without KD"
    end = {
        "supported": "lies above",
        "not supported": "lies below",
        "undecided": "includes",
    }[verdict]
    return Claim(
        id="mix-matches-real" if teacher else "mix-matches-real-plain",
        question=f"Is a mix as good as real faces alone, {'with' if teacher else 'without'} KD?",
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"In mean accuracy over groups, {condition}, “mix” reaches "
            f"{percent(mix.overall.accuracy)} and “real” {percent(real.overall.accuracy)}: "
            f"{change(difference, 'points')}; the interval {end} the margin of −1 point."
        ),
        rule=(
            "Non-inferiority: supported if the interval of mix − real lies above −1 point of mean "
            "accuracy, not supported if wholly below, else undecided."
        ),
        tests=(
            _evidence(
                "mix − real",
                difference,
                p_value=against_margin.p_greater,
                note="p is one-sided, against a loss of 1 point or more",
            ),
        ),
    )


def kd_helps_on_others(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    references: Mapping[str, ArmEvaluation],
    *,
    benchmark: str,
    teacher: str,
) -> Claim:
    """Whether students of synthetic faces know other people better with distillation.

    Args:
        plain, distilled: trained on synthetic faces, on a benchmark of one group.
        references: name in the statement → evaluation (the untrained network, the teacher).
        benchmark, teacher: their ids.
    """
    (group,) = plain.groups
    difference = plain.compare(distilled, "eer", group=group)
    verdict: Verdict = "undecided"
    if _below(difference, 0):
        verdict = "supported"
    elif _above(difference, 0):
        verdict = "not supported"
    rates = {
        "with KD": distilled,
        "without KD": plain,
        **references,
    }
    eers = {name: of.estimate("eer", group) for name, of in rates.items()}
    others = listed([f"{name} {percent(eers[name])}" for name in references])
    people = plain.groups[group].identities
    few = None
    if people is not None and people < FEW_IDENTITIES:
        few = f"only {people} people: the interval is too narrow"
    return Claim(
        id=f"real-people:{benchmark}",
        question=f"Do students of synthetic faces know the people of {benchmark} better with KD?",
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"Trained on “synthetic”, the EER on {benchmark} is {percent(eers['with KD'])} with KD "
            f"from {teacher} and {percent(eers['without KD'])} without: "
            f"{change(difference, 'points')}."
            + (f" For comparison: {others}." if others else "")
            + (f" Only {people} people: the intervals are too narrow." if few else "")
        ),
        rule=(
            "Supported if the interval of the EER with KD minus without lies below 0, not "
            "supported if above 0, else undecided."
        ),
        tests=(_evidence("EER, with KD − without", difference, note=few),),
    )


def _gap_claim(
    identifier: str,
    real: ArmEvaluation,
    synthetic: ArmEvaluation,
    *,
    question: str,
    what: str,
    words: str,
    other: Evidence,
    closed: Callable[[float], float],
    closed_samples: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    benchmark: str,
    teacher: str,
) -> Claim:
    """A share of the gap between real and synthetic faces without distillation.

    Args:
        identifier: the claim's id.
        real, synthetic: without distillation.
        question: the claim's.
        what: the share as a formula.
        words: what is set against the gap, with numbers.
        other: the same as evidence.
        closed, closed_samples: from the gap, what of it is closed; as value and in replicates.
        benchmark, teacher: their ids.
    """
    baseline = synthetic.compare(real, _MEAN)
    there_is_a_gap = _above(baseline, 0)
    gaps = real.samples(_MEAN) - synthetic.samples(_MEAN)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Undefined, also in a replicate, where there is no gap.
        shares = np.where(gaps > 0, closed_samples(gaps) / gaps, np.nan)
    gap = _defined(baseline.value)
    value = closed(gap) / gap if there_is_a_gap else None
    share = paired_difference(np.zeros_like(shares), shares, 0.0, value, real.bootstrap.level)
    verdict: Verdict = "undecided"
    if not there_is_a_gap:
        verdict = "undefined"
        reason = "“synthetic” is ahead" if _below(baseline, 0) else "its interval includes 0"
        ending = f"there is no gap to close, {reason} without KD."
    else:
        ending = f"share of the gap closed {change(share, 'share')}."
        if _above(share, 0):
            verdict = "supported"
        elif _below(share, 0):
            verdict = "not supported"
    note = what if there_is_a_gap else f"{what}; no gap above 0 to divide by"
    return Claim(
        id=identifier,
        question=question,
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            "In mean accuracy over groups, “real” minus “synthetic” is "
            f"{change(baseline, 'points')} without KD, {words}: {ending}"
        ),
        rule=(
            f"{what}, in mean accuracy: supported if its interval lies above 0, not supported if "
            "below 0, else undecided; undefined unless the interval of the gap without KD lies "
            "above 0."
        ),
        tests=(
            _evidence("share of the gap closed", share, unit="share", note=note),
            _evidence("real − synthetic, without KD", baseline),
            other,
        ),
    )


def _directions(found: Mapping[str, tuple[PairedDifference, Unit]]) -> str:
    """Which scales fell, which rose, which are undefined, with numbers."""
    words: dict[str, list[str]] = {"lower": [], "higher": [], "unchanged": []}
    undefined = []
    for scale, (difference, unit) in found.items():
        if difference.value is None:
            undefined.append(scale)
            continue
        kind = "unchanged" if difference.value == 0 else "lower"
        kind = "higher" if difference.value > 0 else kind
        words[kind].append(f"{scale} {change(difference, unit)}")
    said = [f"{kind} on {listed(scales)}" for kind, scales in words.items() if scales]
    if words["lower"] and words["higher"]:
        said[0] = f"the scales disagree: {said[0]}"
    if undefined:
        said.append(f"undefined on {listed(undefined)}")
    return "; ".join(said)


def _against_equal_groups(plain: ArmEvaluation, distilled: ArmEvaluation) -> str:
    parts = []
    for arm, condition in ((plain, "without KD"), (distilled, "with KD")):
        overall = arm.overall
        std, expected = overall.std_sample.value, overall.std_expected.value
        values = [None if value is None else 100 * value for value in (std, expected)]
        parts.append(
            f"{number(values[0])} points {condition}, where equal groups would show on average "
            f"about {number(values[1])} (an upper estimate) by chance ({p(overall.std_excess_p)})"
        )
    return f"STD is {', and '.join(parts)}."


def _why_undefined(scale: str, plain: ArmEvaluation, distilled: ArmEvaluation) -> str | None:
    measure, _ = _SCALES[scale]
    notes = [
        f"{condition}: {estimate.note}"
        for arm, condition in ((plain, "without KD"), (distilled, "with KD"))
        if (estimate := arm.estimate(measure)).value is None
    ]
    return "; ".join(notes) or None


def _evidence(
    label: str,
    difference: PairedDifference,
    *,
    unit: Unit = "points",
    p_value: float | None = None,
    p_holm: float | None = None,
    note: str | None = None,
) -> Evidence:
    return Evidence(
        label=label,
        value=difference.value,
        low=difference.low,
        high=difference.high,
        p_value=difference.p_value if p_value is None else p_value,
        p_holm=p_holm,
        unit=unit,
        note=note,
    )


def _alpha(evaluation: ArmEvaluation) -> float:
    return 1 - evaluation.bootstrap.level


def _above(difference: PairedDifference, bound: float) -> bool:
    return difference.low is not None and difference.low > bound


def _below(difference: PairedDifference, bound: float) -> bool:
    return difference.high is not None and difference.high < bound


def _defined(value: float | None) -> float:
    """Accuracies always are."""
    if value is None:
        raise ValueError("an accuracy is undefined")
    return value
