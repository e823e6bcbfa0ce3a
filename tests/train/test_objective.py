"""What a training minimises: parts and their sum, teachers, class centres, groups, refusals."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from teaching import (
    OtherTeacher,
    WideTeacher,
    embeddings_of,
    grouped_dataset,
    noise_batch,
    unit,
)
from tiny_training import PixelTeacher, assert_same_bits, tiny_recipe

from evenface.distill import create_distillation, list_distillations
from evenface.distill.groups import GroupWeighting
from evenface.errors import DataError, UsageError
from evenface.models import create_head
from evenface.train.explain import explain
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loader import open_source
from evenface.train.loop import train
from evenface.train.objective import Objective
from evenface.train.supply import Supply
from toy_onnx import write_recogniser

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return grouped_dataset(tmp_path_factory.mktemp("set") / "faces")


@pytest.fixture(scope="module")
def caches(data, tmp_path_factory):
    """Teacher's name → folder of its embeddings."""
    folder = tmp_path_factory.mktemp("caches")
    teachers = (PixelTeacher(), OtherTeacher(), WideTeacher())
    return {t.name: embeddings_of(t, data, folder / t.name).folder for t in teachers}


@pytest.fixture
def recipe(data):
    def make(**changes):
        return tiny_recipe(data, backbone={"name": "mini_s", "embedding_size": 8}, **changes)

    return make


def first_batch(job):
    return open_source(job, CPU).batch(0)


def parts_of(job, batch, embeddings=None):
    """The parts of a job's freshly made objective at some embeddings."""
    torch.manual_seed(0)
    objective = Objective.from_recipe(job.recipe, job.num_identities, job.supply)
    if embeddings is None:
        embeddings = torch.randn(len(batch.labels), 8)
    parts = objective(
        embeddings,
        batch.labels,
        batch.targets,
        rows=batch.rows,
        seed=3,
        pixels=batch.images,
    )
    return objective, embeddings, {name: float(value.detach()) for name, value in parts.items()}


def test_one_loss_is_called_distillation(recipe, caches):
    job = Job.open(recipe(distill={"cache": caches["pixels"]}))
    batch = first_batch(job)
    objective, embeddings, parts = parts_of(job, batch)
    assert list(parts) == ["classification", "distillation"]
    expected = create_distillation("template")(embeddings, batch.targets)
    assert parts["distillation"] == pytest.approx(float(expected))
    logits = objective.head(embeddings, batch.labels)
    expected = torch.nn.functional.cross_entropy(logits, batch.labels)
    assert parts["classification"] == pytest.approx(float(expected.detach()))


def test_several_losses_are_weighted_by_name(recipe, caches):
    losses = [
        {"name": "template", "weight": 2},
        {"name": "rkd", "options": {"angle": 1}},
        {"name": "ekd"},
    ]
    job = Job.open(recipe(distill={"cache": caches["pixels"], "losses": losses}))
    batch = first_batch(job)
    _, embeddings, parts = parts_of(job, batch)
    expected = {
        "distillation_template": create_distillation("template", weight=2.0),
        "distillation_rkd": create_distillation("rkd", angle=1.0),
    }
    assert list(parts) == ["classification", *expected, "distillation_ekd"]
    for name, loss in expected.items():
        assert parts[name] == pytest.approx(float(loss(embeddings, batch.targets)))
    ekd = create_distillation("ekd")(embeddings, batch.targets, labels=batch.labels)
    assert parts["distillation_ekd"] == pytest.approx(float(ekd))


@pytest.mark.parametrize("head", [None, {"name": "cosface", "weight": 0}])
def test_distillation_alone_learns_without_labels(recipe, caches, head, tmp_path):
    result = train(
        recipe(head=head, distill={"cache": caches["pixels"]}), tmp_path / "run", quiet=True
    )
    assert result["head"] == (None if head is None else "cosface")
    assert result["embedding_size"] == 8
    assert set(result["final"]) == {"loss", "distillation", "gradient_norm"}
    first = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert result["final"]["loss"] < first["loss"]


