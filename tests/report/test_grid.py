"""Which students of a grid belong together, and what is said of all of them."""

from __future__ import annotations

from typing import Any

import pytest
from fabricated import fabricated_results
from fabricated_grid import SLICES, grid_results

from evenface.report.drawings.intervals import front
from evenface.report.study.claims import collect_claims, subject_of
from evenface.report.study.grid import levels_title, slices
from evenface.report.study.models import lost_runs, model_sections, no_evaluation
from evenface.report.study.names import readable
from evenface.study.record import Results


def read(results: dict[str, Any]) -> Results:
    return Results.parse(results)


def test_slices_pair_students_that_differ_in_distillation_only() -> None:
    found = slices(read(grid_results()))
    assert [of.title for of in found] == [
        "mini_l, elasticarcface",
        "mini_l, adaface",
        "mini_m, elasticarcface",
        "mini_s, elasticarcface",
    ]
    assert [len(of.pairings) for of in found] == [5, 1, 5, 5]
    for of in found:
        for pairing in of.pairings:
            assert pairing.plain is not None
            assert pairing.distilled is not None
            assert not pairing.plain.kd
            assert pairing.distilled.kd
            assert pairing.plain.set == pairing.distilled.set == pairing.set
            assert pairing.plain.levels == pairing.distilled.levels == of.levels


def test_levels_of_distillation_share_a_student_without_it() -> None:
    results = fabricated_results()
    plain = next(m for m in results["models"] if m["id"] == "real-plain")
    kd = next(m for m in results["models"] if m["id"] == "real-kd-study")
    results["models"] = [
        plain,
        *(
            {**kd, "id": f"real-{loss}-kd-study", "levels": {"loss": loss}}
            for loss in ("rkd", "sp")
        ),
    ]
    results["study"]["factors"] = {"loss": ["sp", "rkd"]}
    study = read(results)
    assert study.distillation_factors == {"loss"}
    found = slices(study)
    assert [of.title for of in found] == ["sp", "rkd"]
    assert [of.pairings[0].plain for of in found] == [study.students[0]] * 2


def test_student_without_partner_has_a_place() -> None:
    results = grid_results()
    results["models"] = [m for m in results["models"] if not (m["kd"] and m["head"] == "adaface")]
    last = slices(read(results))[1]
    assert last.title == "mini_l, adaface"
    assert last.pairings[0].distilled is None


def test_study_without_factors_has_one_slice_for_each_teacher() -> None:
    found = slices(read(fabricated_results()))
    assert [of.title for of in found] == ["KD from study teacher", "KD from sface"]
    one = fabricated_results()
    one["models"] = [m for m in one["models"] if m["teacher"] != "sface"]
    assert [of.title for of in slices(read(one))] == [""]


def test_models_stand_by_set_then_levels_then_distillation() -> None:
    sections = model_sections(read(grid_results()))
    assert [len(section) for section in sections] == [8, 6, 6, 6, 6, 2]
    assert [model.title for model in sections[0][:4]] == [
        "balanced, mini_l, elasticarcface, without KD",
        "balanced, mini_l, elasticarcface, KD from study",
        "balanced, mini_l, adaface, without KD",
        "balanced, mini_l, adaface, KD from study",
    ]


def test_factor_of_one_level_is_in_no_title() -> None:
    results = grid_results()
    for model in results["models"][:-2]:
        model["levels"] = {**model["levels"], "schedule": "short"}
    study = read(results)
    assert study.factors["schedule"] == ("short",)
    assert levels_title(study, study.students[0].levels) == "mini_l, elasticarcface"


def test_holes_say_what_failed() -> None:
    study = read(grid_results())
    by_id = {model.id: model for model in study.models}
    failed = by_id[study.failures[0].model]
    assert "its runs failed; seeds 0, 1, 2: the loss is not finite" in no_evaluation(study, failed)
    assert lost_runs(study, failed) == "0 of 3 runs: seeds 0, 1, 2 failed"
    assert lost_runs(study, by_id[study.failures[-1].model]) == "2 of 3 runs: seed 2 failed"
    assert lost_runs(study, study.students[0]) == ""


@pytest.mark.parametrize(
    ("identifier", "levels", "subject"),
    [
        ("kd-raises-accuracy:synthetic-mix:mini_l-adaface", SLICES[3], "synthetic-mix"),
        ("gap-closed:mini_l-adaface", SLICES[3], ""),
        ("mix-matches-real:mix-a:mix-b:mini_l-adaface", SLICES[3], "mix-a, mix-b"),
        ("kd-raises-accuracy:real", {}, "real"),
        ("gap-closed", {}, ""),
    ],
)
def test_claims_are_about(identifier: str, levels: dict[str, str], subject: str) -> None:
    results = grid_results()
    results["claims"] = [{**results["claims"][0], "id": identifier, "levels": levels}]
    study = read(results)
    assert subject_of(study, study.claims[0]) == subject


def test_questions_come_rule_by_rule() -> None:
    claims = collect_claims(readable(read(grid_results())))
    found = {rule.name: len(rule.questions) for rule in claims.rules}
    assert found == {
        "kd-raises-accuracy-everywhere": 1,
        "kd-helps-on-average": 1,
        "kd-raises-accuracy": 16,
        "kd-lowers-unevenness": 16,
        "gap-closed-synthetic": 6,
        "mix-matches-real": 6,
        "level-beats-baseline": 6,
    }
    raises = claims.rules[2]
    assert raises.tally == "13 supported, 3 undecided"
    assert raises.questions[0].subject == "balanced, mini_l, elasticarcface"
    assert len(claims.levels) == 6
    assert [(c.title, c.detail) for c in claims.circles] == [
        ("held-out rendered identities", ""),
        ("held-out look: studio", ""),
    ]


def test_front_holds_what_nothing_cheaper_beats() -> None:
    points = [(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (3.0, 0.8), (4.0, 0.9), (2.0, 0.7)]
    assert front(points) == [(1.0, 0.5), (2.0, 0.7), (3.0, 0.9)]


def test_results_of_the_second_layout_are_read() -> None:
    results = fabricated_results()
    assert results["schema"] == 2
    study = read(results)
    assert study.factors == {}
    assert study.sweep == study.failures == ()
