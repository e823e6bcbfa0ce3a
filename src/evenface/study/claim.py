"""What a claim is: a question, the rule that decides it, the answer, and the figures behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import PairedDifference
from evenface.study.inference import Contrast

Verdict = Literal["supported", "not supported", "undecided", "undefined"]
Unit = Literal["points", "ratio", "share"]


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
    """Begins with the rule's name."""
    question: str
    benchmark: str
    teacher: str | None
    verdict: Verdict
    statement: str
    rule: str
    tests: tuple[Evidence, ...]
    levels: Mapping[str, str] = field(default_factory=dict)
    """Factor → level: the slice of the study that is asked about; empty for all of it."""

    def describe(self) -> dict[str, Any]:
        """The claim as ``results.json`` has it."""
        return {
            **asdict(self),
            "levels": dict(self.levels),
            "tests": [asdict(test) for test in self.tests],
        }


def decide(
    rule: Callable[[Sequence[Contrast]], Verdict], contrasts: Sequence[Contrast]
) -> tuple[Verdict, str]:
    """A verdict by both intervals, and a sentence where the t interval is what held it back.

    Args:
        rule: from contrasts to a verdict, by ``above``, ``below`` and the ``sure…`` p.
        contrasts: with both intervals.
    """
    verdict = rule(contrasts)
    by_replicates = rule([replace(contrast, spread=None) for contrast in contrasts])
    if verdict == by_replicates:
        return verdict, ""
    return verdict, (
        f" By the intervals alone it would be {by_replicates}; {contrasts[0].seeds} training seeds "
        "vary too much for that (t interval with Satterthwaite's degrees of freedom)."
    )


def evidence(
    label: str,
    difference: PairedDifference,
    *,
    unit: Unit = "points",
    p_value: float | None = None,
    p_holm: float | None = None,
    note: str | None = None,
) -> Evidence:
    """A difference as evidence; its two-sided p unless another is given."""
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


def alpha_of(evaluation: ArmEvaluation) -> float:
    """α of tests at the level of the evaluation."""
    return 1 - evaluation.bootstrap.level


def defined(value: float | None) -> float:
    """The value of what always has one, as accuracies and their p do."""
    if value is None:
        raise ValueError("an accuracy is undefined")
    return value
