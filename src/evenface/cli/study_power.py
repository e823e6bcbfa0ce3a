"""evenface study plan --power: what a study can decide."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from evenface.cli.common import print_table
from evenface.errors import UsageError
from evenface.study import STUDIES

if TYPE_CHECKING:
    from evenface.study.power_plan import Asked, Decidable, PowerPlan
    from evenface.study.spec import StudySpec
    from evenface.study.variance import Found

_UNITS = {"points": (100, " points"), "share": (100, " %"), "ratio": (1, "")}


def power_plan(
    spec: StudySpec,
    folder: Path,
    source: str | None,
    effects: list[str],
    people: int | None,
    pairs: int | None,
) -> PowerPlan:
    """What the study can decide, from the variances of a finished one or from the defaults.

    Args:
        spec: the study.
        folder: where it is or will be.
        source: a study's folder, name or ``results.json``; None for the defaults.
        effects: as :func:`evenface.study.power_plan.read_effect` reads them.
        people, pairs: of each group, instead of the planned numbers.
    """
    from evenface.console import progress
    from evenface.study.plan import plan_study
    from evenface.study.power_plan import plan_power, planned_test, questions, read_effect
    from evenface.study.variance import QUICK

    found = QUICK if source is None else _variances(source)
    size = plan_study(spec, folder).sizes["test"]
    design = planned_test(spec, found, size, people=people, pairs=pairs)
    asked = dict(map(read_effect, effects))
    with progress("simulate studies", len(questions(spec, found)), unit="claims") as bar:
        return plan_power(spec, design, found, asked, step=lambda _: bar.advance(1))


def _variances(source: str) -> Found:
    from evenface.study.record import read_results
    from evenface.study.run import RESULTS_NAME
    from evenface.study.variance import parts_of

    given = Path(source)
    places = [given, given / RESULTS_NAME, STUDIES / source / RESULTS_NAME]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise UsageError(
            f"--from {source}: no results there. Give the folder or name of a finished study, or a "
            "results.json"
        )
    return parts_of(read_results(path), str(path))


def print_power(found: PowerPlan, trained: int) -> None:
    """The plan as text; ``trained`` is how many training seeds the study has."""
    from evenface.console import out

    def say(text: str) -> None:
        out().print(text, markup=False, highlight=False)

    design = found.design
    say(
        f"What {found.study} can decide: {design.groups} groups of {design.people:,} test people, "
        f"{design.pairs:,} fold pairs a group, {design.seeds} training seeds."
    )
    if trained < design.seeds:
        say(
            f"It has {trained} training seed{'s' * (trained != 1)}, which decide nothing: "
            f"{design.seeds} are the least, and are assumed here."
        )
    say(f"{_chance(found)}\n")
    say("4 of 5 such studies decide a claim if:")
    print_table(("", ""), [(claim.rule, _decided(claim)) for claim in found.claims])
    for claim in found.claims:
        if claim.asked:
            say(
                f"\n{claim.rule}, if {_filled(claim, claim.asked.effect)}: this study decides it "
                f"in {100 * claim.asked.power:.0f} % of cases. What 4 of 5 take:"
            )
            print_table(
                ("training seeds", "people a group", "fold pairs a group"), _needed(claim.asked)
            )


def _chance(found: PowerPlan) -> str:
    design, parts = found.design, found.parts["accuracy"]
    people, pairs = parts.person / design.people**0.5, parts.pair / design.pairs**0.5
    return (
        f"Standard errors of one model's accuracy in a group, from {found.source}: "
        f"{100 * people:.2f} points from people, {100 * pairs:.2f} from pairs; between training "
        f"seeds {100 * parts.training:.2f} in all groups alike and "
        f"{100 * parts.training_of_group:.2f} in each."
    )


def _decided(claim: Decidable) -> str:
    if claim.most == 0:
        return "– (groups are alike in these results: give FROM:TO with --effect)"
    if claim.smallest is None:
        if claim.most is None:
            return "– (no effect is large enough)"
        most = _filled(claim, claim.most)
        return f"– ({most}: still only {100 * claim.power:.0f} %)"
    said = _filled(claim, claim.smallest, " or more")
    if claim.power_at_none is not None:
        said += f"; in {100 * claim.power_at_none:.0f} % of studies if nothing differs"
    return said


def _filled(claim: Decidable, effect: float, ending: str = "") -> str:
    from evenface.study.wording import number

    scale, unit = _UNITS[claim.unit]
    signed = claim.power_at_none is not None
    digits = {"points": 1, "share": 0, "ratio": 2}[claim.unit]
    return claim.effect.format(
        f"{number(scale * effect, digits=digits, sign=signed)}{unit}{ending}"
    )


def _needed(asked: Asked) -> list[tuple[str, str, str]]:
    return [
        (
            str(of.seeds),
            f"no number is enough (at most {100 * of.power:.0f} %)"
            if of.people is None
            else f"{of.people:,}",
            "–" if of.pairs is None else f"{of.pairs:,}",
        )
        for of in asked.needed
    ]


def as_json(found: PowerPlan) -> dict[str, object]:
    """The plan as data."""
    described = dataclasses.asdict(found)
    described["design"]["pairs"] = found.design.pairs
    described["parts"] = {name: of.model_dump() for name, of in found.parts.items()}
    return described
