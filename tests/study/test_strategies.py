"""Which way to use few real people: the rule on simulated models, and a whole small study."""

from __future__ import annotations

import json

import numpy as np
import pytest
from simulated import Chance, Simulation, student

from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.files import read_json
from evenface.study.answers import summarise
from evenface.study.cells import cells
from evenface.study.claim_settings import ClaimSettings
from evenface.study.plan import plan_study
from evenface.study.run import run_study
from evenface.study.settings import recipe_settings
from evenface.study.spec import load_study, own_faces
from evenface.study.strategies import ALONE, FINE_TUNED, MIXED, Placed
from evenface.study.students import student_recipe

QUIET = Chance(own=0.004, training=0.001, training_of_group=0.0005, rest=0.004)
LOUD = Chance(people=0.03, own=0.02, training=0.01, training_of_group=0.01, rest=0.02)
SHIFT = (-0.03, 0.0, 0.02)
WAYS = {"real": ALONE, "mix": MIXED, "tuned": FINE_TUNED}


def compared(truth, *, seeds=3, chance=QUIET, teacher=None):
    """The entry of students with these mean accuracies, by (way, people)."""
    simulation = Simulation(chance, 0)
    arms, evaluations, placed = [], {}, {}
    for (way, people), mean in truth.items():
        name = f"{way}-{people}"
        arm = student(name, teacher, seeds=range(seeds))
        arms.append(arm)
        placed[name] = Placed(WAYS[way], people)
        evaluations[arm.id] = {"groups": simulation.evaluations([mean + s for s in SHIFT], seeds)}
    found = summarise(
        arms, evaluations, strategies=placed, rules=[], settings=ClaimSettings()
    ).strategies
    (entry,) = found
    return entry


FEW = {("real", 10): 0.6, ("mix", 10): 0.7, ("tuned", 10): 0.8}
SOME = {("real", 50): 0.75, ("mix", 50): 0.80, ("tuned", 50): 0.85}
MANY = {("real", 200): 0.9, ("mix", 200): 0.85, ("tuned", 200): 0.87}


def test_the_best_way_changes_with_the_number_of_people():
    entry = compared(FEW | SOME | MANY)
    assert entry.statement == (
        "The worst group is most accurate with pretraining and fine-tuning for 10 to 50 real "
        "people (shown), and with real faces alone from 200 real people on (shown)."
    )
    assert [(c.people, c.best, c.shown) for c in entry.choices] == [
        (10, FINE_TUNED, True), (50, FINE_TUNED, True), (200, ALONE, True),
    ]  # fmt: skip
    gains = entry.choices[0].gains
    assert set(gains) == {ALONE, MIXED}
    assert gains[ALONE].value == pytest.approx(0.2, abs=0.02)
    assert gains[ALONE].low <= gains[ALONE].value <= gains[ALONE].high
    assert len(entry.points) == 9


def test_chance_is_no_best_way():
    close = {key: 0.8 + 0.001 * n for n, key in enumerate([*FEW, *MANY])}
    entry = compared(close, chance=LOUD)
    assert not any(choice.shown for choice in entry.choices)
    assert "not shown: chance may be why" in entry.statement


def test_one_way_that_ties_is_enough_to_show_nothing():
    entry = compared({**FEW, ("mix", 10): 0.8})
    assert [choice.shown for choice in entry.choices] == [False]


def test_few_seeds_decide_nothing():
    entry = compared(FEW | MANY, seeds=2)
    assert not any(choice.shown for choice in entry.choices)
    assert entry.statement.endswith("Nothing is decided: there are fewer than 3 training seeds.")


def test_numbers_with_one_way_only_are_shown_and_not_compared():
    entry = compared(FEW | {("real", 500): 0.95})
    assert [choice.people for choice in entry.choices] == [10]
    assert entry.points[-1].people == 500


# --- a whole study ------------------------------------------------------------------------------

