"""What a study's evaluations say: arms with joint intervals, differences, and claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from evenface.evaluate import Evaluation
from evenface.study.arm import Arm, Kind
from evenface.study.claim import Claim
from evenface.study.claim_settings import ClaimSettings
from evenface.study.differences import Difference, kd_differences
from evenface.study.grid import Grid
from evenface.study.rules import RULES, check_rules

__all__ = ["Arm", "summarise"]


def summarise(
    arms: Sequence[Arm],
    evaluations: Mapping[str, Mapping[str, Sequence[Evaluation]]],
    *,
    others: Collection[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    rules: Sequence[str] | None = None,
    settings: ClaimSettings | None = None,
) -> dict[str, Any]:
    """The entries "evaluations", "differences" and "claims" of ``results.json``.

    Args:
        arms: in the order of the tables.
        evaluations: arm id → benchmark id → one evaluation for each of the arm's seeds, in the
            order of ``Arm.seeds``. On one benchmark all arms have one protocol, bootstrap seed and
            number of replicates (at least one). Arms without evaluations are holes.
        others: ids of benchmarks of other people as a whole, asked about EER only.
        kinds: what each training set is made of; None: sets called real, synthetic and mix are,
            any other is a mix.
        rules: names of :data:`evenface.study.rules.RULES`; None for all that apply.
        settings: of the rules; None for the defaults.

    Raises:
        ValueError: an unknown rule, evaluations of another level, or that cannot be paired.
    """
    settings = settings or ClaimSettings()
    chosen = list(RULES) if rules is None else check_rules(rules)
    benchmarks = list(dict.fromkeys(b for of_arm in evaluations.values() for b in of_arm))
    grids = [
        Grid(b, arms, evaluations, of_others=b in others, kinds=kinds, settings=settings)
        for b in benchmarks
    ]
    # Claims on groups come before those on other people.
    claims = [claim for grid in grids for claim in _claims(grid, chosen)]
    claims.sort(key=lambda claim: claim.id.startswith("real-people:"))
    return {
        "evaluations": {
            arm.id: {g.benchmark: g.whole(arm).to_dict() for g in grids if g.has(arm)}
            for arm in arms
        },
        "differences": [row.describe() for grid in grids for row in _differences(grid)],
        "claims": [claim.describe() for claim in claims],
    }


def _claims(grid: Grid, rules: Sequence[str]) -> list[Claim]:
    """Those with each teacher in turn, then those without one."""
    return [
        claim
        for teacher in (*grid.teachers, None)
        for rule in rules
        for claim in RULES[rule](grid, teacher)
    ]


def _differences(grid: Grid) -> list[Difference]:
    return [
        row
        for teacher in grid.teachers
        for levels, name, pair in grid.kd_pairs(teacher)
        for row in kd_differences(
            *pair, training_set=name, benchmark=grid.benchmark, teacher=teacher, levels=levels
        )
    ]