def test_the_heads_weight_is_a_factor_also_on_its_penalty(recipe):
    batch = noise_batch()
    magface = {"name": "magface", "options": {"l_a": 0.1, "u_a": 9}}
    job = Job.open(recipe(head=magface))
    batch = first_batch(job)
    _, embeddings, whole = parts_of(job, batch)
    assert list(whole) == ["classification", "penalty"]
    job = Job.open(recipe(head=magface | {"weight": 0.25}))
    _, _, quarter = parts_of(job, batch, embeddings)
    assert quarter == pytest.approx({name: value / 4 for name, value in whole.items()})


def test_random_margins_follow_step_and_row(recipe):
    head = create_head("elasticarcface", embedding_size=8, num_identities=4, std=0.2)
    objective = Objective(head)
    embeddings, labels = torch.randn(8, 8), torch.arange(8) % 4

    def loss(part, seed=5):
        rows = np.arange(8)[part]
        values = objective(embeddings[part], labels[part], rows=rows, seed=seed)
        return float(values["classification"].detach())

    whole = loss(slice(None))
    assert whole == loss(slice(None))
    assert np.mean([loss(slice(0, 4)), loss(slice(4, 8))]) == pytest.approx(whole)
    assert loss(slice(None), seed=6) != whole


def test_a_declared_projection_reaches_another_size(recipe, caches):
    job = Job.open(recipe(distill={"cache": caches["wide"], "projection": True}))
    batch = first_batch(job)
    objective, embeddings, parts = parts_of(job, batch)
    assert objective.projection.weight.shape == (12, 8)
    student = embeddings @ objective.projection.weight.detach().T
    cosine = (unit(student) * unit(batch.targets)).sum(axis=1)
    assert parts["distillation"] == pytest.approx(39.0625 * (1 - cosine.mean()), rel=1e-5)
    learner = Learner(job.recipe, job.num_identities, CPU, job.supply)
    before = learner.objective.projection.weight.detach().clone()
    learner.step(batch, 0.1, seed=0)
    assert not torch.equal(learner.objective.projection.weight, before)


def test_relations_need_no_projection(recipe, caches):
    job = Job.open(recipe(distill={"cache": caches["wide"], "name": "sp"}))
    assert parts_of(job, first_batch(job))[2]["distillation"] > 0


def test_several_teachers_teach_their_mean(recipe, caches, data):
    job = Job.open(recipe(distill={"cache": [caches["pixels"], caches["others"]]}))
    batch = first_batch(job)
    pixels = batch.images.numpy()
    expected = (unit(PixelTeacher().embed(pixels)) + unit(OtherTeacher().embed(pixels))) / 2
    np.testing.assert_allclose(batch.targets.numpy(), expected, atol=1e-6)
    other = Job.open(recipe(distill={"cache": [caches["pixels"], caches["pixels"]]}))
    assert len({job.fingerprint, other.fingerprint}) == 2
    assert job.supply.teacher == "pixels + others"


def test_each_group_may_have_its_own_teacher(recipe, caches):
    cache = {"a": caches["pixels"], "b": caches["others"]}
    job = Job.open(recipe(distill={"cache": cache}))
    batch = first_batch(job)
    pixels = batch.images.numpy()
    first = (batch.labels < 2).numpy()
    assert 0 < first.sum() < len(first)
    expected = np.where(first[:, None], PixelTeacher().embed(pixels), OtherTeacher().embed(pixels))
    np.testing.assert_array_equal(batch.targets.numpy(), expected)
    swapped = Job.open(recipe(distill={"cache": {"a": cache["b"], "b": cache["a"]}}))
    assert swapped.fingerprint != job.fingerprint
    with pytest.raises(UsageError, match="names no teacher for the group 'b'"):
        Job.open(recipe(distill={"cache": {"a": caches["pixels"]}}))
    with pytest.raises(UsageError, match="one number of dimensions, these have 8 and 12"):
        Job.open(recipe(distill={"cache": [caches["pixels"], caches["wide"]]}))


