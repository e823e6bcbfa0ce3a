"""Study files are validated before anything starts."""

from __future__ import annotations

import pytest
import yaml

from evenface import recipes
from evenface.errors import UsageError
from evenface.study.cells import cells
from evenface.study.from_python import choose_study
from evenface.study.spec import (
    list_studies,
    load_study,
    own_faces,
    teacher_id,
)
from evenface.study.students import student_recipe, teacher_recipe


@pytest.mark.parametrize("name", list_studies())
def test_named_studies_resolve(name):
    spec = load_study(name)
    assert spec.name == name
    assert spec.simulated == (not name.startswith("paper") or name == "paper-mini")


@pytest.mark.parametrize("name", ["paper", "paper-full"])
def test_which_teacher_depends_on_the_set_in_the_faithful_variant(name):
    def teachers(variant):
        spec = load_study(name, {"variant": variant})
        return spec, {(c.set, c.teacher) for c in cells(spec) if c.teacher}

    faithful, taught = teachers("faithful")
    elastic, ada = "elastic-teacher", "adaface-teacher"
    assert taught == {
        ("balanced", ada), ("synthetic", ada), ("synthetic-mix", ada),
        ("mix-equal-ids", elastic), ("mix-equal-img", elastic),
    }  # fmt: skip
    stops = {t.name: t.overrides["schedule.stop_epoch"] for t in faithful.teachers}
    # The published weights are those of steps 78,048 and 68,292, in epochs of ⌊1,248,932 / 256⌋.
    for teacher, step in ((elastic, 78_048), (ada, 68_292)):
        recipe = teacher_recipe(faithful, faithful.teachers[teacher == ada])
        assert recipe.steps(1_248_932) == step
        assert recipe.schedule.epochs == 26 > stops[teacher]
    corrected, taught = teachers("corrected")
    assert taught == {(name, "teacher") for name in corrected.training_sets}
    assert (corrected.epochs_of, faithful.epochs_of) == ("real", "set")


def test_epochs_are_those_of_the_real_faces_or_of_each_set():
    def steps(variant):
        spec = load_study("paper", {"variant": variant})
        recipe = student_recipe(spec, "a", overrides={}, seed=0, epoch_images=1280)
        return [recipe.steps(images) for images in (1280, 2560)]

    assert steps("corrected") == [26 * 10, 26 * 10]
    assert steps("faithful") == [26 * 10, 26 * 20]


def study_with_variants(tmp_path, variants, variant="short"):
    content = recipes.read("study", "smoke") | {"variant": variant, "variants": variants}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def test_a_variant_changes_keys_and_overrides_come_on_top(tmp_path):
    variants = {
        "short": {"training_seeds": [0], "faces.test.images_per_identity": 3},
        "long": {"training_seeds": [0, 1, 2, 3]},
    }
    source = study_with_variants(tmp_path, variants)
    short, long = load_study(source), load_study(source, {"variant": "long"})
    assert (short.training_seeds, long.training_seeds) == ((0,), (0, 1, 2, 3))
    assert short.faces.test.images_per_identity == 3
    assert long.faces.test.images_per_identity == 6
    assert load_study(source, {"training_seeds": [7]}).training_seeds == (7,)
    # What is recorded is a study of its own, whatever the variants.
    recorded = tmp_path / "study.yaml"
    recorded.write_text(yaml.safe_dump(long.model_dump(mode="json")), encoding="utf-8")
    assert load_study(str(recorded)) == long


def test_another_teacher_needs_other_constraints():
    changes = {"variant": "faithful", "teachers": ["sface"]}
    with pytest.raises(UsageError, match=r"teacher has no level adaface-teacher.* Change") as told:
        load_study("paper", changes)
    assert "got" not in str(told.value), "the whole file is no help"
    assert load_study("paper", changes | {"constraints": []}).teachers == ("sface",)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"long": {}}, "variant: no 'short'; there are long"),
        ({"short": {}, "long": {"teacher": []}}, "variants.long: a study has no key teacher"),
        ({"short": ["study"]}, "variants: expected, by name, the keys"),
        (["short"], "variants: expected, by name, the keys"),
        ({"short": {"training_seeds": "x"}}, "training_seeds"),
    ],
)
def test_bad_variants_are_named(tmp_path, variants, message):
    with pytest.raises(UsageError, match=message):
        load_study(study_with_variants(tmp_path, variants))


def test_own_real_faces_supply_the_tests(tmp_path):
    spec = load_study("quick", own_faces(tmp_path))
    assert spec.faces.real.kind == "folder"
    assert spec.faces.test.kind == "held-out"
    assert spec.faces.more_tests == {}
    assert spec.faces.synthetic.kind == "render"
    assert "rendered" not in spec.description


