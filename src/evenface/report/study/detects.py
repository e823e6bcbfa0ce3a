"""What a study would detect where it could not decide, from its results."""

from __future__ import annotations

from collections.abc import Iterator

from evenface.evaluate import fairness
from evenface.evaluate.arms import ArmEvaluation
from evenface.record import Estimate
from evenface.report.study.grid import (
    Pairing,
    difference,
    distilled_arm,
    mean_difference,
    plain_arm,
    slices,
)
from evenface.study.claim_settings import ClaimSettings
from evenface.study.detectable import (
    Chance,
    Detectable,
    by_chance,
    detectable,
    pooled_freedom,
    standard_error,
)
from evenface.study.record import Benchmark, Claim, Evidence, Results

_EVERYWHERE = "kd-raises-accuracy-everywhere"


def chance_of(results: Results) -> Chance:
    """What the intervals of a study hold, from its main benchmark."""
    declared = _settings(results)
    main = results.main
    pairs = [p for of in slices(results) for p in of.pairings] if main else []
    return Chance(
        results.level,
        len(results.study.seeds),
        declared.seeds,
        _freedom(results, main, pairs, of_mean=False) if main else 1.0,
        _freedom(results, main, pairs, of_mean=True) if main else 1.0,
        declared.margin,
    )


def claim_detects(results: Results, chance: Chance, claim: Claim) -> Detectable | None:
    """What would have decided an undecided claim; None of others, and where it cannot be told."""
    if claim.verdict != "undecided":
        return None
    rule = claim.id.partition(":")[0]
    tests = claim.tests
    if rule == _EVERYWHERE:
        tests = (*tests, *_of_groups(results, claim))
    before, floor = _unevenness(results, rule, claim)
    return detectable(rule, tests, chance, before=before, floor=floor)


def mean_detects(chance: Chance, found: Estimate) -> Detectable | None:
    """What would have decided a difference of mean accuracy."""
    test = Evidence(label="mean over groups", unit="points", **found.model_dump(include=_BOUNDS))
    return detectable("kd-helps-on-average", [test], chance)


_BOUNDS = {"value", "low", "high"}


def _settings(results: Results) -> ClaimSettings:
    known = results.study.spec.get("claim_settings")
    if not isinstance(known, dict):
        return ClaimSettings()
    kept = {key: known[key] for key in ClaimSettings.model_fields if key in known}
    return ClaimSettings.model_validate(kept)


def _of_groups(results: Results, claim: Claim) -> Iterator[Evidence]:
    groups = next((b.groups for b in results.benchmarks if b.id == claim.benchmark), ())
    for d in results.differences:
        asked = (d.benchmark, d.teacher, d.metric) == (claim.benchmark, claim.teacher, "accuracy")
        if asked and d.group in groups:
            yield Evidence(label=d.group, unit="points", **d.model_dump(include=_BOUNDS))


def _unevenness(results: Results, rule: str, claim: Claim) -> tuple[float | None, float | None]:
    """The STD or ratio without KD that a claim starts from, and that of equal groups with it."""
    if "unevenness" not in rule or claim.benchmark is None:
        return None, None
    name = [*claim.id.split(":"), ""][1]
    plain = plain_arm(results, name, claim.levels)
    distilled = distilled_arm(results, name, claim.levels, claim.teacher)
    first, second = (
        results.evaluation(arm.id, claim.benchmark) if arm else None for arm in (plain, distilled)
    )
    before, after = ([] if of is None else _errors(of, rule) for of in (first, second))
    relative = "relative" in rule
    if first is None or len(before) < 2:
        return None, None
    if rule.endswith(("-of-fnmr", "-of-fmr")):
        statistic = fairness.worst_to_geometric_mean if relative else fairness.std_sample
        value: float | None = float(statistic([of.value or 0.0 for of in before]))
    else:
        value = (first.overall.ser if relative else first.overall.std_sample).value
    spreads = [standard_error(of, results.level) for of in after]
    known = [of for of in spreads if of is not None]
    if len(known) < max(2, len(after)):
        return value, None
    rates = [of.value or 0.0 for of in after]
    unit = "ratio" if relative else "points"
    return value, by_chance(rates, known, unit=unit, to_mean="-of-" in rule)


def _errors(evaluation: ArmEvaluation, rule: str) -> list[Estimate]:
    """Error rates of the groups that a rule on unevenness is about; none where one is 0."""
    one = evaluation.global_threshold
    if rule.endswith(("-of-fnmr", "-of-fmr")):
        rates = list(getattr(one, rule.rpartition("-")[2]).values()) if one else []
    else:
        rates = [_complement(of.accuracy) for of in evaluation.groups.values()]
    return rates if all(of.value for of in rates) else []


def _complement(accuracy: Estimate) -> Estimate:
    value, low, high = (
        None if of is None else 1 - of for of in (accuracy.value, accuracy.high, accuracy.low)
    )
    return Estimate(value=value, low=low, high=high)


def _freedom(
    results: Results, benchmark: Benchmark, pairs: list[Pairing], *, of_mean: bool
) -> float:
    errors, by_seed = [], []
    for pair in pairs:
        arms = [
            results.evaluation(model.id, benchmark.id) if model else None
            for model in (pair.plain, pair.distilled)
        ]
        first, second = arms
        if first is None or second is None:
            continue
        for group in (None,) if of_mean else benchmark.groups:
            found = (
                mean_difference(results, pair, benchmark)
                if group is None
                else difference(results, pair, benchmark, group, "accuracy")
            )
            error = standard_error(found, results.level) if found else None
            if error is not None:
                errors.append(error)
                by_seed.append(_by_seed(first, second, group))
    return pooled_freedom(errors, by_seed)


def _by_seed(first: ArmEvaluation, second: ArmEvaluation, group: str | None) -> list[float]:
    """Second minus first of each seed that both have."""

    def values(of: ArmEvaluation) -> dict[int, float | None]:
        return {
            seed.seed: seed.mean if group is None else seed.accuracy.get(group) for seed in of.seeds
        }

    before, after = values(first), values(second)
    return [
        value - base
        for seed, value in after.items()
        if value is not None and (base := before.get(seed)) is not None
    ]