def test_mean_embeddings_stand_in_for_class_centres_where_declared(recipe, caches):
    distill = {"cache": caches["pixels"], "name": "proxylesskd"}
    with pytest.raises(UsageError, match=r"'proxylesskd' needs the teacher's class centres.* mean"):
        Job.open(recipe(distill=distill))
    job = Job.open(recipe(distill=distill | {"centres": "mean"}))
    manifest = job.manifest
    embedded = unit(PixelTeacher().embed(manifest.images()))
    labels = manifest.labels()
    expected = unit(np.stack([embedded[labels == y].mean(axis=0) for y in range(6)]))
    np.testing.assert_allclose(job.supply.centres, expected, atol=1e-6)
    objective, *_ = parts_of(job, first_batch(job))
    centres = objective.distillations["distillation"].centres
    np.testing.assert_allclose(centres.numpy(), expected, atol=1e-6)


def test_class_centres_from_a_file(recipe, caches, tmp_path):
    path = tmp_path / "centres.safetensors"
    distill = {"cache": caches["pixels"], "name": "logit", "centres": str(path)}
    prints = set()
    for seed in (0, 1):
        random = torch.Generator().manual_seed(seed)
        matrix = torch.randn(6, 8, generator=random)
        safetensors.torch.save_file({"weight": matrix, "bias": torch.zeros(6)}, path)
        job = Job.open(recipe(distill=distill))
        np.testing.assert_array_equal(job.supply.centres, matrix.numpy())
        prints.add(job.fingerprint)
    assert len(prints) == 2
    for state, message in (
        ({"weight": torch.randn(7, 8)}, r"'weight' is \(7, 8\), but 6 identities"),
        ({"weight": torch.zeros(6, 8)}, "a row of zeros"),
        ({"weight": torch.full((6, 8), torch.nan)}, "NaN"),
        ({"a": torch.ones(6, 8), "b": torch.ones(6, 8)}, "one matrix .* found a, b"),
        ({"a": torch.ones(6)}, "found none"),
    ):
        safetensors.torch.save_file(state, path)
        with pytest.raises(DataError, match=message):
            Job.open(recipe(distill=distill))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "fitnet"}, "'fitnet' needs feature maps .* The teacher 'pixels' offers emb"),
        ({"name": "margindistillation"}, "needs the teacher's class centres"),
        ({"options": {"weight": 3}}, "'weight' is no option of the loss 'template'"),
        (
            {"options": {"speed": 3}},
            "loss 'template' has no option 'speed'; it has: none$",
        ),
        ({"name": "rdk"}, "recipe 'tiny': unknown distillation loss 'rdk'; known: adadistill"),
        ({"name": "rkd", "projection": True}, "none of its losses compares embeddings directly"),
        ({"name": "rkd", "groups": {"step": 0.1}}, "'rkd' does not have: it compares images"),
        ({"groups": {"weights": {"c": 2}}}, "has no group 'c'; it has: a, b"),
        ({"groups": {"by": "age"}}, "no attribute 'age' in this manifest"),
    ],
)
def test_more_than_the_teacher_offers_is_refused_before_anything_starts(
    recipe, caches, tmp_path, change, message
):
    asked = recipe(distill={"cache": caches["pixels"]} | change)
    with pytest.raises(UsageError, match=message):
        train(asked, tmp_path / "run")
    with pytest.raises(UsageError, match=message):
        explain(asked)
    assert not (tmp_path / "run").exists()


def test_logits_need_a_head(recipe, caches):
    distill = {"cache": caches["pixels"], "name": "logit", "centres": "mean"}
    with pytest.raises(UsageError, match=r"'logit' needs a student with a head.* head\.weight 0"):
        Job.open(recipe(head=None, distill=distill))
    job = Job.open(recipe(head={"name": "cosface", "weight": 0}, distill=distill))
    assert list(parts_of(job, first_batch(job))[2]) == ["distillation"]


