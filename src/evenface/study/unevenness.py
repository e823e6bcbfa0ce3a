"""Whether distillation makes groups more alike: in points of error, and in proportion.

The two questions have answers of their own. When all errors fall in one proportion, fewer points
of error lie between the groups (STD, gap), but the worst group errs as many times as often as
before (SER, ratios). One question about both could never be answered with yes. Each has one primary
scale, which decides; the others are shown beside it.

Noise alone makes groups look uneven, and there may be less noise with distillation. So a fall
counts only where groups differ without distillation by more than chance, and a rise only where they
do with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate import fairness
from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import Figure
from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.study.inference import (
    WORST,
    Contrast,
    by_group,
    compare,
    contrast,
    figure,
    over_groups,
    uneven_p,
    worst_group_p,
)
from evenface.study.record import Claim, Evidence, Unit, Verdict
from evenface.study.verdict import alpha_of, decide, evidence
from evenface.study.wording import change, listed, number, p, points

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Scale:
    """A way to tell how uneven an arm is."""

    label: str
    unit: Unit
    figure: Callable[[ArmEvaluation], Figure]


def _of_rates(label: str, unit: Unit, measure: str, statistic: Statistic) -> Scale:
    return Scale(label, unit, partial(over_groups, measure=measure, statistic=statistic))


def _worst(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    return rates.max(axis=-1)


def _at_one_threshold(error: str) -> dict[str, Scale]:
    """Scales of FMR or FNMR at the one threshold."""
    name = error.upper()
    ratio = fairness.worst_to_geometric_mean
    return {
        "std": _of_rates(f"STD of {name}", "points", error, fairness.std_sample),
        "gap": _of_rates(f"gap of {name}", "points", error, fairness.gap),
        "worst": _of_rates(f"{name} of the worst group", "points", error, _worst),
        "ratio": _of_rates(f"{name}, worst to geometric mean", "ratio", error, ratio),
        "max-min": _of_rates(f"{name}, worst to best", "ratio", error, fairness.rate_ratio),
    }


_FMR, _FNMR = _at_one_threshold("fmr"), _at_one_threshold("fnmr")
_STD = Scale("STD of accuracy", "points", partial(figure, measure="overall.std_sample"))
_GAP = Scale("gap of accuracy", "points", partial(figure, measure="overall.gap"))
_SER = Scale("SER", "ratio", partial(figure, measure="overall.ser"))


@dataclass(frozen=True)
class Kind:
    """Absolute or relative unevenness of one error.

    Attributes:
        question: with the training set to come.
        answer: in words, with the value without KD, that with KD, and the teacher to come.
        primary: decides.
        secondary: shown beside it.
        logarithm: of the primary scale where that is a ratio, whose test needs it.
    """

    question: str
    answer: str
    primary: Scale
    secondary: tuple[Scale, ...]
    logarithm: Scale | None = None


def _logarithm(measure: str, statistic: Statistic) -> Scale:
    return _of_rates("", "ratio", measure, lambda rates: np.log(statistic(rates)))


_ABSOLUTE, _RELATIVE = "kd-lowers-absolute-unevenness", "kd-lowers-relative-unevenness"
KINDS: dict[str, tuple[str, Kind, Kind]] = {
    "": (
        "accuracy",
        Kind(
            "Does distillation bring the groups' errors nearer to each other, in points",
            "accuracies of the groups lie {} points from their mean without KD and {} points with "
            "KD from {} (STD)",
            _STD,
            (_GAP, _FNMR["worst"], _FMR["worst"]),
        ),
        Kind(
            "Does distillation make the worst group err fewer times as often as the best",
            "the worst group errs {} times as often as the best without KD and {} times with KD "
            "from {} (SER)",
            _SER,
            (_FNMR["ratio"], _FMR["ratio"]),
            _logarithm("accuracy", fairness.skewed_error_ratio),
        ),
    ),
    **{
        f"-of-{error}": (
            error,
            Kind(
                f"At one threshold for all groups: does distillation bring their {name} nearer to "
                "each other, in points",
                f"at one threshold, {name}s of the groups lie {{}} points from their mean without "
                "KD and {} points with KD from {} (STD)",
                scales["std"],
                (scales["gap"], scales["worst"]),
            ),
            Kind(
                "At one threshold for all groups: does distillation lower the worst group's "
                f"{name} as a multiple of the groups' geometric mean",
                f"at one threshold, the worst group's {name} is {{}} times the groups' geometric "
                "mean without KD and {} times with KD from {}",
                scales["ratio"],
                (scales["max-min"],),
                _logarithm(error, fairness.worst_to_geometric_mean),
            ),
        )
        for error, name, scales in (("fnmr", "FNMR", _FNMR), ("fmr", "FMR", _FMR))
    },
}
"""Ending of the rules' names → measure of a group, absolute and relative question."""
ABSOLUTE = {f"{_ABSOLUTE}{ending}": ending for ending in KINDS}
RELATIVE = {f"{_RELATIVE}{ending}": ending for ending in KINDS}
"""Rule → ending."""

