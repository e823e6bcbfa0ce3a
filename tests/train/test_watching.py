"""Verification while training: it says what ``evaluate`` says, and it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_training import log, tiny_recipe, weights
from together import run

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.errors import UsageError
from evenface.evaluate.embeddings import squared_distances, unit_length
from evenface.evaluate.protocol_specs import tasks_of
from evenface.evaluate.verification import eer
from evenface.models import create_backbone, embed, load_run_backbone
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loop import train
from evenface.train.watching import Watch


@pytest.fixture
def test_faces(tmp_path) -> Path:
    """24 people of two groups in 4 noisy images each; nobody of the training set."""
    people, each = 24, 4
    random = np.random.default_rng(7)
    patterns = random.integers(40, 216, (people, 7, 7, 3)).repeat(16, axis=1).repeat(16, axis=2)
    noise = random.integers(-40, 40, (people * each, 112, 112, 3))
    folder = tmp_path / "test-faces"
    with ImageStoreWriter(folder) as writer:
        writer.append((patterns.repeat(each, axis=0) + noise).astype(np.uint8))
    Manifest.from_columns(
        folder,
        index=np.arange(people * each),
        identity=[f"tested-{i // each}" for i in range(people * each)],
        origin="synthetic",
        dataset="squares",
        licence="CC0-1.0",
        attributes={"side": ["left" if i // each % 2 else "right" for i in range(people * each)]},
    ).write(folder / "manifest.parquet")
    return folder


def verified(folder: Path) -> list[dict]:
    return [line for line in log(folder) if "accuracy" in line]


def losses(folder: Path) -> list[dict]:
    return [line for line in log(folder) if "loss" in line]


def test_what_is_logged_is_what_the_trained_model_gets(make_recipe, test_faces, tmp_path):
    out = tmp_path / "run"
    train(make_recipe(watch={"protocol": str(test_faces), "every": 4}), out, quiet=True)
    lines = verified(out)
    assert [line["step"] for line in lines] == [4, 8, 10]
    assert {line["protocol"] for line in lines} == {"test-faces"}

    # Computed by another way: embeddings of the written weights, pair by pair.
    (task,) = tasks_of(str(test_faces))
    pairs = task.protocol.fold_pairs
    backbone, images = load_run_backbone(out), task.faces.images(np.arange(len(task.faces)))
    unit = unit_length(embed(backbone, images) + embed(backbone, images[:, :, ::-1]))
    distances = squared_distances(unit, pairs.a, pairs.b)
    for code, group in enumerate(task.protocol.groups):
        own = pairs.group == code
        rate = eer(-distances[own], pairs.genuine[own])
        assert lines[-1]["eer"][group] == pytest.approx(rate, abs=1e-6)
        right = 0
        for fold in np.unique(pairs.fold[own]):
            held = own & (pairs.fold == fold)
            others = own & (pairs.fold != fold)
            grid = np.arange(0, 4, 0.01)[:, None]
            hits = ((distances[others] < grid) == pairs.genuine[others]).sum(axis=1)
            threshold = grid[hits.argmax(), 0]
            right += ((distances[held] < threshold) == pairs.genuine[held]).sum()
        assert lines[-1]["accuracy"][group] == pytest.approx(right / own.sum(), abs=1e-6)


EXACT = {
    "plain": {},
    "average": {"ema": {"decay": 0.5}},
    "dropout and random margins": {
        "head": {"name": "elasticarcface"},
        "backbone": {"name": "mini_s", "embedding_size": 8, "dropout": 0.3},
    },
    "frozen statistics": {
        "backbone": {"name": "mini_s", "embedding_size": 8, "frozen": ("blocks.0",)}
    },
    "recomputed micro-batches": {"recompute": True, "micro_batches": 2},
    "double precision": {"precision": "fp64"},
    "half precision": {"precision": "bf16"},
}


@pytest.mark.parametrize("kind", EXACT)
def test_the_bits_are_those_of_a_training_that_is_not_watched(
    make_recipe, test_faces, tmp_path, kind
):
    schedule = {"schedule": {"steps": 4}}
    watch = {"protocol": str(test_faces), "every": 1, "pairs_per_group": 40}
    plain, watched = (
        make_recipe(**EXACT[kind], **schedule, **extra) for extra in ({}, {"watch": watch})
    )
    first = train(plain, tmp_path / "plain", quiet=True)
    second = train(watched, tmp_path / "watched", quiet=True)
    assert first["fingerprint"] == second["fingerprint"]
    assert first["weights_sha256"] == second["weights_sha256"]
    assert first["final"] == second["final"]
    assert losses(tmp_path / "plain") == losses(tmp_path / "watched")
    last = [max((tmp_path / name / "checkpoints").iterdir()) for name in ("plain", "watched")]
    states = [_tensors(path) for path in last]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert len(verified(tmp_path / "watched")) == 4


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    import safetensors.torch

    return safetensors.torch.load_file(path)


@pytest.mark.parametrize("stop", [3, 5, 9])
def test_an_interrupted_training_logs_the_same(make_recipe, test_faces, tmp_path, break_at, stop):
    def fail():
        raise RuntimeError("pulled the plug")

    recipe = make_recipe(watch={"protocol": str(test_faces), "every": 2, "pairs_per_group": 40})
    train(recipe, tmp_path / "whole", quiet=True)
    mend = break_at(stop, fail)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(recipe, tmp_path / "broken", quiet=True)
    mend()
    train(recipe, tmp_path / "broken", quiet=True)
    whole, broken = ((tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "broken"))
    assert whole == broken
    assert weights(tmp_path / "whole").keys() == weights(tmp_path / "broken").keys()


def test_the_average_is_verified_where_it_is_the_result(make_recipe, test_faces, tmp_path):
    for evaluate in (True, False):
        out = tmp_path / str(evaluate)
        recipe = make_recipe(
            ema={"decay": 0.9, "evaluate": evaluate},
            watch={"protocol": str(test_faces), "every": 10},
        )
        train(recipe, out, quiet=True)
        watch = Watch.open(Job.open(recipe))
        (of_result,) = watch.verify(load_run_backbone(out))
        assert verified(out)[-1] == {"step": 10, **of_result.record()}


def test_pairs_are_balanced_and_no_more_than_asked_for(make_recipe, test_faces):
    recipe = make_recipe(watch={"protocol": str(test_faces), "every": 1, "pairs_per_group": 47})
    (images,) = Watch.open(Job.open(recipe))._sets
    pairs = images.protocol.fold_pairs
    for group in (0, 1):
        own = pairs.group == group
        folds, counts = np.unique(pairs.fold[own], return_counts=True)
        assert len(set(counts)) == 1
        assert 2 * len(folds) <= own.sum() <= 47
        assert pairs.genuine[own].sum() * 2 == own.sum()
    (again,) = Watch.open(Job.open(recipe))._sets
    assert np.array_equal(again.rows, images.rows)
    # Rows are numbered among those that are embedded.
    labels = Manifest.read(test_faces).labels()[images.rows]
    assert np.array_equal(labels[pairs.a] == labels[pairs.b], pairs.genuine)


def test_a_backbone_keeps_the_mode_of_each_module():
    backbone = create_backbone("mini_s", embedding_size=8).train()
    backbone.get_submodule("blocks.0").eval()
    before = [module.training for module in backbone.modules()]
    embed(backbone, np.zeros((1, 112, 112, 3), dtype=np.uint8))
    assert [module.training for module in backbone.modules()] == before


def test_embeddings_that_cannot_be_compared_do_not_end_the_training(
    make_recipe, test_faces, capsys
):
    recipe = make_recipe(watch={"protocol": str(test_faces), "every": 1})
    watch = Watch.open(Job.open(recipe))
    backbone = create_backbone("mini_s", embedding_size=8)
    with torch.no_grad():
        backbone.linear.weight.fill_(float("nan"))
    assert watch.verify(backbone) == []
    assert "test-faces: not verified: embedding of row" in " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_watched_is_refused_before_anything_is_written(
    make_recipe, test_faces, tmp_path
):
    for watch, message in (
        ({"protocol": f"identify:{test_faces}"}, "watching compares pairs of images"),
        ({"protocol": str(test_faces), "pairs_per_group": 2}, "folds, which need at least"),
        ({"protocol": str(test_faces), "group_by": "age"}, "age"),
    ):
        if watch["protocol"].startswith("identify"):
            manifest = Manifest.read(test_faces)
            halves = np.where(np.arange(len(manifest)) % 4 < 2, "gallery", "probe")
            manifest.with_column("split", halves).write(test_faces / "manifest.parquet")
        with pytest.raises(UsageError, match=message):
            train(make_recipe(watch={"every": 1, **watch}), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_people_of_the_training_set_are_warned_of(make_recipe, dataset, capsys):
    Watch.open(Job.open(make_recipe(watch={"protocol": f"draw:{dataset}", "every": 1})))
    assert "this is the model's training set" in " ".join(capsys.readouterr().err.split())


def test_the_progress_line_shows_it(make_recipe, test_faces, tmp_path, capsys):
    out = tmp_path / "run"
    train(make_recipe(watch={"protocol": str(test_faces), "every": 5}), out)
    told = " ".join(capsys.readouterr().err.split())
    last = verified(out)[-1]
    left = f"left {100 * last['accuracy']['left']:.1f} % (EER {100 * last['eer']['left']:.1f} %)"
    assert f"test-faces: {left}, right" in told
    assert "at step 10" in told


def test_several_processes_log_it_once(make_recipe, test_faces, tmp_path):
    path = tmp_path / "together.yaml"
    recipe = make_recipe(watch={"protocol": str(test_faces), "every": 5, "pairs_per_group": 40})
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    program = Path(__file__).with_name("trained_together.py")
    for code, _, errors in run(2, str(program), str(path)):
        assert code == 0, errors
    assert [line["step"] for line in verified(tmp_path / "together")] == [5, 10]


def test_a_callback_gets_losses_only(make_recipe, test_faces, tmp_path):
    seen: list[dict] = []
    recipe = make_recipe(watch={"protocol": str(test_faces), "every": 1, "pairs_per_group": 40})
    train(recipe, tmp_path / "run", quiet=True, on_log=seen.append)
    assert [line["step"] for line in seen] == [2, 4, 6, 8, 10]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["final"].keys() == {"loss", "classification", "gradient_norm"}


def test_verification_is_no_part_of_the_seconds(make_recipe, test_faces, tmp_path, monkeypatch):
    monkeypatch.setattr(Watch, "verify", lambda *_: __import__("time").sleep(2) or [])
    monkeypatch.setattr(Learner, "step", Learner.step)
    recipe = make_recipe(schedule={"steps": 2}, watch={"protocol": str(test_faces), "every": 1})
    assert train(recipe, tmp_path / "run", quiet=True)["seconds"] < 3


def test_watch_is_no_part_of_the_fingerprint(dataset):
    plain = tiny_recipe(dataset)
    watched = tiny_recipe(dataset, watch={"protocol": "lfw.bin", "every": 9}, log_to=["wandb"])
    assert watched.fingerprint("data", None) == plain.fingerprint("data", None)
