"""Beginning with trained weights: rates, frozen parts, class means, and pretraining."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from teaching import embeddings_of, unit
from tiny_training import PixelTeacher, assert_same_bits, log, tiny_recipe, weights, write_dataset

from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.files import read_json
from evenface.models import embed, load_run_backbone
from evenface.train.explain import explain
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loader import open_source
from evenface.train.loop import train
from evenface.train.recipe import TrainRecipe

CPU = torch.device("cpu")
BACKBONE = {"name": "mini_s", "embedding_size": 8}


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another training set, with other people."""
    return write_dataset(tmp_path_factory.mktemp("other") / "faces", people=9, each=4)


@pytest.fixture(scope="module")
def other_cache(other, tmp_path_factory):
    return embeddings_of(PixelTeacher(), other, tmp_path_factory.mktemp("other") / "cache").folder


@pytest.fixture(scope="module")
def begun(other, tmp_path_factory):
    """A finished run on the other set."""
    out = tmp_path_factory.mktemp("begun") / "run"
    train(tiny_recipe(other, schedule={"kind": "cosine", "steps": 4}), out, quiet=True)
    return out


def learner(recipe):
    job = Job.open(recipe)
    return job, Learner(job.recipe, job.num_identities, CPU, job.supply)


def test_a_file_of_weights_is_as_good_as_its_run(make_recipe, begun, tmp_path):
    for name, start in (("run", begun), ("file", begun / "weights.safetensors")):
        recipe = make_recipe(backbone=BACKBONE | {"start": start})
        _, made = learner(recipe)
        for key, value in weights(begun).items():
            assert torch.equal(made.backbone.state_dict()[key], value), key
        train(recipe, tmp_path / name, quiet=True)
    assert_same_bits(tmp_path / "run", tmp_path / "file")
    records = [read_json(tmp_path / name / "run.json") for name in ("run", "file")]
    assert records[0]["start"] == read_json(begun / "run.json")["fingerprint"]
    assert len(records[1]["start"]) == 64
    with pytest.raises(DataError, match="nowhere"):
        Job.open(make_recipe(backbone=BACKBONE | {"start": tmp_path / "nowhere"}))


@pytest.mark.parametrize("rates", [(0.25, 1.0), (1.0, 0.5), (0.01, 0.1)])
def test_backbone_and_head_move_at_rates_of_their_own(make_recipe, rates):
    plain = {"lr": 0.05, "lr_batch": None, "momentum": 0, "weight_decay": 0, "clip_norm": 1e9}
    moved = []
    for factors in ((1.0, 1.0), rates):
        factors_ = dict(zip(("backbone_rate", "head_rate"), factors, strict=True))
        job, made = learner(make_recipe(optimizer=plain | factors_))
        parts = [made.backbone, made.objective]
        before = [[p.detach().clone() for p in part.parameters()] for part in parts]
        made.step(open_source(job, CPU).batch(0), 0.05, seed=0)
        moved.append(
            [
                [now.detach() - then for now, then in zip(part.parameters(), was, strict=True)]
                for part, was in zip(parts, before, strict=True)
            ]
        )
    for whole, less, rate in zip(*moved, rates, strict=True):
        for first, second in zip(whole, less, strict=True):
            torch.testing.assert_close(second, rate * first, rtol=1e-3, atol=1e-7)
    assert any(float(of.abs().max()) > 1e-4 for part in moved[0] for of in part)


def test_rates_of_one_change_nothing(make_recipe):
    recipe = make_recipe()
    same = make_recipe(optimizer=recipe.optimizer.model_dump() | {"backbone_rate": 1.0})
    assert same.fingerprint("d", None) == recipe.fingerprint("d", None)
    lower = make_recipe(optimizer=recipe.optimizer.model_dump() | {"backbone_rate": 0.5})
    assert lower.fingerprint("d", None) != recipe.fingerprint("d", None)


