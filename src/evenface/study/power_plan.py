"""What a study can decide: for each claim, the smallest effect that 4 of 5 studies find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from evenface.errors import UsageError
from evenface.evaluate import fairness
from evenface.evaluate.measures import base
from evenface.evaluate.protocols import LEAST_CAP
from evenface.study.cells import Cell, cells
from evenface.study.claim_settings import Endpoint, HarmContrast
from evenface.study.declared import RULE as DECLARED
from evenface.study.declared import distance_of
from evenface.study.face_counts import Size
from evenface.study.power import (
    Arm,
    Array,
    Decide,
    Design,
    Figures,
    Question,
    Statistic,
    Studies,
    mean_of,
    percentiles,
    power_at,
    smallest_effect,
    smallest_test,
)
from evenface.study.record import Unit
from evenface.study.rules import RULES, check_rules
from evenface.study.spec import PublishedFaces, RenderedFaces, StudySpec, teacher_id
from evenface.study.unevenness import ABSOLUTE, RELATIVE
from evenface.study.variance import Found, Parts
from evenface.study.wording import points

Decided = NDArray[np.bool_]
_PEOPLE_OF = {"orl": 40, "openpeople": 10}


# The rules of claims.py, unevenness.py and comparisons.py for many studies at once: where each is
# "supported". tests/study/test_power_plan.py compares them with the originals.


def every_group_rises(pairs: Sequence[tuple[Arm, Arm]]) -> Decided:
    """``kd-raises-accuracy`` of a pair, and ``kd-raises-accuracy-everywhere`` of all."""
    alpha = 1 - pairs[0][0].level
    p = [
        (after - before).sure_greater
        for first, second in pairs
        for before, after in zip(first.groups, second.groups, strict=True)
    ]
    return np.max(p, axis=0) < alpha


def unevenness_falls(first: Arm, second: Arm, statistic: Statistic) -> Decided:
    """``kd-lowers-…-unevenness…``, by its primary scale."""
    fall = second.over_groups(statistic) - first.over_groups(statistic)
    return (first.uneven_p() < 1 - first.level) & fall.below(0)


def worst_group_rises(first: Arm, second: Arm) -> Decided:
    """``worst-group-better-off``."""
    return worst_group_p(first, second) < (1 - first.level) / 2


def worst_group_p(first: Arm, second: Arm) -> Array:
    """As :func:`evenface.study.inference.worst_group_p`."""
    others = len(first.groups) - 1
    share = [1 / 2 if others else 1.0, 1 / (2 * others) if others else 0.0]
    p = [
        [
            (after - before).sure_greater / share[g != against]
            for against, before in enumerate(first.groups)
        ]
        for g, after in enumerate(second.groups)
    ]
    return np.minimum(np.min(p, axis=1), 1).max(axis=0)


def no_group_loses(first: Arm, second: Arm, margin: float) -> Decided:
    """``no-group-worse-off``."""
    p = [
        (after - before - (-margin)).sure_greater
        for before, after in zip(first.groups, second.groups, strict=True)
    ]
    return np.max(p, axis=0) < (1 - first.level) / 2


def gap_closes(real: Arm, synthetic: Arm, after: tuple[Arm, Arm], *, both: bool) -> Decided:
    """``gap-closed`` (both distil), ``gap-closed-synthetic``.

    Args:
        real, synthetic: without distillation.
        after: the same with it.
        both: whether what remains of the gap is between both with it.
    """
    gap = real.mean - synthetic.mean
    real_after, synthetic_after = after
    if both:
        closed = gap - (real_after.mean - synthetic_after.mean)
    else:
        closed = synthetic_after.mean - synthetic.mean
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(gap.samples > 0, closed.samples / gap.samples, np.nan)
    return gap.above(0) & closed.above(0) & (percentiles(shares, real.level)[0] > 0)


def not_inferior(reference: Arm, others: Sequence[Arm], margin: float) -> Decided:
    """``mix-matches-real`` of one mix, by its intervals."""
    return (others[0].mean - reference.mean).above(-margin)


def some_match(reference: Arm, mixes: Sequence[Arm], margin: float) -> Decided:
    """``which-mixes-match``."""
    p = [(mix.mean - reference.mean - (-margin)).sure_greater for mix in mixes]
    return np.min(p, axis=0) * len(p) < (1 - reference.level) / 2


def better_on_average(pairs: Sequence[tuple[Arm, Arm]]) -> Decided:
    """``kd-helps-on-average``."""
    return mean_of([second.mean - first.mean for first, second in pairs]).above(0)


def level_is_better(pairs: Sequence[tuple[Arm, Arm]], levels: int) -> Decided:
    """``level-beats-baseline``, of one among so many levels the others of which are no better."""
    first, second = (_average([pair[side] for pair in pairs]) for side in (0, 1))
    mean = (second.mean - first.mean).sure_greater
    p = np.maximum(mean, worst_group_p(first, second))
    return levels * p < 1 - first.level


def _average(arms: Sequence[Arm]) -> Arm:
    return Arm(
        np.mean([arm.values for arm in arms], axis=0),
        np.mean([arm.replicates for arm in arms], axis=0),
        arms[0].level,
    )


def harms_differ(
    first: Sequence[Arm], second: Sequence[Arm], endpoint: Endpoint, *, less: bool
) -> Decided:
    """``declared-contrasts``, without the correction for further ones.

    Args:
        first, second: the arms behind each harm, that of even groups and one for each starved
            group; ``second`` is empty where ``first`` is compared with no harm.
        endpoint: which distance.
        less: whether the first harm is expected to be the smaller one.
    """
    harms = [_harm(arms, endpoint) for arms in (first, second) if arms]
    difference = harms[0] if len(harms) == 1 else harms[0] - harms[1]
    return difference.below(0) if less else difference.above(0)


def _harm(arms: Sequence[Arm], endpoint: Endpoint) -> Figures:
    even, *starved = arms
    return mean_of(
        [_distance(of, g, endpoint) - _distance(even, g, endpoint) for g, of in enumerate(starved)]
    )


def _distance(arm: Arm, group: int, endpoint: Endpoint) -> Figures:
    return arm.over_groups(lambda rates: distance_of(rates, group, endpoint))


def error_falls(first: Arm, second: Arm) -> Decided:
    """``real-people``."""
    return (second.group(0) - first.group(0)).below(0)


def spread_over(groups: int, deviation: float | Array) -> Array:
    """(…, groups) equally spaced deviations from 0 with this sample standard deviation."""
    spaced = np.linspace(-1, 1, groups)
    return np.multiply.outer(np.asarray(deviation), spaced / spaced.std(ddof=1))


def _ser(rates: Array) -> Array:
    return np.log(fairness.skewed_error_ratio(rates))


def _to_mean(rates: Array) -> Array:
    return np.log(fairness.worst_to_geometric_mean(rates))


@dataclass(frozen=True)
class _Grid:
    """What of a study's grid the questions need."""

    pairs: int
    """Of students without and with one teacher."""
    real: bool
    synthetic: bool
    mixes: int
    factors: Mapping[str, tuple[int, int]]
    """Factor → further levels, and cells in which one is compared with the first."""
    factorial: bool