def test_own_test_faces(tmp_path):
    spec = load_study("quick", own_faces(tmp_path / "a", test=tmp_path / "b"))
    assert spec.faces.test.path == tmp_path / "b"


def test_settings_beside_own_faces_are_kept(tmp_path):
    changes = {
        "faces.group_by": "ethnicity",
        "faces.test.fraction": 0.5,
        "faces.real.align": "never",
    }
    spec = load_study("quick", own_faces(tmp_path) | changes)
    assert spec.faces.group_by == "ethnicity"
    assert spec.faces.test.fraction == 0.5
    assert spec.faces.real.align == "never"


def test_without_own_faces_nothing_changes():
    assert own_faces() == {}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"teacher": "sface"}, "did you mean 'teachers'"),
        ({"training_seeds": []}, "training_seeds"),
        ({"training_seeds": [1, 1]}, "training_seeds: 1, 1 are not all different"),
        ({"teachers": ["a/x.onnx", "b/x.onnx"]}, "teachers: x, x are not all different"),
        ({"training_sets": []}, "training_sets"),
        ({"training_sets": ["real", "real"]}, "training_sets: real, real are not all different"),
        ({"evaluation.pairs_per_group": 5}, "at least two a fold, 20; got 5"),
        ({"teachers": ["study"], "faces.real.split": "teacher"}, "the study teacher learnt from"),
        ({"mix.real_fraction": 1.5}, "real_fraction"),
        ({"faces.test.look": 3}, "look"),
        ({"faces.more_tests": {"orl": {"look": "camera", "identities_per_group": 2,
                                       "images_per_identity": 2}}}, "the name orl is taken"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(overrides, message):
    with pytest.raises(UsageError, match=message):
        load_study("smoke", overrides)


@pytest.mark.parametrize("name", ["real", "synthetic", "test", "groups"])
def test_further_tests_may_not_take_the_place_of_other_faces(name):
    faces = {"look": "camera", "identities_per_group": 2, "images_per_identity": 2}
    with pytest.raises(UsageError, match=f"the name {name} is taken"):
        load_study("smoke", {"faces.more_tests": {name: faces}})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sface", "sface"),
        ("runs/Teacher Big.v2", "teacher-big"),
        ("/a/IR100 (BUPT).onnx", "ir100-bupt"),
        ("§.onnx", "teacher"),
    ],
)
def test_teachers_are_called_by_their_stem(given, expected):
    assert teacher_id(given) == expected


def test_published_tests_stay_with_own_faces(tmp_path):
    assert choose_study("quick", real=tmp_path / "r").faces.test.kind == "held-out"
    spec = choose_study("paper", real=tmp_path / "r", synthetic=tmp_path / "s")
    assert spec.faces.real.path == tmp_path / "r"
    assert spec.faces.test.kind == "protocol"
    assert list(spec.faces.more_tests) == ["lfw", "cfp-fp", "cplfw", "calfw", "agedb-30"]
    assert spec.description == load_study("paper").description


@pytest.mark.parametrize("made", ["lfw.bin", "txts/", "asian_test.bin"])
def test_own_tests_may_be_published_sets(made, tmp_path):
    if made.endswith("/"):
        (tmp_path / made).mkdir()
    else:
        (tmp_path / made).touch()
    given = tmp_path / made if made == "lfw.bin" else tmp_path
    spec = load_study("quick", own_faces(tmp_path, test=given))
    assert spec.faces.test.kind == "protocol"
    assert spec.faces.test.spec == str(given)


def test_a_list_of_wrong_labels_makes_a_mix_with_each():
    shares = {"training_sets.mix-equal-ids.wrong_labels": [0, 0.05, 0.2]}
    sets = load_study("paper", shares).training_sets
    assert list(sets)[3:6] == ["mix-equal-ids", "mix-equal-ids-wrong-05", "mix-equal-ids-wrong-20"]
    assert sets["mix-equal-ids"] == load_study("paper").training_sets["mix-equal-ids"]
    assert sets["mix-equal-ids-wrong-20"].wrong_labels == 0.2
    assert set(load_study("labels").training_sets) == {
        *("mix", "mix-wrong-05", "mix-wrong-10", "mix-wrong-20")
    }
    with pytest.raises(UsageError, match=r"mix-equal-ids-wrong-x.*wrong_labels"):
        load_study("paper", {"training_sets.mix-equal-ids.wrong_labels": ["x"]})