def test_frozen_modules_keep_weights_and_statistics(make_recipe, begun, tmp_path):
    recipe = make_recipe(
        backbone=BACKBONE | {"start": begun, "frozen": ["stem", "blocks.0"]},
        head={"name": "cosface", "start": "own"},
    )
    train(recipe, tmp_path / "run", quiet=True)
    changed = {
        key for key, value in weights(tmp_path / "run").items()
        if not torch.equal(value, weights(begun)[key])
    }  # fmt: skip
    assert not [key for key in changed if key.startswith(("stem.", "blocks.0."))]
    assert {key.split(".")[0] for key in changed} >= {"blocks", "linear"}
    with pytest.raises(UsageError, match="no module 'layer9' in mini_s, whose parts are: stem"):
        learner(make_recipe(backbone=BACKBONE | {"frozen": ["layer9"]}))


def class_means(embeddings, labels):
    means = np.stack(
        [unit(embeddings)[labels == label].mean(axis=0) for label in np.unique(labels)]
    )
    return unit(means)


@pytest.mark.parametrize("whose", ["own", "teacher"])
@pytest.mark.parametrize("head", ["cosface", "elasticarcface"])
def test_class_centres_begin_at_class_means(
    make_recipe, manifest, cache, begun, tmp_path, whose, head, monkeypatch
):
    seen = []

    def look(self, batch, rate, seed):
        seen.append(self.objective.head.weight.detach().clone())
        raise RuntimeError("seen")

    recipe = make_recipe(
        backbone=BACKBONE | {"start": begun},
        head={"name": head, "start": whose},
        distill={"cache": cache.folder},
    )
    _, made = learner(recipe)
    random = made.objective.head.weight.detach().norm(dim=1).mean()
    monkeypatch.setattr(Learner, "step", look)
    with pytest.raises(RuntimeError, match="seen"):
        train(recipe, tmp_path / "run", quiet=True)
    images = manifest.images(np.arange(len(manifest)))
    embeddings = (
        embed(load_run_backbone(begun), images) if whose == "own" else PixelTeacher().embed(images)
    )
    expected = class_means(embeddings, manifest.labels())
    found = seen[0].numpy()
    np.testing.assert_allclose(unit(found), expected, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), float(random), rtol=1e-4)


def test_class_means_separate_people_before_the_first_step(make_recipe, begun, tmp_path):
    losses = []
    for start in (None, "own"):
        recipe = make_recipe(
            backbone=BACKBONE | {"start": begun},
            head={"name": "cosface", "options": {"s": 16.0, "m": 0.1}, "start": start},
            log_every=1,
        )
        train(recipe, tmp_path / str(start), quiet=True)
        losses.append(log(tmp_path / str(start))[0]["classification"])
    assert losses[1] < losses[0] - 1


# --- pretraining --------------------------------------------------------------------------------


@pytest.fixture
def two_parts(make_recipe, cache, other, other_cache):
    """Makes a recipe of 4 steps on the other set and 6 on the first."""

    def make(*, kd=True, during="both", **changes):
        distill = {"cache": cache.folder, "during": during} if kd else None
        cached = kd and during != "fine-tuning"
        pretrain = {"data": other, "cache": other_cache if cached else None, "share": 0.4}
        fields = {
            "head": {"name": "cosface", "options": {"s": 16.0, "m": 0.1}, "start": "own"},
            "optimizer": {"lr": 0.05, "lr_batch": None, "backbone_rate": 0.1, "head_rate": 0.5},
            "schedule": {"kind": "cosine", "steps": 10, "warmup_steps": 1},
        }
        return make_recipe(**(fields | changes), distill=distill, pretrain=pretrain)

    return make


@pytest.mark.parametrize("during", ["both", "pretraining", "fine-tuning", None])
def test_two_parts_are_two_runs(two_parts, cache, other, other_cache, tmp_path, during):
    asked = two_parts(kd=during is not None, during=during or "both")
    result = train(asked, tmp_path / "whole", quiet=True)
    fields = asked.model_dump(exclude={"pretrain", "distill"})
    first_kd = {"cache": other_cache} if during in ("both", "pretraining") else None
    then_kd = {"cache": cache.folder} if during in ("both", "fine-tuning") else None
    schedule = fields["schedule"]
    first = TrainRecipe.model_validate(
        fields
        | {"data": other, "distill": first_kd, "schedule": schedule | {"steps": 4}}
        | {"head": fields["head"] | {"start": None}}
        | {"optimizer": fields["optimizer"] | {"backbone_rate": 1.0, "head_rate": 1.0}}
    )
    train(first, tmp_path / "first", quiet=True)
    then = TrainRecipe.model_validate(
        fields
        | {"distill": then_kd, "schedule": schedule | {"steps": 6}}
        | {"backbone": fields["backbone"] | {"start": tmp_path / "first"}}
    )
    train(then, tmp_path / "then", quiet=True)
    assert_same_bits(tmp_path / "whole", tmp_path / "then")
    assert_same_bits(tmp_path / "whole" / "pretraining", tmp_path / "first")
    assert (result["steps"], result["images_seen"]) == (10, 80)
    assert result["pretraining"]["steps"] == 4
    assert result["pretraining"]["num_identities"] == 9
    assert ("distillation" in result["final"]) == (during in ("both", "fine-tuning"))
    assert train(asked, tmp_path / "whole", quiet=True) == result  # not trained again