def questions(
    spec: StudySpec, found: Found, bases: Mapping[str, float] | None = None
) -> list[Question]:
    """The claims of a study that groups and teachers matter to, one question for each rule.

    Args:
        spec: the study.
        found: rates and spreads that effects start from.
        bases: rule → what its effect starts from, where that is another STD or ratio.
    """
    grid = _grid(spec)
    asked = list(RULES) if spec.claims is None else check_rules(spec.claims)
    every = [*_declared(spec, found), *_questions(spec, grid, found, bases or {})]
    return [q for rule in asked for q in every if q.rule.partition(":")[0] == rule]


def _questions(
    spec: StudySpec, grid: _Grid, found: Found, bases: Mapping[str, float]
) -> list[Question]:
    accuracy = found.parts["accuracy"]
    rate, margin, groups = accuracy.rate, spec.claim_settings.margin, found.groups
    asked = []

    def ask(
        rule: str, effect: str, decides: Decide, *, measure: str = "accuracy", **more: Any
    ) -> None:
        more = {"unit": "points", "start": 0.02, **more}
        asked.append(Question(rule, measure, effect, decides=decides, **more))

    def pair(studies: Studies, effect: Array, before: Array | float = rate) -> tuple[Arm, Arm]:
        return studies.arm(before), studies.arm(before + effect[:, None])

    if grid.pairs:
        ask(
            "kd-raises-accuracy",
            "accuracy rises by {} in every group" if groups > 1 else "accuracy rises by {}",
            lambda s, effect: every_group_rises([pair(s, effect)]),
        )
    if grid.pairs and groups > 1:
        uneven = rate + spread_over(groups, accuracy.spread)
        asked += _unevenness(found, bases)
        ask(
            "worst-group-better-off",
            "the worst group's accuracy rises by {}, as the others' do",
            lambda s, effect: worst_group_rises(*pair(s, effect, uneven)),
        )
        ask(
            "no-group-worse-off",
            f"accuracy changes by {{}} in every group (shown: no loss of {points(margin)})",
            lambda s, effect: no_group_loses(*pair(s, effect), margin),
            least=-margin,
        )
    if grid.pairs and grid.real and grid.synthetic and found.gap:
        for rule, both in (("gap-closed", True), ("gap-closed-synthetic", False)):
            ask(
                rule,
                "distillation closes {} of the gap",
                _gap(rate, found.gap, both),
                unit="share",
                most=1.0,
            )
    if grid.real and grid.mixes:
        ask(
            "mix-matches-real",
            f"the mix differs by {{}} from real faces (shown: no loss of {points(margin)})",
            lambda s, effect: not_inferior(s.arm(rate), [s.arm(rate + effect[:, None])], margin),
            least=-margin,
        )
    if grid.pairs and grid.real and grid.mixes > 1:
        ask(
            "which-mixes-match",
            f"one of {grid.mixes} mixes differs by {{}} from real faces, "
            f"the others lose {points(margin)}",
            partial(_which, rate, margin, grid.mixes),
            least=-margin,
        )
    if grid.factorial and grid.pairs > 1:

        def all_pairs(studies: Studies, effect: Array) -> list[tuple[Arm, Arm]]:
            return [pair(studies, effect) for _ in range(grid.pairs)]

        ask(
            "kd-raises-accuracy-everywhere",
            f"accuracy rises by {{}} in every group of all {grid.pairs} pairs",
            lambda s, effect: every_group_rises(all_pairs(s, effect)),
        )
        ask(
            "kd-helps-on-average",
            f"mean accuracy rises by {{}} on average over {grid.pairs} pairs",
            lambda s, effect: better_on_average(all_pairs(s, effect)),
        )
    if grid.factors:
        name = max(grid.factors, key=lambda f: grid.factors[f][0])
        levels, compared = grid.factors[name]
        ask(
            "level-beats-baseline",
            f"one level of {name} raises every group's accuracy by {{}}, {levels} compared",
            lambda s, effect: level_is_better([pair(s, effect) for _ in range(compared)], levels),
        )
    if grid.pairs and grid.synthetic and spec.evaluation.real_people and "eer" in found.parts:
        name = spec.evaluation.real_people[0]
        error = found.parts["eer"].rate
        ask(
            "real-people",
            f"the EER on the people of {name} falls by {{}}",
            lambda s, effect: error_falls(*pair(s, -effect, error)),
            measure="eer",
            people=_PEOPLE_OF[name],
            groups=1,
            most=error,
        )
    return asked


