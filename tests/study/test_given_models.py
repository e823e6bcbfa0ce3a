"""Models that a lab has already are arms of a study that trains nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from evenface.data.manifest import Manifest
from evenface.errors import EvenfaceError, UsageError
from evenface.evaluate import Pairs, Protocol
from evenface.evaluate.embeddings import unit_length
from evenface.evaluate.protocols import PROTOCOL_NAME
from evenface.study.given import levels_of_given
from evenface.study.plan import plan_study
from evenface.study.run import run_study
from evenface.study.spec import GivenModel, StudySpec, load_study
from evenface.teachers import load_teacher
from pattern_people import write_people
from toy_onnx import write_recogniser

SEEDS = (0, 1, 2)
GROUPS = ("east", "west")
SCORES = {"path": None, "scores": {"groups": "a.csv"}}


def study_file(root: Path, models: list[dict], **keys) -> Path:
    """A study of test faces and given models alone."""
    content = {
        "name": "ours",
        "description": "What our finished models show.",
        "faces": {"test": {"kind": "folder", "path": str(root / "test"), "origin": "real"}},
        "evaluation": {"folds": 2, "replicates": 100, "real_people": []},
        "models": models,
        **keys,
    }
    path = root / "ours.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("given")
    people = [(f"{group}-{i}", group, 3) for group in GROUPS for i in range(8)]
    write_people(root / "test", people)
    for number in range(9):
        write_recogniser(root / f"model-{number}.onnx", seed=number)
    return root


def arms(root: Path) -> list[dict]:
    """Two arms of real and one of synthetic faces, with three seeds each."""
    return [
        {
            "name": f"{name}-{seed}",
            "path": str(root / f"model-{3 * number + seed}.onnx"),
            "set": name.partition("-")[0],
            "teacher": "ours" if name.endswith("kd") else "none",
            "levels": {"backbone": "r18"},
            "seed": seed,
        }
        for number, name in enumerate(("real", "real-kd", "synthetic"))
        for seed in SEEDS
    ]


@pytest.fixture(scope="module")
def results(root) -> dict:
    spec = load_study(str(study_file(root, arms(root))))
    run_study(spec, root / "study", command="evenface study run ours.yaml")
    return json.loads((root / "study" / "results.json").read_text("utf-8"))


def test_nothing_is_trained_and_claims_are_tested(root, results):
    assert results["sets"] == []
    assert results["curves"] == {}
    assert [model["id"] for model in results["models"]] == [
        "real-r18-plain",
        "real-r18-kd-ours",
        "synthetic-r18-plain",
    ]
    assert all(model["seeds"] == list(SEEDS) for model in results["models"])
    assert results["study"]["factors"] == {"backbone": ["r18"]}
    compared = {(row["set"], row["teacher"]) for row in results["differences"]}
    assert compared == {("real", "ours")}
    assert any(claim["id"].startswith("kd-") for claim in results["claims"])
    assert not (root / "study" / "runs").exists()


def test_where_the_models_come_from_is_recorded_and_shown(root, results):
    given = results["models"][1]["given"]
    assert [of["name"] for of in given] == [f"real-kd-{seed}" for seed in SEEDS]
    for of, number in zip(given, (3, 4, 5), strict=True):
        file = root / f"model-{number}.onnx"
        assert of["fingerprint"] == load_teacher(file).fingerprint
        assert str(file) in of["details"]["file"]
    page = (root / "study" / "report.html").read_text("utf-8")
    assert "9 were brought by the user" in page
    assert given[0]["fingerprint"][:12] in page


def test_embeddings_stand_for_a_model(root, results, tmp_path):
    """Embeddings of the test's images give the numbers of the model that made them."""
    manifest = Manifest.read(root / "test")
    files = {}
    for seed in SEEDS:
        model, images = load_teacher(root / f"model-{seed}.onnx"), manifest.images()
        both = model.embed(images) + model.embed(images[:, :, ::-1])
        files[seed] = tmp_path / f"{seed}.npy"
        np.save(files[seed], both)
    given = [
        {"name": f"table-{seed}", "embeddings": {"groups": str(files[seed])}, "set": "real",
         "seed": seed}
        for seed in SEEDS
    ]  # fmt: skip
    spec = load_study(str(study_file(root, given)))
    run_study(spec, tmp_path / "study", command="")
    found = json.loads((tmp_path / "study" / "results.json").read_text("utf-8"))
    (arm,) = found["evaluations"].values()
    expected = results["evaluations"]["real-r18-plain"]["groups"]["groups"]
    for group in GROUPS:
        for measure in ("accuracy", "eer"):
            assert arm["groups"]["groups"][group][measure]["value"] == pytest.approx(
                expected[group][measure]["value"], abs=1e-9
            )