@pytest.mark.parametrize("stop", [3, 7])  # in the first part, in the second
def test_broken_in_either_part_it_resumes_to_the_same_bits(two_parts, tmp_path, break_at, stop):
    asked = two_parts(checkpoint_every=2)
    train(asked, tmp_path / "whole", quiet=True)

    def fail():
        raise RuntimeError("pulled the plug")

    mend = break_at(stop, fail)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(asked, tmp_path / "broken", quiet=True)
    mend()
    train(asked, tmp_path / "broken", quiet=True)
    assert_same_bits(tmp_path / "whole", tmp_path / "broken")


def test_what_the_first_part_is_enters_the_fingerprint(two_parts, manifest, dataset):
    plain = two_parts(kd=False)
    prints = {Job.open(plain).fingerprint}
    pretrain = plain.pretrain
    for changed in ({"share": 0.5}, {"data": dataset}):
        update = {"pretrain": pretrain.model_copy(update=changed)}
        prints.add(Job.open(plain.model_copy(update=update)).fingerprint)
    prints |= {Job.open(two_parts(during=d)).fingerprint for d in ("both", "pretraining")}
    assert len(prints) == 5


def test_the_explanation_names_the_parts(two_parts):
    text = explain(two_parts())
    assert "# pretraining: 4 of the steps, on 36 images of 9 identities" in text
    assert "10 steps of 8 images" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": {"kind": "step", "epochs": 2, "milestones": [1]}}, "without milestones"),
        ({"schedule": {"kind": "cosine", "epochs": 2}}, "or epochs with epoch_steps"),
        ({"schedule": {"kind": "cosine", "steps": 1}}, "leaves one of the two parts without"),
        ({"head": None, "during": "pretraining"}, "the other part has nothing to learn"),
    ],
)
def test_parts_that_cannot_be_are_refused(two_parts, changes, message):
    with pytest.raises(ValueError, match=message):
        two_parts(**changes)


def test_keys_of_two_parts_need_two(make_recipe, two_parts, cache, other):
    with pytest.raises(ValueError, match="is for trainings with pretrain"):
        make_recipe(distill={"cache": cache.folder, "during": "pretraining"})
    with pytest.raises(ValueError, match=r"pretrain\.cache is needed"):
        make_recipe(distill={"cache": cache.folder}, pretrain={"data": other})
    with pytest.raises(
        ValueError, match=r"head\.start 'own' is the mean of embeddings of a trained"
    ):
        make_recipe(head={"name": "cosface", "start": "own"})
    with pytest.raises(UsageError, match=r"head\.start 'teacher' is the mean of cached embeddings"):
        Job.open(make_recipe(head={"name": "cosface", "start": "teacher"}))
    wide = BACKBONE | {"embedding_size": 12}
    with pytest.raises(
        UsageError, match="class centres of 12 dimensions, the teacher 'pixels' has"
    ):
        Job.open(
            make_recipe(
                backbone=wide,
                head={"name": "cosface", "start": "teacher"},
                distill={"cache": cache.folder, "projection": True},
            )
        )


def test_the_manifest_of_the_first_part_is_checked_before_anything(two_parts, tmp_path):
    asked = two_parts()
    lost = asked.pretrain.model_copy(update={"data": tmp_path / "lost"})
    with pytest.raises(DataError, match="lost"):
        train(asked.model_copy(update={"pretrain": lost}), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    assert isinstance(Manifest.read(asked.data), Manifest)