def _declared(spec: StudySpec, found: Found) -> Iterator[Question]:
    """The primary contrasts with the endpoints that decide them.

    Where results have no variances of an endpoint's own measure, those of the rate at the threshold
    with a mean FMR of 1 % stand for it.
    """
    settings = spec.claim_settings
    for name, asked in settings.contrasts.items():
        for key, endpoint in settings.endpoints.items():
            measure = endpoint.measure
            measure = measure if measure in found.parts else base(measure.removeprefix("own."))
            wanted = asked.primary and asked.expect != "nothing" and not endpoint.beside
            if wanted and measure in found.parts:
                yield _contrast(f"{DECLARED}:{name}:{key}", asked, endpoint, measure, found)


def _contrast(
    rule: str, asked: HarmContrast, endpoint: Endpoint, measure: str, found: Found
) -> Question:
    rate, groups = found.parts[measure].rate, found.groups
    points_of = endpoint.scale == "points"
    sign = -1.0 if measure == "accuracy" else 1.0

    def harmed(studies: Studies, effect: Array) -> list[Arm]:
        """Even groups, and each group with an error that is larger by the effect."""
        error = rate if sign > 0 else 1 - rate
        after = error + effect if points_of else error * (1 + effect)
        arms = [studies.arm(rate)]
        for g in range(groups):
            rates = np.full((len(effect), groups), rate)
            rates[:, g] = after if sign > 0 else 1 - after
            arms.append(studies.arm(rates))
        return arms

    def decides(studies: Studies, effect: Array) -> Decided:
        less, more = asked.expect == "less", harmed(studies, effect)
        if asked.second is None:
            return harms_differ(more, [], endpoint, less=less)
        none = harmed(studies, 0 * effect)
        first, second = (none, more) if less else (more, none)
        return harms_differ(first, second, endpoint, less=less)

    most = {"points": 1 - rate, "ratio": 1 / rate - 1}[endpoint.scale] if sign > 0 else None
    unit, by = ("points", "{}") if points_of else ("share", "{} of the error")
    whose = "the harm of being starved is" if asked.second is None else "the two harms differ by"
    return Question(
        rule,
        measure,
        f"{whose} {by}, in {_name(measure)}",
        cast(Unit, unit),
        decides,
        start=0.05 if points_of else 0.3,
        most=most,
        each_model=True,
    )