_BOTH: dict[tuple[Verdict, Verdict], str] = {
    ("supported", "supported"): "Both kinds of unevenness fall.",
    ("supported", "undecided"): (
        "Fewer points lie between the groups; whether the worst group also errs fewer times as "
        "often is not shown. Both together mean that errors fell about in proportion."
    ),
    ("supported", "not supported"): (
        "Fewer points lie between the groups, but the worst group errs more times as often: errors "
        "fell most, in proportion, where they were few already."
    ),
    ("not supported", "supported"): (
        "More points lie between the groups, though the worst group errs fewer times as often: "
        "errors rose most, in proportion, where they were few."
    ),
    ("undecided", "supported"): (
        "The worst group errs fewer times as often; that fewer points lie between the groups is "
        "not shown."
    ),
    ("undecided", "not supported"): (
        "The worst group errs more times as often, with no change shown of the points between the "
        "groups."
    ),
    ("not supported", "not supported"): "Both kinds of unevenness rise.",
    ("not supported", "undecided"): (
        "More points lie between the groups; that the worst group errs more times as often is not "
        "shown."
    ),
}
"""Verdicts on absolute and relative unevenness → what they mean together."""


def kd_lowers_unevenness(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    *,
    ending: str = "",
    training_set: str,
    benchmark: str,
    teacher: str,
) -> tuple[Claim, Claim]:
    """Whether distillation lowers absolute, and whether it lowers relative unevenness.

    Args:
        plain, distilled: students without and with the teacher.
        ending: a key of :data:`KINDS`: which error.
        training_set, benchmark, teacher: their names.
    """
    measure, absolute, relative = KINDS[ending]
    alpha = alpha_of(plain)
    chance = {arm: uneven_p(of, measure) for arm, of in (("without", plain), ("with", distilled))}
    uneven = {arm: value is not None and value < alpha for arm, value in chance.items()}

    def rule(found: Sequence[Contrast]) -> Verdict:
        (primary,) = found
        if primary.value is None:
            return "undefined"
        if uneven["without"] and primary.below(0):
            return "supported"
        return "not supported" if uneven["with"] and primary.above(0) else "undecided"

    def change_of(scale: Scale) -> Contrast:
        return contrast(scale.figure(distilled) - scale.figure(plain))

    kinds = (absolute, relative)
    tested = [change_of(kind.logarithm or kind.primary) for kind in kinds]
    decided = [decide(rule, [of]) for of in tested]
    together = _BOTH.get((decided[0][0], decided[1][0]), "")
    claims = []
    for name, kind, test, (verdict, held_back) in zip(
        (_ABSOLUTE, _RELATIVE), kinds, tested, decided, strict=True
    ):
        primary = kind.primary
        before, after = primary.figure(plain), primary.figure(distilled)
        found = contrast(after - before)
        values = [_value(of, primary.unit) for of in (before, after)]
        statement = (
            f"Trained on “{training_set}”, {kind.answer.format(*values, teacher)}: "
            f"{change(found, primary.unit)}. Were groups alike, chance would make them differ as "
            f"much with {p(chance['without'])} without KD and {p(chance['with'])} with it."
        )
        if not any(uneven.values()):
            statement += " No unevenness is beyond chance, so none can fall."
        claims.append(
            Claim(
                id=f"{name}{ending}:{training_set}",
                question=f"{kind.question} (training set {training_set})?",
                benchmark=benchmark,
                teacher=teacher,
                verdict=verdict,
                statement=" ".join(filter(None, [statement, together])) + held_back,
                rule=_rule(kind, alpha),
                tests=(
                    evidence(
                        primary.label,
                        found,
                        unit=primary.unit,
                        p_value=test.sure if found.value is not None else None,
                        note="decides",
                    ),
                    *(
                        evidence(
                            scale.label,
                            change_of(scale),
                            unit=scale.unit,
                            note="shown beside it",
                        )
                        for scale in kind.secondary
                    ),
                ),
            )
        )
    return claims[0], claims[1]