@pytest.mark.parametrize("options", [{"cosine": True}, {}])
def test_scores_stand_for_a_model(root, results, tmp_path, options):
    """Cosines of the test's pairs give the numbers of the model that made them."""
    manifest = Manifest.read(root / "test")
    protocol = Protocol.read(root / "study" / "benchmarks" / "groups" / PROTOCOL_NAME)
    arms = []
    for seed in SEEDS:
        model, images = load_teacher(root / f"model-{seed}.onnx"), manifest.images()
        unit = unit_length(model.embed(images) + model.embed(images[:, :, ::-1]))
        pairs = Pairs.concat([protocol.fold_pairs, protocol.score_pairs])
        rows = [
            f"{b},{a},{float(unit[a] @ unit[b])!r}" for a, b in zip(pairs.a, pairs.b, strict=True)
        ]
        file = tmp_path / f"{seed}.csv"
        file.write_text("\n".join(["image1,image2,score", *rows]), encoding="utf-8")
        arms.append(
            {"name": f"table-{seed}", "scores": {"groups": str(file)}, "set": "real", "seed": seed,
             "options": options}
        )  # fmt: skip
    spec = load_study(str(study_file(root, arms)))
    run_study(spec, tmp_path / "study", command="")
    found = json.loads((tmp_path / "study" / "results.json").read_text("utf-8"))
    (arm,) = found["evaluations"].values()
    expected = results["evaluations"]["real-r18-plain"]["groups"]["groups"]
    for group in GROUPS:
        for measure in ("accuracy", "eer") if options else ("eer",):
            ours, theirs = arm["groups"]["groups"][group][measure], expected[group][measure]
            for of in ("value", "low", "high"):
                assert ours[of] == pytest.approx(theirs[of], abs=1e-9)


def test_a_model_that_cannot_be_opened_is_named(root, tmp_path):
    models = [{"name": "gone", "path": str(root / "gone.onnx"), "set": "real"}]
    spec = load_study(str(study_file(root, models)))
    with pytest.raises(EvenfaceError, match=r"models: gone: .*gone\.onnx"):
        run_study(spec, tmp_path / "study", command="")
    with pytest.raises(UsageError, match="nothing to plan"):
        plan_study(spec, tmp_path / "study")


def test_a_model_may_not_stand_where_the_study_trains(root, tmp_path):
    model = {"name": "mine", "path": str(root / "model-0.onnx"), "set": "real"}
    spec = load_study("smoke", {"models": [model], "teachers": [str(root / "model-1.onnx")]})
    spec = spec.model_copy(
        update={"evaluation": spec.evaluation.model_copy(update={"real_people": ()})}
    )
    with pytest.raises(UsageError, match="mine stands where the study trains real-plain"):
        run_study(spec, tmp_path / "study", command="")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"path": None}, "one of path, embeddings and scores"),
        ({"embeddings": {"groups": "a.npy"}}, "one of path, embeddings and scores"),
        ({"path": None, "scores": {"groups": "a.csv"}, "options": {"order": "rgb"}}, "not order"),
        (
            {"path": None, "scores": {"groups": "a.csv"}, "options": {"cosine": "yes"}},
            "true or false",
        ),
        ({"path": None, "embeddings": {"groups": "a.npy"}, "options": {"mean": 0}}, "options are"),
    ],
)
def test_what_a_model_cannot_be_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        GivenModel.model_validate({"name": "a", "path": "a.onnx", "set": "real", **changes})


def test_two_models_of_one_seed_are_refused(root):
    twice = [{"name": name, "path": "a.onnx", "set": "real", "seed": 1} for name in ("a", "b")]
    with pytest.raises(UsageError, match="seeds of real: 1, 1 are not all different"):
        load_study(str(study_file(root, twice)))


def test_what_trains_needs_faces():
    whole = load_study("smoke").model_dump(mode="json")
    whole["faces"] |= {"real": None}
    with pytest.raises(ValueError, match="real and synthetic are needed to train on"):
        StudySpec.model_validate(whole)


def test_levels_of_models_follow_the_study_s(root):
    model = {"name": "mine", "path": "a.onnx", "set": "other", "levels": {"backbone": "huge"}}
    spec = load_study("paper-mini", {"models": [model]})
    assert levels_of_given(spec)["backbone"][-1] == "huge"
