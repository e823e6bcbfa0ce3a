"""What smaller numbers cost, group by group: paired tests of one network in two precisions."""

from __future__ import annotations

from pydantic import BaseModel

from evenface.evaluate.multiplicity import holm
from evenface.evaluate.protocols import PairsOrigin
from evenface.evaluate.results import Evaluation
from evenface.evaluate.text import format_estimate
from evenface.record import Estimate

LOSS_THAT_MATTERS = 0.003
"""Accuracy lost in a group from which int8 should be repaired rather than shipped."""


class Change(BaseModel):
    """After minus before, on the same pairs and resamples."""

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def direction(self) -> int:
        """1 or −1 where the interval excludes zero, else 0."""
        if self.low is not None and self.low > 0:
            return 1
        return -1 if self.high is not None and self.high < 0 else 0


class GroupChange(BaseModel):
    """One group's accuracy."""

    before: Estimate
    after: Estimate
    change: Change
    p_holm: float | None
    """Two-sided, corrected for looking at all groups."""


class Compression(BaseModel):
    """What changed over the groups."""

    protocol: str
    pairs: PairsOrigin | None = None
    """None in reports of older versions."""
    simulated: bool
    groups: dict[str, GroupChange]
    gap_before: Estimate
    gap_after: Estimate
    gap_change: Change
    verdict: str

    @property
    def largest_loss(self) -> float:
        """Accuracy lost in the group that lost most, as a fraction; 0 where none lost."""
        changes = [group.change.value for group in self.groups.values()]
        return max((-value for value in changes if value is not None and value < 0), default=0.0)

    @property
    def losers(self) -> list[str]:
        """Groups that lost more than :data:`LOSS_THAT_MATTERS`, with how much, for people."""
        return [
            f"{name} {-100 * group.change.value:.2f}"
            for name, group in self.groups.items()
            if group.change.value is not None and -group.change.value > LOSS_THAT_MATTERS
        ]


def compare_precisions(before: Evaluation, after: Evaluation) -> Compression:
    """Compare two evaluations of one network on one protocol with the same resamples.

    Raises:
        ValueError: evaluations that cannot be paired.
    """
    changes = {name: _change(before, after, "accuracy", name) for name in before.groups}
    tested = [name for name, change in changes.items() if change.p_value is not None]
    corrected = dict(zip(tested, holm([changes[n].p_value or 0.0 for n in tested]), strict=True))
    gap = _change(before, after, "overall.gap", None)
    return Compression(
        protocol=before.protocol.name,
        pairs=before.protocol.pairs,
        simulated=before.protocol.simulated,
        groups={
            name: GroupChange(
                before=before.groups[name].accuracy,
                after=after.groups[name].accuracy,
                change=change,
                p_holm=corrected.get(name),
            )
            for name, change in changes.items()
        },
        gap_before=before.overall.gap,
        gap_after=after.overall.gap,
        gap_change=gap,
        verdict=_verdict(changes, corrected, gap),
    )


def _change(before: Evaluation, after: Evaluation, measure: str, group: str | None) -> Change:
    found = before.compare(after, measure, group=group)
    return Change(value=found.value, low=found.low, high=found.high, p_value=found.p_value)


def _verdict(changes: dict[str, Change], corrected: dict[str, float], gap: Change) -> str:
    lost = [n for n, c in changes.items() if c.direction < 0 and corrected.get(n, 1.0) <= 0.05]
    accuracy = (
        f"Accuracy fell in {', '.join(lost)}."
        if lost
        else "No group's accuracy is distinguishable from before."
    )
    if gap.value is None:
        return accuracy
    points = format_estimate(gap, sign=True, unit=" points")
    if gap.direction > 0:
        return f"{accuracy} Compression widened the gap between groups: {points}."
    if gap.direction < 0:
        return f"{accuracy} The gap between groups is smaller than before: {points}."
    return f"{accuracy} A change of the gap between groups is not distinguishable: {points}."
