"""Which students of a grid belong together, and what is said of all of them."""

from __future__ import annotations

from typing import Any

import pytest
from fabricated import fabricated_results
from fabricated_grid import SLICES, grid_results

from evenface.report.claims import collect_claims, subject_of
from evenface.report.figures import front
from evenface.report.grid import levels_title, slices
from evenface.report.models import lost_runs, model_sections, no_evaluation
from evenface.report.schema import ClaimTest, Results
from evenface.report.strip import strips
from evenface.report.summary import paragraph, summary_table


def read(results: dict[str, Any]) -> Results:
    return Results.model_validate(results)


def headline(results: dict[str, Any]) -> str:
    study = read(results)
    assert study.main is not None
    return paragraph(study, study.main)


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


def test_headline_counts_what_the_results_hold() -> None:
    said = headline(grid_results())
    # Of sixteen pairs one has no student with KD.
    assert "by +2.37 points [+1.87, +2.87] on average over 15 pairs" in said
    assert "from +0.37 (mix-equal-img, mini_l, elasticarcface) to +4.89 (synthetic, mini_s" in said
    assert "That every group gains is supported in 13 of 16; undecided in 3." in said
    assert "synthetic faces with KD make up 69 to 73 %, supported in 6 of 6." in said
    assert "mix-equal-ids in 3 of 3 and mix-equal-img in 0 of 3 (undecided in 3)" in said
    assert "STD falls in 15 of 15 (none beyond chance)" in said
    assert "Without KD, 50 % real faces are shown to keep the worst group within 1.0" in said
    assert "teacher, synthetic faces alone are shown to keep the worst group within 1.0" in said
    assert "4 runs failed" in said


def test_headline_of_a_study_without_a_grid() -> None:
    said = headline(fabricated_results())
    # (1.8 + 3.1 + 1.2) / 3 points, times 1 + 25 · the mean offset of groups, 0.001.
    assert "from study teacher changes mean accuracy over groups by +2.08 points" in said
    assert "From sface it changes by +1.25 points on average" in said
    assert "With KD on both, that gap shrinks by 62 % [37, 87] (undecided)." in said
    assert "With KD, a mix matches real faces with KD: the mix (undefined)." in said


def test_nothing_is_decided_by_fewer_seeds_than_verdicts_need() -> None:
    results = grid_results()
    results["study"]["seeds"] = [0, 1]
    study = read(results)
    assert study.main is not None
    table = summary_table(study, study.main)
    assert table is not None
    column = [column.text for column in table.columns].index("verdict") - 1
    assert {row.cells[column].text for row in table.rows} == {"undecided", "–"}
    assert "the difference is decided in 0 of 15" in headline(results)


def test_summary_table_has_every_pair_with_its_verdict() -> None:
    study = read(grid_results())
    assert study.main is not None
    table = summary_table(study, study.main)
    assert table is not None
    assert len(table.rows) == 16
    texts = [cell.text for cell in table.rows[0].cells]
    assert texts == [
        "91.30",
        "93.07",
        "+1.77",
        "decided",
        "89.80",
        "92.02",
        "3 of 3 (3)",
        "1.32 → 0.93",
    ]
    assert table.rows[-1].cells[1].text == "–"
    assert "its runs failed" in table.notes[0]
    assert summary_table(read({**fabricated_results(), "models": []}), study.main) is None


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


def test_verdicts_of_slices_come_in_a_matrix() -> None:
    claims = collect_claims(read(grid_results()))
    assert claims.matrix.columns == [
        "mini_l, elasticarcface",
        "mini_l, adaface",
        "mini_m, elasticarcface",
        "mini_s, elasticarcface",
    ]
    assert [rule.name for rule in claims.matrix.rules] == [
        "kd-raises-accuracy",
        "kd-lowers-unevenness",
        "gap-closed-synthetic",
        "mix-matches-real",
    ]
    raises = claims.matrix.rules[0]
    assert raises.tally == [(13, "supported"), (3, "undecided")]
    assert [[len(cell) for cell in row.cells] for row in raises.rows] == [
        [1, 1, 1, 1],
        *[[1, 0, 1, 1]] * 4,
    ]
    assert [shown.claim.id for shown in claims.whole] == [
        "kd-raises-accuracy-everywhere",
        "kd-helps-on-average",
    ]
    assert len(claims.levels) == 6
    everything = len(claims.main.claims)
    assert everything == 16 + 16 + 6 + 6 + 2 + 6


def test_claims_of_a_small_study_are_read_one_by_one() -> None:
    claims = collect_claims(read(fabricated_results()))
    assert claims.whole == claims.main.claims
    assert claims.matrix.rules == []


def test_figure_of_a_claim_has_its_tests_by_unit() -> None:
    tests = [
        ClaimTest(label="a <b>", value=0.01, low=0.004, high=0.02, unit="points"),
        ClaimTest(label="c", value=-0.3, low=-0.5, high=0.1, unit="ratio"),
        ClaimTest(label="d", value=None, unit="points"),
        ClaimTest(label="e", value=0.0, unit="points"),
    ]
    points, ratio = strips(tests)
    assert "a &lt;b&gt; +1.00, e 0.00" in points
    assert points.count("<circle") == 2
    assert points.count('class="span"') == 1  # e has no interval
    assert points.count("hollow") == 1
    assert "percentage points" in points
    assert "c −0.30" in ratio
    assert strips([]) == []


def test_front_holds_what_nothing_cheaper_beats() -> None:
    points = [(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (3.0, 0.8), (4.0, 0.9), (2.0, 0.7)]
    assert front(points) == [(1.0, 0.5), (2.0, 0.7), (3.0, 0.9)]


def test_results_of_the_second_layout_are_read() -> None:
    results = fabricated_results()
    assert results["schema"] == 2
    study = read(results)
    assert study.factors == {}
    assert study.sweep == study.failures == ()
