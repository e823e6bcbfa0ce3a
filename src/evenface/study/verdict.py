"""What rules of claims share: verdicts by both intervals, and the figures behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import PairedDifference
from evenface.study.inference import Contrast
from evenface.study.record import Evidence, Unit, Verdict


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