def _gap(rate: float, gap: float, both: bool) -> Decide:
    def decides(studies: Studies, effect: Array) -> Decided:
        synthetic = rate - gap
        before = studies.arm(rate), studies.arm(synthetic)
        after = studies.arm(rate), studies.arm(synthetic + gap * effect[:, None])
        return gap_closes(*before, after, both=both)

    return decides


def _which(rate: float, margin: float, mixes: int, studies: Studies, effect: Array) -> Decided:
    others = [studies.arm(rate - margin) for _ in range(mixes - 1)]
    return some_match(studies.arm(rate), [studies.arm(rate + effect[:, None]), *others], margin)


def _unevenness(found: Found, bases: Mapping[str, float]) -> list[Question]:
    asked = []
    for rules, name in ((ABSOLUTE, "STD"), (RELATIVE, "ratio")):
        for rule, ending in rules.items():
            error = ending.removeprefix("-of-") or "accuracy"
            if error in found.parts:
                make = _absolute if name == "STD" else _relative
                asked.append(make(rule, error, found.parts[error], found.groups, bases.get(rule)))
    return asked


def _absolute(rule: str, error: str, parts: Parts, groups: int, base: float | None) -> Question:
    before = parts.spread if base is None else base

    def decides(studies: Studies, effect: Array) -> Decided:
        after = parts.rate + spread_over(groups, before - effect)
        arms = studies.arm(parts.rate + spread_over(groups, before)), studies.arm(after)
        return unevenness_falls(*arms, fairness.std_sample)

    return Question(
        rule,
        error,
        f"the STD of {_name(error)} falls by {{}} from {100 * before:.1f}",
        "points",
        decides,
        start=before,
        most=before,
        before=before,
        each_model=True,
    )


def _relative(rule: str, error: str, parts: Parts, groups: int, base: float | None) -> Question:
    """Errors move towards their geometric mean; their arithmetic mean stays."""
    rate = 1 - parts.rate if error == "accuracy" else parts.rate
    ratio = fairness.rate_ratio if error == "accuracy" else fairness.worst_to_geometric_mean
    logs = spread_over(groups, 1.0)

    def errors(width: Array) -> Array:
        raw = np.exp(np.multiply.outer(width, logs))
        return np.asarray(rate * raw / raw.mean(axis=-1, keepdims=True))

    widths = np.linspace(0, 3, 3001)
    ratios = ratio(errors(widths))
    if base is None:
        spreads = errors(widths).std(axis=-1, ddof=1)
        base = float(np.interp(parts.spread, spreads, ratios)) if parts.spread else 1.0

    def decides(studies: Studies, effect: Array) -> Decided:
        def arm(value: Array) -> Arm:
            of = errors(np.interp(value, ratios, widths))
            return studies.arm(1 - of if error == "accuracy" else of)

        logarithm = _ser if error == "accuracy" else _to_mean
        return unevenness_falls(arm(np.full_like(effect, base)), arm(base - effect), logarithm)

    what = "SER" if error == "accuracy" else f"the worst group's {_name(error)} over the mean"
    return Question(
        rule,
        error,
        f"{what} falls by {{}} from {base:.2f}",
        "ratio",
        decides,
        start=base - 1,
        most=base - 1,
        before=base,
        each_model=True,
    )


def _name(error: str) -> str:
    name, at, key = error.partition("@")
    return name if name == "accuracy" else f"{name.upper()}{at and ' at FMR '}{key}"


