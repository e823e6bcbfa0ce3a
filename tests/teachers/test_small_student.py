"""The recogniser that comes with the package is whole, small, and what its card says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from evenface.files import read_json, sha256_file
from evenface.models import create_backbone
from evenface.recogniser import Recogniser
from evenface.teachers import load_teacher
from evenface.teachers.small import small_folder
from evenface.train import load_recipe

PLAN = yaml.safe_load((Path(__file__).parents[2] / "tools" / "flagship.yaml").read_text("utf-8"))
CACHED = {"distill.cache": "cache", "distill.teacher": None}
MODELS = ("small", "small-int8")


@pytest.fixture
def faces():
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (6, 14, 14, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize("name", MODELS)
def test_it_embeds_any_number_of_faces_as_its_weights_do(name, faces):
    model = load_teacher(name)
    assert model.name == name
    weights = load_teacher(small_folder())
    for count in (1, 2, 6):
        embeddings = model.embed(faces[:count])
        expected = weights.embed(faces[:count])
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        cosines = (embeddings * expected).sum(axis=1)
        assert cosines.min() > (0.9 if name.endswith("int8") else 0.9999)


def test_it_has_at_most_1_3_million_parameters_and_few_megabytes():
    record = read_json(small_folder() / "run.json")
    backbone = create_backbone(record["backbone"], embedding_size=record["embedding_size"])
    assert sum(p.numel() for p in backbone.parameters()) == record["parameters"] <= 1_300_000
    assert (small_folder() / "small-int8.onnx").stat().st_size < 2_000_000


@pytest.mark.parametrize("name", MODELS)
def test_it_has_an_operating_point_that_says_it_is_simulated(name):
    point = Recogniser.load(name).operating_point
    assert point is not None
    assert point.simulated
    assert -1 < point.threshold < 1


def test_its_record_is_that_of_its_recipe():
    record = read_json(small_folder() / "run.json")
    recipe = load_recipe(PLAN["recipe"], CACHED)
    expected = recipe.fingerprint(record["data_fingerprint"], record["teacher_fingerprint"])
    assert record["fingerprint"] == expected


def test_files_card_and_weights_belong_together():
    digest = sha256_file(small_folder() / "weights.safetensors")
    card = (small_folder() / "README.md").read_text("utf-8")
    assert digest in card
    for name in MODELS:
        assert load_teacher(name).record.weights == digest


@pytest.mark.parametrize(
    "says", ["has seen no photograph of anybody", "we cannot verify", "ORL", "simulated"]
)
def test_its_card_says(says):
    assert says in (small_folder() / "README.md").read_text("utf-8")


def test_it_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from evenface import Recogniser\n"
        "print(Recogniser.load('small').embed(np.zeros((1, 112, 112, 3), np.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 128)", done.stderr


@pytest.mark.parametrize("trial", [*PLAN["trials"], *PLAN["curve"], PLAN["final"]], ids=str)
def test_every_trial_of_the_plan_is_a_recipe(trial):
    overrides = PLAN["trial"] | trial.get("set", {})
    online = overrides.pop("online", False)
    overrides |= {"distill.teacher": PLAN["teacher"]} if online else CACHED
    recipe = load_recipe(PLAN["recipe"], overrides)
    assert recipe.distill is not None


def test_validation_and_audit_are_of_people_whom_no_trial_sees():
    learnt = {"camera", "plain", "calibration"}
    for name, faces in PLAN["faces"].items():
        assert (faces["split"] == "train") == (name in learnt), json.dumps(faces)
    assert PLAN["faces"]["validation"]["look"] == "studio"
    looks = {PLAN["faces"][name]["look"] for name in learnt}
    assert "studio" not in looks