def _rule(kind: Kind, alpha: float) -> str:
    scale = f"the logarithm of {kind.primary.label}" if kind.logarithm else kind.primary.label
    return (
        f"Supported if the interval of {scale}, with KD minus without, lies below 0 and groups "
        f"differ without KD by more than chance (p below {alpha:.3g}); not supported if it lies "
        "above 0 and they do so with KD; undefined where a group has no error; else undecided. "
        "Both the interval of the replicates and the t interval over seeds count. The other scales "
        "decide nothing."
    )


def _value(of: Figure, unit: Unit) -> str:
    scale = 100 if unit == "points" else 1
    return number(None if of.value is None else scale * of.value)


def worst_group_better_off(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    *,
    training_set: str,
    benchmark: str,
    teacher: str,
) -> Claim:
    """Whether the group that is served worst is served better with distillation."""
    first, second = by_group(plain), by_group(distilled)
    alpha = alpha_of(plain)

    better, worse = worst_group_p(first, second), worst_group_p(second, first)
    verdict: Verdict = "supported" if better < alpha / 2 else "undecided"
    if worse < alpha / 2:
        verdict = "not supported"
    found = compare(plain, distilled, WORST)
    names = [min(of, key=lambda g: of[g].value or 0.0) for of in (first, second)]
    return Claim(
        id=f"worst-group-better-off:{training_set}",
        question=f"Is the worst group better off with distillation (training set {training_set})?",
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"Trained on “{training_set}”, the worst group is {names[0]} without KD and {names[1]} "
            f"with KD from {teacher}; its accuracy changes by {change(found, 'points')} "
            f"({p(min(1.0, 2 * min(better, worse)))})."
        ),
        rule=(
            "Supported if every group with KD is shown to be above some group without it "
            f"(Bonferroni over these, one-sided p below {alpha / 2:.3g}), for then the worst is "
            "above the worst; not supported if the same holds the other way round; else undecided."
        ),
        tests=(
            evidence(
                "worst group",
                found,
                p_value=min(1.0, 2 * min(better, worse)),
                note="p is that of every group against every group; see the rule",
            ),
        ),
    )


def no_group_worse_off(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    *,
    training_set: str,
    benchmark: str,
    teacher: str,
    margin: float,
) -> Claim:
    """Whether no group loses ``margin`` of accuracy or more with distillation."""
    alpha = alpha_of(plain)
    figures = {
        g: figure(distilled, "accuracy", g) - figure(plain, "accuracy", g) for g in plain.groups
    }
    losses = {g: contrast(of - (-margin)) for g, of in figures.items()}

    def rule(found: Sequence[Contrast]) -> Verdict:
        if intersection_union([of.sure_greater for of in found]) < alpha / 2:
            return "supported"
        lost = min(holm([of.sure_less for of in found])) < alpha / 2
        return "not supported" if lost else "undecided"

    verdict, held_back = decide(rule, list(losses.values()))
    together = intersection_union([of.sure_greater for of in losses.values()])
    lost = holm([of.sure_less for of in losses.values()])
    worse = [g for g, q in zip(losses, lost, strict=True) if q < alpha / 2]
    differences = {g: contrast(of) for g, of in figures.items()}
    least = min(differences, key=lambda g: differences[g].value or 0.0)
    said = f"{listed(worse)} lose more than that" if worse else "no group is shown to lose more"
    return Claim(
        id=f"no-group-worse-off:{training_set}",
        question=(
            f"Does no group lose {points(margin)} of accuracy or more with distillation (training "
            f"set {training_set})?"
        ),
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"Trained on “{training_set}”, {least} gains least with KD from {teacher}: "
            f"{change(differences[least], 'points')}. Against a loss of {points(margin)}: {said}; "
            f"for all groups together {p(together)}.{held_back}"
        ),
        rule=(
            f"Supported if a loss of {points(margin)} or more is excluded for every group "
            f"(intersection–union test, one-sided p below {alpha / 2:.3g}); not supported if some "
            "group loses more, after Holm's correction over groups; else undecided."
        ),
        tests=(
            Evidence(
                label="all groups together",
                value=differences[least].value,
                p_value=together,
                note=f"smallest rise; p is against a loss of {points(margin)} or more",
            ),
            *(evidence(g, of, p_value=of.sure) for g, of in differences.items()),
        ),
    )
