"""The claims a study tests, each with a rule fixed before the numbers are seen.

Every function takes arm evaluations on one benchmark and answers with a :class:`Claim`. Differences
are paired by identity and by seed. Intervals have the level of the evaluations; rules that speak of
α mean 1 − level. Verdicts are not adjusted for the number of claims.

Values of evidence are fractions (0.012 for 1.2 points or 1.2 %) where the unit is "points" or
"share", and plain numbers where it is "ratio" (ratios of rates; gaps in standard deviations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import Figure, PairedDifference, against_zero
from evenface.evaluate.evaluation import FEW_IDENTITIES
from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.study.inference import MEAN, Contrast, compare, contrast, figure
from evenface.study.record import Claim, Evidence, Verdict
from evenface.study.verdict import alpha_of, decide, defined, evidence
from evenface.study.wording import change, listed, p, percent, points

MARGIN = 0.01
"""Loss of mean accuracy, one percentage point, below which two training sets count as equal."""


def kd_raises_accuracy(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    *,
    training_set: str,
    benchmark: str,
    teacher: str,
) -> Claim:
    """Whether distillation raises the accuracy of every group."""
    found = {g: compare(plain, distilled, "accuracy", g) for g in plain.groups}
    adjusted = dict(zip(found, holm([defined(d.p_value) for d in found.values()]), strict=True))
    together = intersection_union([defined(d.p_greater) for d in found.values()])
    alpha = alpha_of(plain)

    def rule(groups: Sequence[Contrast]) -> Verdict:
        if intersection_union([d.sure_greater for d in groups]) < alpha:
            return "supported"
        fell = min(holm([d.sure_less for d in groups])) < alpha / 2
        return "not supported" if fell else "undecided"

    verdict, held_back = decide(rule, list(found.values()))
    ordered = sorted(found, key=lambda g: defined(found[g].value))
    least, most = (found[g] for g in (ordered[0], ordered[-1]))
    rises = [g for g, d in found.items() if defined(d.value) > 0]
    one_by_one = holm([max(defined(d.p_value), d.sure) for d in found.values()])
    decided = [g for g, adjusted_p in zip(found, one_by_one, strict=True) if adjusted_p < alpha]
    mean = compare(plain, distilled, MEAN)
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
            f"{of_groups if several else of_one}{held_back}"
        ),
        rule=(
            f"Supported if the one-sided p of every group is below {alpha:.3g} (intersection–union "
            "test, no correction needed); not supported if a group falls (one-sided p below "
            f"{alpha / 2:.3g} after Holm's correction over groups); else undecided. p are those of "
            "the replicates and of the t interval over seeds, whichever is larger."
        ),
        tests=(
            Evidence(
                label="all groups together",
                value=least.value,
                p_value=together,
                note="smallest rise of a group; p is the largest of the groups' one-sided p",
            ),
            evidence("mean over groups", mean),
            *(evidence(g, d, p_holm=adjusted[g]) for g, d in found.items()),
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
    names: tuple[str, str] = ("real", "synthetic"),
) -> Claim:
    """How much smaller the gap between real and synthetic training faces is when both distil."""
    real, synthetic = names
    remaining = compare(synthetic_kd, real_kd, MEAN)
    gap = figure(real_plain, MEAN) - figure(synthetic_plain, MEAN)
    asked = _GapQuestion(
        id="gap-closed",
        question="Does distillation narrow the gap between real and synthetic training faces?",
        share=f"1 − ({real} − {synthetic} with KD) / ({real} − {synthetic} without KD)",
        against=f"and {change(remaining, 'points')} with KD from {teacher}",
        evidence=evidence(f"{real} − {synthetic}, with KD", remaining),
        names=names,
    )
    closed = gap - (figure(real_kd, MEAN) - figure(synthetic_kd, MEAN))
    found = _GapShare.of(real_plain, synthetic_plain, closed)
    return _gap_claim(asked, found, benchmark=benchmark, teacher=teacher)


def gap_closed_synthetic(
    real_plain: ArmEvaluation,
    synthetic_plain: ArmEvaluation,
    synthetic_kd: ArmEvaluation,
    *,
    benchmark: str,
    teacher: str,
    names: tuple[str, str] = ("real", "synthetic"),
) -> Claim:
    """How much of the gap to real faces without distillation synthetic faces make up with it."""
    real, synthetic = names
    rise = compare(synthetic_plain, synthetic_kd, MEAN)
    asked = _GapQuestion(
        id="gap-closed-synthetic",
        question="Does distillation bring synthetic faces nearer to real faces without it?",
        share=(
            f"({synthetic} with KD − {synthetic} without KD) / ({real} − {synthetic} without KD)"
        ),
        against=f"and KD from {teacher} changes “{synthetic}” by {change(rise, 'points')}",
        evidence=evidence(f"{synthetic}, with KD − without", rise),
        names=names,
    )
    closed = figure(synthetic_kd, MEAN) - figure(synthetic_plain, MEAN)
    found = _GapShare.of(real_plain, synthetic_plain, closed)
    return _gap_claim(asked, found, benchmark=benchmark, teacher=teacher)


def mix_matches_real(
    real: ArmEvaluation,
    mix: ArmEvaluation,
    *,
    benchmark: str,
    teacher: str | None,
    names: tuple[str, str] = ("real", "mix"),
    margin: float = MARGIN,
    real_without_kd: bool = False,
    called: str = "a mix",
) -> Claim:
    """Whether a mix is as good as real faces alone, both distilled from ``teacher`` or both not.

    Args:
        real, mix: the arms.
        benchmark, teacher: their ids.
        names: of both training sets.
        margin: loss of mean accuracy, as a fraction, below which they count as equal.
        real_without_kd: only the mix is distilled.
        called: what the question calls the mix.
    """
    difference = compare(real, mix, MEAN)
    against_margin = (figure(mix, MEAN) - figure(real, MEAN) - (-margin)).difference()
    verdict, held_back = decide(lambda found: not_inferior(found[0], margin), [difference])
    condition = f"with KD from {teacher}" if teacher else "without KD"
    asked = f"{'with' if teacher else 'without'} KD"
    of_real, identifier = "", "mix-matches-real" if teacher else "mix-matches-real-plain"
    if real_without_kd:
        of_real, identifier = " without KD", "mix-matches-real-without-kd"
        asked = "only the mix with KD"
    ends = {"supported": "lies above", "not supported": "lies below", "undecided": "includes"}
    end = ends[not_inferior(replace(difference, spread=None), margin)]
    return Claim(
        id=identifier,
        question=f"Is {called} as good as real faces alone, {asked}?",
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"In mean accuracy over groups, {condition}, “{names[1]}” reaches "
            f"{percent(mix.overall.accuracy)} and “{names[0]}”{of_real} "
            f"{percent(real.overall.accuracy)}: {change(difference, 'points')}; the interval {end} "
            f"the margin of −{points(margin)}.{held_back}"
        ),
        rule=(
            f"Non-inferiority: supported if the interval of {names[1]} − {names[0]} lies above "
            f"−{points(margin)} of mean accuracy, not supported if wholly below, else undecided."
        ),
        tests=(
            evidence(
                f"{names[1]} − {names[0]}{of_real}",
                difference,
                p_value=against_margin.p_greater,
                note=f"p is one-sided, against a loss of {points(margin)} or more",
            ),
        ),
    )


def not_inferior(difference: Contrast, margin: float) -> Verdict:
    """Whether a loss of ``margin`` or more can be excluded, or is certain."""
    if difference.above(-margin):
        return "supported"
    return "not supported" if difference.below(-margin) else "undecided"


def kd_helps_on_others(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    references: Mapping[str, ArmEvaluation],
    *,
    benchmark: str,
    teacher: str,
    name: str = "synthetic",
) -> Claim:
    """Whether students of synthetic faces know other people better with distillation.

    Args:
        plain, distilled: trained on synthetic faces, on a benchmark of one group.
        references: name in the statement → evaluation (the untrained network, the teacher).
        benchmark, teacher: their ids.
        name: of the training set.
    """
    (group,) = plain.groups
    difference = compare(plain, distilled, "eer", group)

    def rule(found: Sequence[Contrast]) -> Verdict:
        if found[0].below(0):
            return "supported"
        return "not supported" if found[0].above(0) else "undecided"

    verdict, held_back = decide(rule, [difference])
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
            f"Trained on “{name}”, the EER on {benchmark} is {percent(eers['with KD'])} with KD "
            f"from {teacher} and {percent(eers['without KD'])} without: "
            f"{change(difference, 'points')}."
            + (f" For comparison: {others}." if others else "")
            + (f" Only {people} people: the intervals are too narrow." if few else "")
            + held_back
        ),
        rule=(
            "Supported if the interval of the EER with KD minus without lies below 0, not "
            "supported if above 0, else undecided."
        ),
        tests=(evidence("EER, with KD − without", difference, note=few),),
    )


@dataclass(frozen=True)
class _GapQuestion:
    """What is asked of the gap between real and synthetic faces without distillation.

    Attributes:
        id, question: the claim's.
        share: of the gap, as a formula.
        against: what is set against the gap, with numbers.
        evidence: the same.
        names: of both training sets.
    """

    id: str
    question: str
    share: str
    against: str
    evidence: Evidence
    names: tuple[str, str]


@dataclass(frozen=True)
class _GapShare:
    """How much of the gap is closed; a share is undefined unless the gap's interval is above 0."""

    gap: Contrast
    closed: Contrast
    share: PairedDifference

    @classmethod
    def of(cls, real: ArmEvaluation, synthetic: ArmEvaluation, closed: Figure) -> _GapShare:
        """From both arms without distillation, and what of their difference is closed."""
        gap = figure(real, MEAN) - figure(synthetic, MEAN)
        baseline = contrast(gap)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Undefined, also in a replicate, where there is no gap.
            shares = np.where(gap.samples > 0, closed.samples / gap.samples, np.nan)
        defined_share = baseline.low is not None and baseline.low > 0
        value = defined(closed.value) / defined(baseline.value) if defined_share else None
        share = against_zero(value, shares, real.bootstrap.level)
        return cls(baseline, contrast(closed), share)

    @property
    def there_is_a_gap(self) -> bool:
        return self.gap.low is not None and self.gap.low > 0

    def rule(self, found: Sequence[Contrast]) -> Verdict:
        # A share has the sign of what is closed, the gap being above 0.
        of_gap, amount = found
        share = self.share
        if share.value is None:
            return "undefined"
        if share.low is not None and share.low > 0 and of_gap.above(0) and amount.above(0):
            return "supported"
        if share.high is not None and share.high < 0 and of_gap.above(0) and amount.below(0):
            return "not supported"
        return "undecided"

    def ending(self, synthetic: str) -> str:
        """Of the statement; ``synthetic`` is the name of that training set."""
        if self.there_is_a_gap:
            return f"share of the gap closed {change(self.share, 'share')}."
        behind = self.gap.high is not None and self.gap.high < 0
        reason = f"“{synthetic}” is ahead" if behind else "its interval includes 0"
        return f"there is no gap to close, {reason} without KD."


def _gap_claim(asked: _GapQuestion, found: _GapShare, *, benchmark: str, teacher: str) -> Claim:
    """Answer a question about a share of the gap."""
    verdict, held_back = decide(found.rule, [found.gap, found.closed])
    real, synthetic = asked.names
    note = asked.share if found.there_is_a_gap else f"{asked.share}; no gap above 0 to divide by"
    return Claim(
        id=asked.id,
        question=asked.question,
        benchmark=benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"In mean accuracy over groups, “{real}” minus “{synthetic}” is "
            f"{change(found.gap, 'points')} without KD, {asked.against}: "
            f"{found.ending(synthetic)}{held_back}"
        ),
        rule=(
            f"{asked.share}, in mean accuracy: supported if its interval lies above 0, not "
            "supported if below 0, else undecided; undefined unless the interval of the gap "
            "without KD lies above 0."
        ),
        tests=(
            evidence("share of the gap closed", found.share, unit="share", note=note),
            evidence(f"{real} − {synthetic}, without KD", found.gap),
            asked.evidence,
        ),
    )
