"""With distillation minus without: every measure that a study compares."""

from __future__ import annotations

from collections.abc import Mapping

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import PairedDifference
from evenface.evaluate.measures import of_kind
from evenface.evaluate.multiplicity import holm
from evenface.study.record import Difference
from evenface.study.wording import OVER_GROUPS

_GROUP_METRICS = ("accuracy", "eer")
_OVERALL_METRICS = {
    "accuracy": "overall.accuracy",
    **{name: f"overall.{name}" for name, of in of_kind("overall").items() if of.compared},
    "fnmr_ratio": "global.fnmr_ratio",
}


def kd_differences(
    plain: ArmEvaluation,
    distilled: ArmEvaluation,
    *,
    training_set: str,
    benchmark: str,
    teacher: str,
    levels: Mapping[str, str] | None = None,
) -> list[Difference]:
    """``distilled − plain`` of each group, Holm-adjusted over the groups, then over groups."""

    def row(group: str, metric: str, difference: PairedDifference) -> Difference:
        return Difference(
            set=training_set,
            benchmark=benchmark,
            teacher=teacher,
            group=group,
            metric=metric,
            value=difference.value,
            low=difference.low,
            high=difference.high,
            p_value=difference.p_value,
            levels=dict(levels or {}),
        )

    rows = []
    for metric in _GROUP_METRICS:
        compared = [
            row(group, metric, plain.compare(distilled, metric, group=group))
            for group in plain.groups
        ]
        rows += _holm_adjusted(compared)
    if len(plain.groups) > 1:
        rows += [
            row(OVER_GROUPS, metric, plain.compare(distilled, measure))
            for metric, measure in _OVERALL_METRICS.items()
            if measure in plain.replicates and measure in distilled.replicates
        ]
    return rows


def _holm_adjusted(rows: list[Difference]) -> list[Difference]:
    adjusted = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    return [
        row if row.p_value is None else row.model_copy(update={"p_holm": next(adjusted)})
        for row in rows
    ]
