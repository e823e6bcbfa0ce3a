"""Contrasts that a study file declares: does what harms a group harm it less under a condition?

The *harm* of starving group g is how much farther its error is from the others' when it is starved
than when groups are even,

    H = mean over g of [d_g(starved of g) − d_g(even)],

with d_g the error of g minus the mean error of the others (or the logarithm of its ratio to their
geometric mean). That groups differ in difficulty cancels, for every group is its own control, and
so does what moves all groups alike. (The sum of d_g over groups is 0, so an even arm that all
groups share cancels in H: it shows where each group stands by itself.) A contrast is the difference
of two harms, a difference in differences; its interval comes from the joint replicates of people
and training seeds, and from the t interval over seeds, as that of every claim.

If people are dealt to groups at random, or arms differ by seeds only, every harm and every contrast
is 0 in truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.bootstrap import Figure, mean_figure
from evenface.evaluate.multiplicity import holm
from evenface.study.claim_settings import GROUP, Endpoint, Harm, HarmContrast
from evenface.study.grid import Grid
from evenface.study.inference import MEAN, Contrast, contrast, figure, over_groups
from evenface.study.record import Claim, Evidence, Unit, Verdict
from evenface.study.spec import MAIN_BENCHMARK, RANDOM_GROUPS
from evenface.study.verdict import decide, evidence
from evenface.study.wording import change, number, p

RULE, RANDOM = "declared-contrasts", RANDOM_GROUPS
"""Names of the rules; the latter is that of its benchmark too."""

_ERRORS = {"accuracy": "error"}


@dataclass(frozen=True)
class _Found:
    """A contrast with one endpoint."""

    name: str
    asked: HarmContrast
    arms: Sequence[ArmEvaluation]
    by_group: Mapping[str, Figure]
    harms: Mapping[str, Figure]
    """By name."""
    own: Figure
    """The same of the group's error itself."""
    accuracy: Figure | None
    """Mean accuracy, even groups: first minus second."""

    @property
    def tested(self) -> Contrast:
        return contrast(mean_figure(list(self.by_group.values())))