def _grid(spec: StudySpec) -> _Grid:
    every = cells(spec)
    teacher = teacher_id(spec.teachers[0])
    sets = spec.training_sets
    distilled = [cell for cell in every if cell.teacher == teacher]
    plain = [cell for cell in every if cell.teacher is None]
    kinds = {
        name: {1.0: "real", 0.0: "synthetic"}.get(of.real_fraction, "mix")
        for name, of in sets.items()
    }
    counts = [list(kinds.values()).count(kind) for kind in ("real", "synthetic", "mix")]
    several = any(len(levels) > 1 for levels in spec.factors.values())
    with_teacher = distilled or plain
    factors = {
        factor: (len(levels) - 1, compared)
        for factor, levels in spec.factors.items()
        if len(levels) > 1 and (compared := _compared(with_teacher, factor, *list(levels)[:2]))
    }
    return _Grid(
        sum(_has_plain(cell, plain) for cell in distilled),
        counts[0] > 0,
        counts[1] > 0,
        counts[2],
        factors,
        several or max(counts) > 1,
    )


def _has_plain(cell: Cell, plain: Sequence[Cell]) -> bool:
    return any(of.set == cell.set and of.levels.items() <= cell.levels.items() for of in plain)


def _compared(arms: Sequence[Cell], factor: str, baseline: str, level: str) -> int:
    """Cells in which both levels are there, all else alike."""

    def rest(cell: Cell) -> tuple[object, ...]:
        return cell.set, frozenset(item for item in cell.levels.items() if item[0] != factor)

    first, second = (
        {rest(cell) for cell in arms if cell.levels.get(factor) == of} for of in (baseline, level)
    )
    return len(first & second)


def planned_test(
    spec: StudySpec,
    found: Found,
    size: Size,
    *,
    people: int | None = None,
    pairs: int | None = None,
) -> Design:
    """People, pairs and seeds that the study plans on its main test.

    Args:
        spec: the study.
        found: says how many groups there are where the study file does not.
        size: of the test faces, as far as it is known.
        people, pairs: of each group, instead.

    Raises:
        UsageError: the number of people is not known.
    """
    test, groups, images = spec.faces.test, found.groups, size.images
    if isinstance(test, RenderedFaces):
        from evenface.render import GROUPS

        sizes = [test.keep.get(group, test.identities_per_group) for group in GROUPS]
        kept = [of for of in sizes if of]
        groups = len(kept)
        people = people or min(kept)
    if people is None and size.identities:
        people = size.identities // groups
    if people is None:
        raise UsageError(
            f"{spec.name}: how many people its test has is not known before the data are there. "
            "Give the number in each group with --people, and of published pairs --pairs"
        )
    each = images / size.identities if images and size.identities else None
    if pairs is None and isinstance(test, PublishedFaces):
        pairs = LEAST_CAP
    return Design(
        people,
        max(len(spec.training_seeds), spec.claim_settings.seeds),
        groups,
        pairs_per_person=each and each * (each - 1),
        fixed_pairs=pairs or spec.evaluation.pairs_per_group,
        level=spec.claim_settings.level,
        margin=spec.claim_settings.margin,
    )


def read_effect(text: str) -> tuple[str, tuple[float | None, float]]:
    """An effect that is asked about: rule → what it starts from, and by how much it changes.

    "kd-raises-accuracy=1" is one point, "kd-lowers-absolute-unevenness=1.6:1.0" a fall of the STD
    from 1.6 to 1.0 points, "gap-closed=20" 20 % of the gap; of ratios plain numbers, "…=2:1.5".

    Raises:
        UsageError: it cannot be read.
    """
    rule, _, numbers = text.partition("=")
    try:
        ends = [float(number) for number in numbers.split(":")]
        check_rules([rule.partition(":")[0]])
    except ValueError as error:
        raise UsageError(f"--effect {text}: {error}. Give CLAIM=SIZE or CLAIM=FROM:TO") from None
    scale = 1.0 if rule in RELATIVE else 0.01
    first, *rest = (scale * end for end in ends)
    if len(rest) > 1 or not np.isfinite(ends).all():
        raise UsageError(f"--effect {text}: give CLAIM=SIZE or CLAIM=FROM:TO")
    if not rest:
        return rule, (None, first)
    if rule not in ABSOLUTE and rule not in RELATIVE:
        raise UsageError(f"--effect {text}: {rule} takes one number, the size of the effect")
    if not first > rest[0] >= (1.0 if rule in RELATIVE else 0.0):
        raise UsageError(
            f"--effect {text}: a fall, FROM above TO, which a ratio of 1 or an STD of 0 ends"
        )
    return rule, (first, first - rest[0])