PRETRAINED = {
    "set": "synthetic",
    "overrides": {"pretrain.share": 0.5, "head.start": "own", "optimizer.backbone_rate": 0.1},
}
SETS = {
    "synthetic": {"kind": "synthetic"},
    "real-4": {"kind": "real", "identities": 4},
    "mix-4": {"kind": "mix", "real_fraction": 0.5, "identities": 8},
    "tuned-4": {"kind": "real", "identities": 4, "pretrained": PRETRAINED},
    "real-8": {"kind": "real"},
    "tuned-8": {"kind": "real", "pretrained": PRETRAINED},
}
OVERRIDES = {
    "student.overrides": {
        "schedule.steps": 6, "schedule.warmup_steps": 1, "batch_size": 8, "log_every": 2,
    },
    "training_seeds": [0, 1],
    "evaluation.real_people": [],
    "evaluation.replicates": 100,
    "evaluation.folds": 2,
    "claims": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def spec(face_folders, teacher_file):
    folders = own_faces(face_folders["real"], face_folders["synthetic"])
    changes = {"teachers": [str(teacher_file)], "training_sets": SETS}
    return load_study("smoke", folders | changes | OVERRIDES)


@pytest.fixture(scope="module")
def finished(spec, tmp_path_factory):
    out = tmp_path_factory.mktemp("little") / "study"
    run_study(spec, out, command="evenface study run …")
    return out


def test_a_study_compares_the_ways(spec, finished):
    results = json.loads((finished / "results.json").read_text("utf-8"))
    models = {model["id"]: model for model in results["models"] if model["kind"] == "student"}
    assert len(models) == 2 * len(SETS)
    assert {model["steps"] for model in models.values()} == {6}  # in both parts together
    plain, distilled = results["strategies"]
    assert (plain["teacher"], distilled["teacher"]) == (None, "toy-teacher")
    ways = {(point["people"], point["strategy"]): point["set"] for point in plain["points"]}
    assert ways == {
        (4, ALONE): "real-4", (4, MIXED): "mix-4", (4, FINE_TUNED): "tuned-4",
        (8, ALONE): "real-8", (8, FINE_TUNED): "tuned-8",
    }  # fmt: skip
    page = (finished / "report.html").read_text("utf-8")
    assert "Which way to use few real people?" in page
    assert "Nothing is decided: there are fewer than 3 training seeds." in page
    assert "after pretraining on" in json.dumps(results["sets"])


@pytest.mark.parametrize("arm", ["plain", "kd-toy-teacher"])
def test_a_run_pretrains_on_the_other_set(finished, arm):
    run = finished / "runs" / f"tuned-4-{arm}-s1"
    record, first = read_json(run / "run.json"), read_json(run / "pretraining" / "run.json")
    sets = {n: Manifest.read(finished / "sets" / n) for n in ("tuned-4", "synthetic")}
    assert record["data_fingerprint"] == sets["tuned-4"].fingerprint
    assert first["data_fingerprint"] == sets["synthetic"].fingerprint
    assert (first["teacher_fingerprint"] is None) == (arm == "plain")
    assert (first["steps"], record["steps"]) == (3, 6)
    assert set(sets["tuned-4"].column("origin")) == {"real"}
    assert np.isfinite(list(first["final"].values())).all()


def test_the_study_knows_that_it_is_finished(spec, finished):
    plan = plan_study(spec, finished)
    assert {run.state for run in plan.runs} == {"finished"}
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("weights.safetensors")}
    run_study(spec, finished, command="evenface study run …")
    assert before == {p: p.stat().st_mtime_ns for p in finished.rglob("weights.safetensors")}


def test_another_share_is_another_run(spec, finished):
    tuned = {**PRETRAINED, "overrides": {**PRETRAINED["overrides"], "pretrain.share": 0.34}}
    changed = spec.model_dump(mode="json")
    changed["training_sets"]["tuned-8"]["pretrained"] = tuned
    plan = plan_study(load_study(changed), finished)
    todo = {run.name for run in plan.runs if run.state == "to do"}
    assert todo == {f"tuned-8-{a}-s{s}" for a in ("plain", "kd-toy-teacher") for s in (0, 1)}


def test_what_sets_change_is_no_path(spec):
    [cell] = [of for of in cells(spec) if of.id == "tuned-8-plain"]
    recipe = student_recipe(spec, "x", overrides=cell.overrides, seed=0, size=8)
    assert recipe_settings(recipe)["pretrain.set"] == "synthetic"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training_sets.tuned-4.pretrained.set": "nobody"}, "'nobody' is no training set without"),
        ({"training_sets.tuned-4.pretrained.set": "tuned-8"}, "there are synthetic, real-4, mix-4"),
    ],
)
def test_pretraining_needs_a_set_of_its_own(spec, changes, message):
    with pytest.raises(UsageError, match=message):
        load_study(spec.model_dump(mode="json"), changes)


def test_the_study_of_the_package_has_equal_steps_and_nested_people():
    study = load_study("little-real")
    steps = {
        student_recipe(study, "x", overrides=c.overrides, seed=0, size=8).schedule.steps
        for c in cells(study)
    }
    assert steps == {500}
    ways = {name.split("-")[0] for name in study.training_sets}
    assert ways == {"synthetic", "real", "mix", "tuned"}
    for name, of in study.training_sets.items():
        assert of.groups == {}  # so the smaller sets are parts of the larger
        if of.kind == "mix":
            assert round(of.real_fraction * of.identities) == int(name[-3:])
