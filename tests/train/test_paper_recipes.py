"""The paper's recipes, with and without what its code does questionably."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evenface.errors import UsageError
from evenface.models import create_head, list_heads
from evenface.study.spec import load_study
from evenface.study.students import teacher_recipe
from evenface.train import list_recipes, load_recipe
from evenface.train.batches import BatchSource

# Point of docs/faithful.md → key → (faithful, corrected). Point 7, which teacher, is the caller's.
HEADS = {
    "adaface": {"norms": ("unit", None), "t_alpha": (1.0, None)},
    "arcface": {"angle": ("acos", None)},
    "combined": {},
    "cosface": {"m": (0.5, None)},
    "curricularface": {},
    "elasticarcface": {"angle": ("acos", None)},
    "elasticarcface_plus": {"angle": ("acos", None), "assign": ("published", None)},
    "elasticcosface": {},
    "elasticcosface_plus": {"assign": ("published", None)},
    "magface": {},
    "normface": {},
}
STUDENT = {
    "flip": ("real", True),
    "target_view": ("original", "same"),
    "backbone.dropout": ("published", 0.0),
}
SAID = {"name", "head.published"}
"""Keys that differ, but change nothing by themselves."""


def flat(content, path=""):
    result = {}
    for key, value in content.items():
        if isinstance(value, dict):
            result |= flat(value, f"{path}{key}.")
        else:
            result[path + key] = value
    return result


def differences(role, overrides):
    faithful, corrected = (
        flat(load_recipe(f"{role}-paper-{which}", overrides).model_dump(mode="json"))
        for which in ("faithful", "corrected")
    )
    return {
        key: (faithful.get(key), corrected.get(key))
        for key in faithful.keys() | corrected.keys()
        if faithful.get(key) != corrected.get(key) and key not in SAID
    }


@pytest.mark.parametrize("head", list_heads())
@pytest.mark.parametrize("role", ["student", "teacher"])
def test_recipes_differ_in_the_named_options_and_nothing_else(role, head):
    expected = {f"head.options.{key}": values for key, values in HEADS[head].items()}
    if role == "student":
        expected |= STUDENT
    assert differences(role, {"head.name": head}) == expected


@pytest.mark.parametrize("name", [name for name in list_recipes() if "paper" in name])
@pytest.mark.parametrize(("teacher", "expected"), [(None, 512), (512, 512), (128, 128)])
def test_the_embedding_size_follows_the_teacher(name, teacher, expected):
    """512, as in the paper, unless the teacher has another."""
    recipe = load_recipe(name)
    assert recipe.backbone.embedding_size is None
    settled = recipe.with_embedding_size(teacher)
    assert settled.backbone.embedding_size == expected
    assert settled.model_dump(exclude={"backbone"}) == recipe.model_dump(exclude={"backbone"})


def test_studies_settle_the_size_of_a_teacher_that_they_train():
    (given,) = (spec := load_study("paper")).teachers
    assert teacher_recipe(spec, given).backbone.embedding_size == 512
    started = given.model_copy(update={"overrides": {"backbone.start": "runs/a"}})
    assert teacher_recipe(spec, started).backbone.embedding_size is None  # that run's


@pytest.mark.parametrize("head", [name for name in HEADS if HEADS[name]])
def test_every_published_option_can_be_made_and_ablated(head):
    recipe = load_recipe("student-paper-faithful", {"head.name": head})
    create_head(head, embedding_size=8, num_identities=3, **recipe.head.options)
    for key in HEADS[head]:
        other = 0.35 if key in ("m", "t_alpha") else {"norms": "features"}.get(key, "rank")
        other = "safe" if key == "angle" else other
        ablated = load_recipe(
            "student-paper-faithful", {"head.name": head, f"head.options.{key}": other}
        )
        assert ablated.head.options == {**recipe.head.options, key: other}


def test_a_resolved_recipe_reads_back_as_itself():
    recipe = load_recipe("student-paper-faithful", {"head.name": "adaface"})
    again = type(recipe).model_validate(recipe.model_dump(mode="json"))
    assert again == recipe
    written_out = recipe.model_copy(
        update={"head": recipe.head.model_copy(update={"published": False})}
    )
    assert written_out.fingerprint("d", None) == recipe.fingerprint("d", None)


@pytest.mark.parametrize(
    ("backbone", "rate"), [("iresnet50", 0.4), ("iresnet34", 0.0), ("iresnet100", 0.0)]
)
def test_published_dropout_depends_on_the_backbone(backbone, rate):
    recipe = load_recipe("student-paper-faithful", {"backbone.name": backbone})
    assert recipe.backbone.dropout_rate == rate
    plain = load_recipe(
        "student-paper-faithful", {"backbone.name": backbone, "backbone.dropout": rate}
    )
    assert plain.fingerprint("d", None) == recipe.fingerprint("d", None)


def test_other_words_for_dropout_are_refused():
    with pytest.raises(UsageError, match=r"backbone\.dropout"):
        load_recipe("student-paper-faithful", {"backbone.dropout": "some"})


def test_only_real_images_are_mirrored(manifest, cache):
    origins = np.where(np.arange(len(manifest)) % 2, "real", "synthetic")
    mixed = manifest.with_column("origin", origins)
    options = {"batch_size": 30, "seed": 0}
    always = BatchSource(mixed, cache, flip=True, **options)
    published = BatchSource(mixed, cache, flip="real", **options)
    mirrored = 0
    for step in range(3):
        batch, seen = published.batch(step), always.batch(step)
        plain = mixed.images(batch.rows)
        real = origins[batch.rows] == "real"
        assert np.array_equal(batch.images[~real], plain[~real])
        assert np.array_equal(batch.images[real], seen.images[real])
        mirrored += int((batch.images[real] != plain[real]).any(axis=(1, 2, 3)).sum())
        assert np.array_equal(batch.targets[real], seen.targets[real])
    assert mirrored > 10


def test_the_target_can_stay_that_of_the_image_as_it_is(manifest, cache):
    options = {"batch_size": 30, "seed": 0, "flip": True}
    source = BatchSource(manifest, cache, target_view="original", **options)
    batch, seen = source.batch(0), BatchSource(manifest, cache, **options).batch(0)
    assert np.array_equal(batch.images, seen.images)
    assert np.array_equal(batch.targets, cache.view("original")[batch.rows])
    assert not np.array_equal(batch.targets, seen.targets)


def test_an_online_teacher_sees_what_the_student_sees(make_recipe):
    with pytest.raises(ValueError, match=r"target_view 'original' needs distill\.cache"):
        make_recipe(distill={"teacher": {"source": "sface"}}, target_view="original")


def test_an_online_teacher_gets_its_channels_in_its_order():
    from evenface.train.online import NetworkTeacher

    class Means(torch.nn.Module):
        def forward(self, images):
            return images.mean(dim=(2, 3))

    class Named:
        name, embedding_size, fingerprint = "means", 3, "means-1"

    pixels = torch.zeros(2, 112, 112, 3, dtype=torch.uint8)
    pixels[..., 0] = 255
    red_first = NetworkTeacher(Named(), Means()).embed(pixels)
    blue_first = NetworkTeacher(Named(), Means(), "BGR").embed(pixels)
    assert red_first[0].tolist() == [1, -1, -1]
    assert blue_first[0].tolist() == [-1, -1, 1]