@dataclass(frozen=True)
class Needed:
    """What it takes to decide an effect with so many training seeds.

    Attributes:
        people, pairs: of each group; None where no number is enough.
        power: share of studies that decide it then, or with 30,000 people.
    """

    seeds: int
    people: int | None
    pairs: int | None
    power: float


@dataclass(frozen=True)
class Asked:
    """An effect that was asked about.

    Attributes:
        effect: a fraction, or a difference of ratios.
        power: share of studies like the planned one that decide it.
        needed: what would decide it in 4 of 5, by training seeds.
    """

    effect: float
    power: float
    needed: tuple[Needed, ...]


@dataclass(frozen=True)
class Decidable:
    """What the planned study can tell about a claim.

    Attributes:
        rule: its name.
        effect: in words, "{}" standing for the number.
        unit: of the number.
        smallest: effect that 4 of 5 such studies decide; None where no possible effect is.
        power: share that decide the smallest one, or else the largest.
        most: the largest possible effect: 0 where there is nothing to fall; None without a limit.
        power_at_none: of claims of "no loss", share that decide them where nothing differs.
        asked: what was asked about.
    """

    rule: str
    effect: str
    unit: Unit
    smallest: float | None
    power: float
    most: float | None = None
    power_at_none: float | None = None
    asked: Asked | None = None


@dataclass(frozen=True)
class PowerPlan:
    """What a planned study can decide."""

    study: str
    source: str
    design: Design
    parts: Mapping[str, Parts]
    claims: tuple[Decidable, ...]


def plan_power(
    spec: StudySpec,
    design: Design,
    found: Found,
    effects: Mapping[str, tuple[float | None, float]] | None = None,
    *,
    step: Callable[[str], None] = lambda rule: None,
) -> PowerPlan:
    """What a study of this design can decide.

    Args:
        spec: the study.
        design: people, pairs and seeds.
        found: where the chance comes from.
        effects: rule → what its effect starts from (None: as ``found`` has it) and the effect that
            is asked about; see :func:`read_effect`.
        step: called with the name of each rule before it is looked at.

    Raises:
        UsageError: an effect of a rule that the study does not ask, or larger than can be.
    """
    effects = effects or {}
    found = found.model_copy(update={"groups": design.groups})
    bases = {rule: base for rule, (base, _) in effects.items() if base is not None}
    asked = questions(spec, found, bases)
    if unknown := set(effects) - {question.rule for question in asked}:
        known = ", ".join(question.rule for question in asked)
        raise UsageError(
            f"--effect {unknown.pop()}: {spec.name} asks no such claim. It asks {known}"
        )
    claims = []
    for question in asked:
        step(question.rule)
        wanted = effects.get(question.rule)
        claims.append(
            _decidable(question, found.parts[question.measure], design, wanted and wanted[1])
        )
    return PowerPlan(spec.name, found.source, design, found.parts, tuple(claims))


def _decidable(question: Question, parts: Parts, design: Design, effect: float | None) -> Decidable:
    if effect is not None and question.most is not None and effect > question.most + 1e-12:
        scale = 1 if question.unit == "ratio" else 100
        raise UsageError(
            f"--effect {question.rule}={scale * effect:g}: more than there is to fall, "
            f"{scale * question.most:.2g}. Give both ends: {question.rule}=FROM:TO"
        )
    smallest, reached = None, 0.0
    if question.most != 0:
        smallest, reached = smallest_effect(question, parts, design)
    asked = None
    if effect is not None:
        now = power_at(question, parts, design, effect, studies=1000)
        asked = Asked(effect, now, tuple(_needed(question, parts, design, effect)))
    return Decidable(
        question.rule,
        question.effect,
        question.unit,
        smallest,
        reached,
        question.most,
        power_at(question, parts, design, 0.0) if question.least < 0 else None,
        asked,
    )


def _needed(question: Question, parts: Parts, design: Design, effect: float) -> list[Needed]:
    found = []
    for seeds in sorted({3, 5, 8, 12, design.seeds}):
        with_seeds = replace(design, seeds=seeds)
        test, reached = smallest_test(question, parts, with_seeds, effect)
        people, pairs = (test.people, test.pairs) if test else (None, None)
        found.append(Needed(seeds, people, pairs, reached))
    return found