def declared_contrasts(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    """Each declared contrast with each endpoint, the primary ones first."""
    if teacher is None and not grid.of_others and grid.benchmark != RANDOM:
        yield from _claims(grid, grid.settings.contrasts)


def random_groups(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    """The primary contrasts with people dealt to groups at random, where there is nothing."""
    if teacher is None and grid.benchmark == RANDOM:
        yield from _claims(
            grid,
            {
                name: asked.model_copy(
                    update={
                        "expect": "nothing",
                        "question": "With random groups, is there nothing to: "
                        f"{asked.question[:1].lower()}{asked.question[1:]}",
                    }
                )
                for name, asked in grid.settings.contrasts.items()
                if asked.primary
            },
        )


def _claims(grid: Grid, contrasts: Mapping[str, HarmContrast]) -> Iterator[Claim]:
    claims: dict[tuple[str, str], Claim] = {}
    for name, endpoint in grid.settings.endpoints.items():
        asked = {c: of for c, of in contrasts.items() if of.primary or not endpoint.beside}
        found = [f for c, of in asked.items() if (f := _found(grid, c, of, endpoint))]
        adjusted = iter(holm([f.tested.sure for f in found if not f.asked.primary]))
        for f in found:
            p_holm = None if f.asked.primary else next(adjusted)
            claim = _claim(grid, f, name, endpoint, p_holm)
            claims[f.name, name] = grid.answer(claim, f.arms, {})
    for contrast_name in sorted(contrasts, key=lambda c: not contrasts[c].primary):
        for name in grid.settings.endpoints:
            if answered := claims.get((contrast_name, name)):
                yield answered


def _found(grid: Grid, name: str, asked: HarmContrast, endpoint: Endpoint) -> _Found | None:
    """None where an arm or a common seed is missing."""
    known = {arm.id: arm for arm in grid.arms}
    named = [
        (harm, group, which.replace(GROUP, group))
        for harm in asked.harms
        for group in grid.groups
        for which in (harm.starved, harm.even)
    ]
    ids = list(dict.fromkeys(arm for _, _, arm in named))
    matched = grid.matched_arms([known.get(arm) for arm in ids])
    if not matched:
        return None
    arms = dict(zip(ids, matched, strict=True))

    def harm(of: Harm, group: str, measured: Endpoint) -> Figure:
        starved, even = (
            _distance(arms[which.replace(GROUP, group)], group, measured)
            for which in (of.starved, of.even)
        )
        return starved - even

    def each(measured: Endpoint) -> dict[str, list[Figure]]:
        return {g: [harm(of, g, measured) for of in asked.harms] for g in grid.groups}

    def difference(of: Sequence[Figure]) -> Figure:
        return of[0] if len(of) == 1 else of[0] - of[1]

    by_group = each(endpoint)
    own = each(endpoint.model_copy(update={"against": "nobody"}))
    accuracy = None
    if len(asked.harms) > 1:
        first, second = (
            mean_figure([figure(arms[of.even.replace(GROUP, g)], MEAN) for g in grid.groups])
            for of in asked.harms
        )
        accuracy = first - second
    return _Found(
        name,
        asked,
        matched,
        {group: difference(of) for group, of in by_group.items()},
        {
            of.name: mean_figure([found[place] for found in by_group.values()])
            for place, of in enumerate(asked.harms)
        },
        mean_figure([difference(of) for of in own.values()]),
        accuracy,
    )


def _distance(arm: ArmEvaluation, group: str, endpoint: Endpoint) -> Figure:
    """How far the error of a group is from that of the others."""
    place = list(arm.groups).index(group)

    return over_groups(arm, endpoint.measure, lambda rates: distance_of(rates, place, endpoint))


def distance_of(rates: NDArray[np.float64], place: int, endpoint: Endpoint) -> NDArray[np.float64]:
    """(…) how far the error of the group at ``place`` is from the others', from rates (…, G)."""
    errors = 1 - rates if endpoint.measure == "accuracy" else rates
    errors = np.log(errors) if endpoint.scale == "ratio" else errors
    own: NDArray[np.float64] = errors[..., place]
    if endpoint.against == "nobody":
        return own
    others: NDArray[np.float64] = np.delete(errors, place, axis=-1).mean(axis=-1)
    return own - others


def _verdict(asked: HarmContrast, found: Contrast, endpoint: Endpoint, beyond: bool) -> Verdict:
    """
    Args:
        asked: what is expected.
        found: first minus second harm.
        endpoint: whose margin counts.
        beyond: whether the difference from 0 survives the correction for many contrasts.
    """
    if found.value is None:
        return "undefined"
    none = found.above(-endpoint.limit) and found.below(endpoint.limit)
    if none:
        return "supported" if asked.expect == "nothing" else "not supported"
    if asked.expect == "nothing":
        return "not supported" if beyond and (found.above(0) or found.below(0)) else "undecided"
    less, more = beyond and found.below(0), beyond and found.above(0)
    expected, contrary = (less, more) if asked.expect == "less" else (more, less)
    if expected:
        return "supported"
    return "not supported" if contrary else "undecided"


def _claim(grid: Grid, found: _Found, name: str, endpoint: Endpoint, p_holm: float | None) -> Claim:
    asked, tested = found.asked, found.tested
    alpha = 1 - grid.settings.level
    sure = tested.sure if p_holm is None else p_holm

    def rule(of: Sequence[Contrast]) -> Verdict:
        return _verdict(asked, of[0], endpoint, p_holm is None or sure < alpha)

    verdict, held_back = decide(rule, [tested])
    random = grid.benchmark == RANDOM
    return Claim(
        id=f"{RANDOM if random else RULE}:{found.name}:{name}",
        question=f"{asked.question.removesuffix('?')}, {_in_words(endpoint)}?",
        benchmark=MAIN_BENCHMARK if random else grid.benchmark,
        teacher=None,
        verdict=verdict,
        statement=_statement(found, endpoint, sure) + held_back,
        rule=_rule_in_words(asked, endpoint, p_holm, alpha),
        tests=tuple(_tests(found, endpoint, tested, p_holm)),
    )


def _statement(found: _Found, endpoint: Endpoint, sure: float) -> str:
    harms = found.harms.items()
    each = " and ".join(f"{_change(contrast(of), endpoint)} {name}" for name, of in harms)
    tested = found.tested
    said = (
        f"Starved, a group's {_error(endpoint)} moves {_away(endpoint)} by {each} "
        f"(mean over {len(found.by_group)} groups, each starved in turn)"
    )
    if found.asked.second is not None:
        compared = "difference" if endpoint.scale == "points" else "ratio of the two"
        said += f"; the {compared} is {_change(tested, endpoint)}"
    said += f" ({p(sure)})."
    if tested.value is not None and _none(tested, endpoint):
        said += f" No effect: {_margin(endpoint)} or more is excluded."
    if found.accuracy is not None:
        first, second = (of.name for of in found.asked.harms)
        by = change(contrast(found.accuracy), "points")
        said += f" With even groups, mean accuracy {first} minus that {second} is {by}."
    return said


def _none(found: Contrast, endpoint: Endpoint) -> bool:
    return found.above(-endpoint.limit) and found.below(endpoint.limit)


def _tests(
    found: _Found, endpoint: Endpoint, tested: Contrast, p_holm: float | None
) -> Iterator[Evidence]:
    unit: Unit = "points" if endpoint.scale == "points" else "ratio"
    label = "difference of the harms" if found.asked.second else "harm"
    log = "" if unit == "points" else ", logarithm"
    low, high = tested.bounds
    yield evidence(
        f"{label}{log}",
        replace(tested, low=low, high=high),
        unit=unit,
        p_value=tested.sure,
        p_holm=p_holm,
        note="decides",
    )
    if found.asked.second:
        for name, of in found.harms.items():
            yield evidence(f"harm {name}{log}", contrast(of), unit=unit, note="shown beside it")
    for group, of in found.by_group.items():
        yield evidence(f"{group} starved{log}", contrast(of), unit=unit, note="shown beside it")
    own = contrast(found.own)
    yield evidence(f"the group's own error{log}", own, unit=unit, note="others left out")
    if found.accuracy is not None:
        yield evidence("mean accuracy", contrast(found.accuracy), note="even groups")


def _rule_in_words(
    asked: HarmContrast, endpoint: Endpoint, p_holm: float | None, alpha: float
) -> str:
    margin, holm_said = _margin(endpoint), ""
    if p_holm is not None:
        holm_said = f", p below {alpha:.3g} after Holm's correction over the further contrasts"
    none = f"the whole interval lies within {margin} of no difference"
    if asked.expect == "nothing":
        return (
            f"Supported if {none}; not supported if the interval reaches beyond and excludes 0"
            f"{holm_said}; else undecided. Both the interval of the replicates and the t interval "
            "over seeds count."
        )
    side, contrary = ("below", "above") if asked.expect == "less" else ("above", "below")
    return (
        f"Not supported if {none}: no effect. Else supported if the interval lies {side} 0"
        f"{holm_said}, not supported if it lies {contrary} 0, else undecided. Both the interval of "
        "the replicates and the t interval over seeds count."
    )


def _in_words(endpoint: Endpoint) -> str:
    """ "in points of FNMR at one threshold" """
    scale = "in points of" if endpoint.scale == "points" else "as a ratio of"
    name, whose, _ = _parts(endpoint)
    return " ".join(filter(None, (scale, name, whose and f"at {whose}")))


def _error(endpoint: Endpoint) -> str:
    """ "FNMR (one threshold, set on other people at FMR 1e-3)" """
    name, whose, key = _parts(endpoint)
    return f"{name} ({whose}, set on other people at FMR {key})" if key else name


def _parts(endpoint: Endpoint) -> tuple[str, str, str]:
    """Name of the error, whose threshold it is at, and the FMR that this is set at."""
    name, _, key = endpoint.measure.removeprefix("own.").partition("@")
    own = endpoint.measure.startswith("own.")
    whose = ("a threshold for each group" if own else "one threshold") if key else ""
    return _ERRORS.get(name, name.upper()), whose, key


def _away(endpoint: Endpoint) -> str:
    return "" if endpoint.against == "nobody" else "away from the others'"


def _change(found: Contrast, endpoint: Endpoint) -> str:
    """With the wider of both intervals; of ratios as a factor."""
    low, high = found.bounds
    if endpoint.scale == "points":
        return change(replace(found, low=low, high=high), "points")
    if found.value is None:
        return "undefined"
    factor, *bounds = (
        "unbounded" if of is None else number(float(np.exp(of))) for of in (found.value, low, high)
    )
    return f"a factor of {factor} [{', '.join(bounds)}]"


def _margin(endpoint: Endpoint) -> str:
    if endpoint.scale == "points":
        return f"{100 * endpoint.margin:g} points"
    return f"a factor of {endpoint.margin:g}"
