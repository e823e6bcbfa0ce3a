"""What a study's evaluations say: arms with joint intervals, differences, and claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from evenface.evaluate import Evaluation
from evenface.study.arm import Arm, Kind
from evenface.study.claim_settings import ClaimSettings
from evenface.study.declared import RANDOM
from evenface.study.differences import kd_differences
from evenface.study.grid import Grid
from evenface.study.inheritance import inheritance
from evenface.study.model_costs import Cost, pareto
from evenface.study.record import Answers, Claim, Difference
from evenface.study.rules import RULES, check_rules
from evenface.study.strategies import Placed, compare_strategies
from evenface.study.sweep import sweep
from evenface.study.variance import Found, variance_of
from evenface.study.verdict import defined

__all__ = ["Arm", "summarise"]


def summarise(
    arms: Sequence[Arm],
    evaluations: Mapping[str, Mapping[str, Sequence[Evaluation]]],
    *,
    others: Collection[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    real_fractions: Mapping[str, float] | None = None,
    right_labels: Sequence[Mapping[str, float]] = (),
    strategies: Mapping[str, Placed] | None = None,
    factors: Mapping[str, Sequence[str]] | None = None,
    costs: Mapping[str, Cost] | None = None,
    rules: Sequence[str] | None = None,
    settings: ClaimSettings | None = None,
) -> Answers:
    """Arms with joint intervals, differences, claims, and what else evaluations say.

    Args:
        arms: in the order of the tables.
        evaluations: arm id → benchmark id → one evaluation for each of the arm's seeds, in the
            order of ``Arm.seeds``. On one benchmark all arms have one protocol, bootstrap seed and
            number of replicates (at least one). Arms without evaluations are holes.
        others: ids of benchmarks of other people as a whole, asked about EER only.
        kinds: what each training set is made of; None: sets called real, synthetic and mix are,
            any other is a mix.
        real_fractions: share of real faces of each training set, in [0, 1]; sets of 1 and 0 are
            real and synthetic whatever ``kinds`` says. With three or more a study is a sweep.
        right_labels: of mixes that differ in nothing else, set → share of the synthetic identities
            with right group labels; a sweep too.
        strategies: training set → how it uses how many real people; None: they are not compared.
        factors: levels of each factor, the first of which the others are compared with; None for
            their order among the arms.
        costs: of each arm; without any there are no Pareto fronts.
        rules: names of :data:`evenface.study.rules.RULES`; None for all that apply.
        settings: of the rules; None for the defaults.

    Raises:
        ValueError: an unknown rule, evaluations of another level, or that cannot be paired.
    """
    settings = settings or ClaimSettings()
    chosen = list(RULES) if rules is None else check_rules(rules)
    evaluated = [evaluations.get(arm.id, {}) for arm in arms]
    benchmarks = dict.fromkeys(b for of_arm in evaluated for b, models in of_arm.items() if models)
    grids = [
        Grid(
            benchmark,
            arms,
            evaluations,
            of_others=benchmark in others,
            kinds=kinds,
            real_fractions=real_fractions,
            right_labels=right_labels,
            factors=factors,
            settings=settings,
        )
        for benchmark in benchmarks
    ]
    # Claims on groups come before those on other people.
    claims = [claim for grid in grids for claim in _claims(grid, chosen)]
    claims.sort(key=lambda claim: claim.id.startswith("real-people:"))
    grids = [grid for grid in grids if grid.benchmark != RANDOM]  # it is there for claims alone
    return Answers(
        evaluations={
            arm.id: {g.benchmark: g.whole(arm) for g in grids if g.has(arm)} for arm in arms
        },
        differences=tuple(row for grid in grids for row in _differences(grid)),
        claims=tuple(claims),
        sweep=tuple(entry for grid in grids for entry in sweep(grid)),
        strategies=tuple(
            entry for grid in grids for entry in compare_strategies(grid, strategies or {})
        ),
        inheritance=tuple(entry for grid in grids for entry in inheritance(grid)),
        pareto=tuple(entry for grid in grids for entry in pareto(grid, costs or {})),
        variance={grid.benchmark: of for grid in grids if (of := _variance(grid))},
    )


def _claims(grid: Grid, rules: Sequence[str]) -> list[Claim]:
    """Those with each teacher in turn, then those without one."""
    random = grid.benchmark == RANDOM
    return [
        claim
        for teacher in (*grid.teachers, None)
        for rule in rules
        if not random or rule == RANDOM
        for claim in RULES[rule](grid, teacher)
    ]


def _variance(grid: Grid) -> Found | None:
    pairs = [pair for t in grid.teachers for _, _, pair in grid.kd_pairs(t)]
    plain = {
        kind: [
            grid.whole(arm).overall.accuracy.value
            for arm in grid.arms
            if arm.kind == "student" and arm.teacher is None and grid.kinds[arm.set or ""] == kind
        ]
        for kind in ("real", "synthetic")
    }
    means = [fmean(defined(value) for value in of) for of in plain.values() if of]
    gap = means[0] - means[1] if len(means) == 2 else None
    return variance_of(pairs, gap, [of.measure for of in grid.settings.endpoints.values()])


def _differences(grid: Grid) -> list[Difference]:
    return [
        row
        for teacher in grid.teachers
        for levels, name, pair in grid.kd_pairs(teacher)
        for row in kd_differences(
            *pair, training_set=name, benchmark=grid.benchmark, teacher=teacher, levels=levels
        )
    ]