def test_another_size_is_refused_with_the_remedies(recipe, caches):
    with pytest.raises(UsageError, match=r"is 8, but the teacher 'wide' has 12 .*projection=true"):
        Job.open(recipe(distill={"cache": caches["wide"]}))


def test_an_unknown_sampler_is_refused(recipe, tmp_path):
    with pytest.raises(UsageError, match="unknown sampler 'best'; known: groups"):
        train(recipe(sampler={"name": "best"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_the_training_knows_is_no_option_of_a_head(recipe):
    asked = recipe(head={"name": "cosface", "options": {"num_identities": 3}})
    with pytest.raises(UsageError, match="'num_identities' is no option of the head 'cosface'"):
        Objective.from_recipe(asked, 6)


def test_a_balanced_sampler_is_used(recipe):
    job = Job.open(recipe(sampler="groups", batch_size=10))
    source = open_source(job, CPU)
    labels = np.concatenate([source.batch(n).labels.numpy() for n in range(3)])
    assert (labels < 2).sum() == 15  # a third of the set


# --- teachers that embed while the student trains ----------------------------------------------


@pytest.fixture(scope="module")
def network(data, tmp_path_factory):
    """Run folder of a teacher."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    recipe = tiny_recipe(
        data,
        backbone={"name": "mini_s", "embedding_size": 8},
        schedule={"kind": "cosine", "steps": 3},
    )
    train(recipe, out, quiet=True)
    return out


def test_an_online_network_teaches_what_its_cache_would(recipe, network, data, tmp_path):
    from evenface.teachers import load_teacher

    cache = embeddings_of(load_teacher(network), data, tmp_path / "cache")
    cached = Job.open(recipe(distill={"cache": cache.folder}))
    online = Job.open(recipe(distill={"teacher": {"source": str(network)}}))
    assert online.teacher == cached.teacher
    assert online.fingerprint != cached.fingerprint
    assert online.cache is None
    _, embeddings, expected = parts_of(cached, first_batch(cached))
    *_, found = parts_of(online, first_batch(online), embeddings)
    assert found == pytest.approx(expected, rel=1e-5)


def test_an_online_network_is_no_part_of_the_student(recipe, network):
    job = Job.open(recipe(distill={"teacher": {"source": str(network)}}))
    learner = Learner(job.recipe, job.num_identities, CPU, job.supply)
    assert list(learner.objective.state_dict()) == ["head.weight"]
    before = {k: v.clone() for k, v in job.supply.online.network.state_dict().items()}
    learner.step(first_batch(job), 0.1, seed=0)
    for key, value in job.supply.online.network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_an_onnx_file_can_teach_online(recipe, tmp_path):
    toy = write_recogniser(tmp_path / "toy.onnx")
    job = Job.open(
        recipe(head=None, distill={"teacher": {"source": str(toy.path)}}).model_copy(
            update={"backbone": recipe().backbone.model_copy(update={"embedding_size": None})}
        )
    )
    assert job.recipe.backbone.embedding_size == 6
    batch = first_batch(job)
    values = (batch.images.numpy().transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
    embeddings = torch.randn(8, 6)
    *_, parts = parts_of(job, batch, embeddings)
    cosine = (unit(embeddings) * unit(toy.expected(values))).sum(axis=1)
    assert parts["distillation"] == pytest.approx(39.0625 * (1 - cosine.mean()), rel=1e-3)


MIXING = {"mixup": {"probability": 0.5}, "cutmix": {"probability": 0.5}, "warp": {}, "noise": {}}


@pytest.mark.parametrize("loader", ["stream", "resident"])
def test_an_online_teacher_sees_the_mixed_pixels(recipe, network, loader):
    distill = {"teacher": {"source": str(network)}}
    job = Job.open(recipe(head=None, distill=distill, augment=MIXING, loader=loader))
    plain = first_batch(Job.open(recipe(head=None, distill=distill)))
    batch = first_batch(job)
    assert (batch.images != plain.images).any()
    embeddings = torch.randn(8, 8)
    *_, parts = parts_of(job, batch, embeddings)
    teacher = job.supply.online.network.eval()
    with torch.no_grad():
        seen = teacher((batch.images.permute(0, 3, 1, 2).float() - 127.5) / 127.5)
    cosine = (unit(embeddings) * unit(seen)).sum(axis=1)
    assert parts["distillation"] == pytest.approx(39.0625 * (1 - cosine.mean()), rel=1e-3)
    halves = [open_source(job, CPU, part=(index, 2)).batch(0).images for index in range(2)]
    assert torch.equal(torch.cat(halves), batch.images)


def test_a_broken_run_with_mixed_images_resumes_to_the_same_bits(
    recipe, network, tmp_path, break_at
):
    asked = recipe(head=None, distill={"teacher": {"source": str(network)}}, augment=MIXING)
    train(asked, tmp_path / "whole", quiet=True)

    def fail():
        raise RuntimeError("pulled the plug")

    mend = break_at(5, fail)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(asked, tmp_path / "broken", quiet=True)
    mend()
    train(asked, tmp_path / "broken", quiet=True)
    assert_same_bits(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distill": None}, "augment.cutmix mixes two people, whom only a teacher that sees"),
        ({"distill": "cache"}, "name it in distill.teacher"),
        ({"head": {"name": "cosface"}}, "such an image has no label: --set head=null"),
        ({"losses": [{"name": "ekd"}]}, "the distillation loss 'ekd' needs one identity"),
        ({"groups": {"weights": {"a": 2}}}, "distill.groups needs the group of one person"),
    ],
)
def test_mixed_images_have_no_identity(recipe, network, caches, changes, message):
    changes = dict(changes)
    distill = {"teacher": {"source": str(network)}}
    distill |= {key: changes.pop(key) for key in ("losses", "groups") if key in changes}
    if changes.get("distill") == "cache":
        changes["distill"] = {"cache": caches["pixels"]}
    head = changes.get("head")
    if head is None and changes.get("distill", True) is None:
        head = {"name": "cosface"}
    asked = recipe(**({"distill": distill} | changes | {"head": head}), augment={"cutmix": {}})
    with pytest.raises(UsageError, match=message):
        Job.open(asked)


def test_feature_maps_teach(recipe, network, tmp_path):
    options = {"student_layer": "blocks.1", "teacher_layer": "blocks"}
    distill = {
        "teacher": {"source": str(network)},
        "losses": [{"name": "fitnet", "options": options}, {"name": "template"}],
    }
    job = Job.open(recipe(distill=distill))
    learner = Learner(job.recipe, job.num_identities, CPU, job.supply)
    batch = first_batch(job)
    loss = learner.objective.distillations["distillation_fitnet"]
    assert loss.projection.weight.shape == (64, 32, 1, 1)
    x = (batch.images.permute(0, 3, 1, 2).float() - 127.5) / 127.5
    with torch.no_grad():
        student = learner.backbone.stem(x)
        for block in learner.backbone.blocks[:2]:
            student = block(student)
        teacher = job.supply.online.network.eval()
        target = teacher.blocks(teacher.stem(x))
        projected = torch.nn.functional.adaptive_avg_pool2d(loss.projection(student), 7)
        expected = (projected - target).square().mean()
    found = learner.step(batch, 0.0, seed=0)["distillation_fitnet"]
    assert float(found) == pytest.approx(float(expected), rel=1e-4)
    result = train(job.recipe, tmp_path / "run", quiet=True)
    assert result["final"]["distillation_fitnet"] > 0


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"student_layer": "layer3"}, {}, "no module 'layer3' in MiniResNet, whose parts are: st"),
        ({"teacher_layer": ""}, {}, "no module '' in MiniResNet"),
        ({"student_layer": "linear"}, {}, r"'linear' gives \(1, 8\), no feature map"),
        ({"distance": "far"}, {}, "option distance is 'far'"),
        ({}, {"micro_batches": 2}, "cannot be had with micro_batches, compile or recompute"),
    ],
)
def test_layers_that_are_not_there_are_refused(recipe, network, options, change, message):
    options = {"student_layer": "blocks", "teacher_layer": "blocks"} | options
    distill = {
        "teacher": {"source": str(network)}, "name": "fitnet", "options": options
    }  # fmt: skip

    def start():
        job = Job.open(recipe(distill=distill, **change))
        Learner(job.recipe, job.num_identities, CPU, job.supply)

    with pytest.raises(UsageError, match=message):
        start()


def test_means_need_a_cache(recipe, network):
    distill = {"teacher": {"source": str(network)}, "centres": "mean"}
    with pytest.raises(UsageError, match=r"the mean of cached embeddings: name distill\.cache"):
        Job.open(recipe(distill=distill))


# --- groups ------------------------------------------------------------------------------------


def test_weights_of_groups_move_by_the_stated_step():
    weighting = GroupWeighting([1.0, 3.0, 1.0], step=0.5).double()
    distances = torch.tensor([0.2, 0.4, 1.0], dtype=torch.float64)
    groups = torch.tensor([0, 0, 1])  # the third group is not in the batch
    means = np.array([0.3, 1.0, 0.0])
    q = np.exp(0.5 * means) / np.exp(0.5 * means).sum()
    shares = q[:2] / q[:2].sum()
    expected = (shares * [1.0, 3.0] * means[:2]).sum()
    assert float(weighting(distances, groups)) == pytest.approx(expected)
    np.testing.assert_allclose(weighting.weights, q)
    weighting.eval()(distances, groups)
    np.testing.assert_allclose(weighting.weights, q)
    for _ in range(100):
        weighting.train()(distances, groups)
    assert weighting.weights[1] > 0.99


def test_equal_weights_are_the_mean_over_groups():
    weighting = GroupWeighting([1.0, 1.0])
    distances = torch.tensor([1.0, 1.0, 1.0, 4.0], requires_grad=True)
    groups = torch.tensor([0, 0, 0, 1])
    loss = weighting(distances, groups)
    assert float(loss.detach()) == pytest.approx(2.5)
    loss.backward()
    np.testing.assert_allclose(distances.grad, [1 / 6, 1 / 6, 1 / 6, 1 / 2])
    np.testing.assert_allclose(weighting.weights, [0.5, 0.5])
    for bad in ({"factors": []}, {"factors": [0.0]}, {"factors": [1.0], "step": 0.0}):
        with pytest.raises(ValueError, match="must be positive"):
            GroupWeighting(**bad)


def test_a_recipe_weighs_groups_and_resumes_exactly(recipe, caches, tmp_path):
    groups = {"step": 2.0, "weights": {"b": 3.0}}
    job = Job.open(recipe(distill={"cache": caches["pixels"], "groups": groups}))
    assert job.supply.group_names == ("a", "b")
    source = open_source(job, CPU)
    whole = Learner(job.recipe, job.num_identities, CPU, job.supply)
    first = source.batch(0)
    of_b = (first.labels >= 2).numpy()
    student = whole.backbone((first.images.permute(0, 3, 1, 2).float() - 127.5) / 127.5)
    gap = 1 - (unit(student.detach()) * unit(first.targets)).sum(axis=1)
    means = np.array([gap[~of_b].mean(), gap[of_b].mean()])
    q = np.exp(2 * means) / np.exp(2 * means).sum()
    values = whole.step(first, 0.05, seed=0)
    expected = 39.0625 * (q * [1, 3] * means).sum()
    assert float(values["distillation"]) == pytest.approx(expected, rel=1e-3)

    state = whole.state_dict()
    assert "weightings.distillation.log_weights" in state["objective"]
    resumed = Learner(job.recipe, job.num_identities, CPU, job.supply)
    resumed.load_state_dict(copy.deepcopy(state))
    one, two = (learner.step(source.batch(1), 0.05, seed=1) for learner in (whole, resumed))
    assert {k: float(v) for k, v in one.items()} == {k: float(v) for k, v in two.items()}


def test_targets_or_rows_that_are_missing_are_a_mistake(recipe, caches):
    job = Job.open(recipe(distill={"cache": caches["pixels"], "groups": {}}))
    objective = Objective.from_recipe(job.recipe, 6, job.supply)
    batch = first_batch(job)
    with pytest.raises(ValueError, match="needs the teacher's embeddings"):
        objective(torch.randn(8, 8), batch.labels)
    with pytest.raises(ValueError, match="need the rows"):
        objective(torch.randn(8, 8), batch.labels, batch.targets)


STATEFUL = {
    "ekd and adadistill": {
        "head": {"name": "curricularface", "options": {"s": 16.0}},
        "distill": {"losses": [{"name": "ekd"}, {"name": "adadistill"}]},
    },
    "centres, groups and a projection": {
        "head": {"name": "elasticarcface_plus", "options": {"s": 16.0}},
        "distill": {
            "cache": "wide", "name": "margindistillation", "centres": "mean",
            "projection": True, "groups": {"step": 0.5},
        },
        "sampler": {"name": "groups_identities"},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", STATEFUL)
def test_a_broken_run_resumes_to_the_same_bits(recipe, caches, break_at, tmp_path, name):
    case = copy.deepcopy(STATEFUL[name])
    case["distill"]["cache"] = caches[case["distill"].get("cache", "pixels")]
    asked = recipe(**case)
    whole = train(asked, tmp_path / "whole", quiet=True)

    def fail():
        raise RuntimeError("broken")

    mend = break_at(6, fail)
    with pytest.raises(RuntimeError, match="broken"):
        train(asked, tmp_path / "run", quiet=True)
    mend()
    resumed = train(asked, tmp_path / "run", quiet=True)
    assert resumed["final"] == whole["final"]
    weights = [tmp_path / run / "weights.safetensors" for run in ("whole", "run")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


# --- every loss in a training ------------------------------------------------------------------

OPTIONS = {
    "fitnet": {"student_layer": "blocks", "teacher_layer": "blocks"},
    "darkrank": {"length": 3},
}


@pytest.mark.parametrize("name", list_distillations())
def test_every_loss_overfits_one_batch(recipe, network, caches, name):
    distill = {"name": name, "options": OPTIONS.get(name, {}), "weight": 1.0}
    if name == "fitnet":
        distill |= {"teacher": {"source": str(network)}}
    else:
        distill |= {"cache": caches["pixels"], "centres": "mean"}
    if name in ("pkt", "sp"):
        distill["weight"] = 300.0  # of the size of the others
    head = {"name": "normface", "weight": 0} if name == "logit" else None
    job = Job.open(recipe(head=head, distill=distill))
    learner = Learner(job.recipe, job.num_identities, CPU, job.supply)
    batch = first_batch(job)
    losses = [float(learner.step(batch, 0.05, seed=0)["loss"]) for _ in range(25)]
    assert np.isfinite(losses).all()
    # Likelihoods and margins leave a rest.
    enough = {"darkrank": 0.95, "adadistill": 0.9, "ekd": 0.9, "fitnet": 0.9}
    assert min(losses[-3:]) < enough.get(name, 0.7) * losses[0], losses


def test_losses_can_be_made_without_data(recipe):
    for name in list_distillations():
        asked = recipe(distill={"cache": "c", "name": name, "options": OPTIONS.get(name, {})})
        with torch.device("meta"):
            Objective.from_recipe(asked, 2)
    assert Supply().teacher is None
