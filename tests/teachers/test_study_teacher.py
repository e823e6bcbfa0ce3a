"""The teacher that comes with the package is whole, is what its card says, and is small."""

from __future__ import annotations

import numpy as np
import pytest

from evenface.files import read_json, sha256_file
from evenface.models import create_backbone
from evenface.study.spec import STUDY_TEACHER, load_study
from evenface.teachers import load_teacher
from evenface.teachers.study import study_teacher_folder
from evenface.train import load_recipe


def test_it_embeds_faces_of_any_number():
    teacher = load_teacher("study")
    assert teacher.name == STUDY_TEACHER
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3)).astype(np.uint8)
    embeddings = teacher.embed(faces)
    assert embeddings.shape == (3, teacher.embedding_size)
    np.testing.assert_allclose(teacher.embed(faces[:1]), embeddings[:1], rtol=1e-4, atol=1e-4)


def test_it_is_clearly_larger_than_the_students_and_at_most_8_mb():
    weights = study_teacher_folder() / "weights.safetensors"
    assert weights.stat().st_size <= 8_000_000
    record = read_json(study_teacher_folder() / "run.json")
    student = create_backbone(load_recipe(load_study("quick").student.recipe).backbone.name)
    assert record["parameters"] > 4 * sum(p.numel() for p in student.parameters())


def test_its_record_is_that_of_its_recipe():
    record = read_json(study_teacher_folder() / "run.json")
    recipe = load_recipe("teacher-study")
    assert record["fingerprint"] == recipe.fingerprint(record["data_fingerprint"], None)
    assert record["finished"] is True


@pytest.mark.parametrize(
    "says", ["Everything here is simulated", "do not use it on any", "Apache-2.0", "make teacher"]
)
def test_its_card_says(says):
    assert says in (study_teacher_folder() / "README.md").read_text("utf-8")


def test_its_card_names_these_weights():
    digest = sha256_file(study_teacher_folder() / "weights.safetensors")
    assert digest in (study_teacher_folder() / "README.md").read_text("utf-8")
