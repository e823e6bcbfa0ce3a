"""One step against plain PyTorch written from the formulas."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from evenface.errors import UsageError
from evenface.train.batches import BatchSource
from evenface.train.learner import Learner

CPU = torch.device("cpu")


def plain_step(backbone, weight, momenta, batch, *, rate, mse, clip_norm):
    """Cross-entropy of CosFace plus λ · MSE, clipped, one step of SGD with momentum by hand."""
    images = torch.from_numpy(batch.images / 255).permute(0, 3, 1, 2).float()
    f = backbone((images - 0.5) / 0.5)
    labels = torch.from_numpy(batch.labels)
    logits = F.normalize(f) @ F.normalize(weight).T
    logits = 16.0 * (logits - 0.1 * F.one_hot(labels, len(weight)))
    loss = F.nll_loss(logits.log_softmax(1), labels)
    if mse:
        loss = loss + mse * F.mse_loss(F.normalize(f), F.normalize(torch.tensor(batch.targets)))
    own = list(backbone.parameters())
    gradients = torch.autograd.grad(loss, [*own, weight])
    norm = torch.cat([g.flatten() for g in gradients[:-1]]).norm()
    shrink = min(1.0, clip_norm / float(norm))
    with torch.no_grad():
        for number, (p, g) in enumerate(zip([*own, weight], gradients, strict=True)):
            g = (g * shrink if p is not weight else g) + 5e-4 * p
            momenta[number] = g if number not in momenta else 0.9 * momenta[number] + g
            p -= rate * momenta[number]
    return float(loss.detach()), float(norm)


@pytest.mark.parametrize("distil", [False, True])
@pytest.mark.parametrize("clip_norm", [0.5, 1e6])
def test_steps_equal_those_written_by_hand(make_recipe, manifest, cache, distil, clip_norm):
    recipe = make_recipe(
        distill={"cache": cache.folder} if distil else None,
        optimizer={"clip_norm": clip_norm},
    )
    learner = Learner(recipe, 6, CPU)
    # Short class centres turn at the slightest step, which would magnify rounding.
    torch.nn.init.normal_(learner.objective.head.weight, generator=torch.Generator().manual_seed(0))
    backbone = copy.deepcopy(learner.backbone)
    weight = learner.objective.head.weight.detach().clone().requires_grad_()
    before = flat([*backbone.parameters(), weight])
    source = BatchSource(manifest, cache, batch_size=8, seed=0, flip=True)
    momenta = {}
    for step, rate in enumerate((1e-5, 2e-5, 1e-5)):
        batch = source.batch(step)
        values = learner.step(batch, rate, seed=step)
        loss, norm = plain_step(
            backbone,
            weight,
            momenta,
            batch,
            rate=rate,
            mse=39.0625 * 8 / 2 if distil else 0.0,  # λ = weight · D / 2
            clip_norm=clip_norm,
        )
        assert float(values["loss"]) == pytest.approx(loss, rel=1e-4)
        assert float(values["gradient_norm"]) == pytest.approx(norm, rel=1e-3)
        assert ("distillation" in values) is distil
    ours = flat([*learner.backbone.parameters(), learner.objective.head.weight])
    theirs = flat([*backbone.parameters(), weight])
    assert (ours - theirs).norm() < 0.02 * (theirs - before).norm()


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def test_the_seed_decides_the_first_weights(make_recipe):
    first, again, other = (Learner(make_recipe(seed=seed), 6, CPU) for seed in (0, 0, 1))
    assert torch.equal(first.objective.head.weight, again.objective.head.weight)
    assert not torch.equal(first.objective.head.weight, other.objective.head.weight)


@pytest.mark.parametrize("head", ["adaface", "arcface", "cosface", "elasticarcface"])
def test_half_precision_stays_near_single(make_recipe, manifest, cache, head):
    batch = BatchSource(manifest, cache, batch_size=8, seed=0, flip=True).batch(0)
    losses = {}
    for precision in ("fp32", "bf16"):
        recipe = make_recipe(
            head={"name": head}, distill={"cache": cache.folder}, precision=precision
        )
        values = Learner(recipe, 6, CPU).step(batch, 0.01, seed=0)
        assert all(value.dtype == torch.float32 for value in values.values())
        losses[precision] = float(values["loss"])
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["bf16"] != losses["fp32"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"backbone": {"name": "vit", "embedding_size": 8}},
            "unknown backbone 'vit'; known: edgeface_s",
        ),
        ({"head": {"name": "softmax"}}, "unknown head 'softmax'"),
        ({"head": {"name": "cosface", "options": {"h": 1}}}, "'h'"),
        ({"head": {"name": "cosface", "options": {"m": -1}}}, "m must be in"),
        ({"distill": {"name": "rdk", "cache": "c"}}, "unknown distillation loss 'rdk'"),
    ],
)
def test_parts_that_do_not_exist_are_named(make_recipe, change, message):
    with pytest.raises(UsageError, match=f"recipe 'tiny': .*{message}"):
        Learner(make_recipe(**change), 6, CPU)


def test_an_open_embedding_size_is_a_mistake(make_recipe):
    with pytest.raises(ValueError, match="embedding size must be settled"):
        Learner(make_recipe(backbone={"name": "mobilefacenet_small"}), 6, CPU)


# --- other ways of taking the same step ---------------------------------------------------------


def steps(recipe, manifest, cache=None, count=2):
    """A learner after some steps, and the losses on the way."""
    learner = Learner(recipe, 6, CPU)
    source = BatchSource(manifest, cache, batch_size=8, seed=0, flip=True)
    losses = [
        float(learner.step(source.batch(step), 0.05, seed=step)["loss"]) for step in range(count)
    ]
    return learner, losses


def state(learner):
    return {**learner.backbone.state_dict(), **learner.objective.state_dict(prefix="objective.")}


@pytest.mark.parametrize("head", ["adaface", "elasticarcface"])
def test_micro_batches_are_one_batch_for_the_losses(make_recipe, manifest, cache, head):
    recipe = make_recipe(
        head={"name": head}, distill={"cache": cache.folder}, precision="fp64", micro_batches=2
    )
    learner = Learner(recipe, 6, CPU)
    batch = BatchSource(manifest, cache, batch_size=8, seed=0, flip=True).batch(0)
    backbone, objective = copy.deepcopy(learner.backbone), copy.deepcopy(learner.objective)
    values = learner.step(batch, 0.05, seed=3)

    images = (torch.from_numpy(batch.images).permute(0, 3, 1, 2).double() - 127.5) / 127.5
    first = backbone(images[:4])
    statistics = [buffer.clone() for buffer in backbone.buffers()]
    embeddings = torch.cat([first, backbone(images[4:])])
    parts = objective(
        embeddings,
        torch.from_numpy(batch.labels),
        torch.from_numpy(batch.targets),
        rows=batch.rows,
        seed=3,
    )
    loss = torch.stack(list(parts.values())).sum()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(backbone.parameters(), 5.0)

    assert float(values["loss"]) == pytest.approx(float(loss.detach()), rel=1e-12)
    assert float(values["gradient_norm"]) == pytest.approx(float(norm), rel=1e-9)
    for ours, theirs in zip(
        [*learner.backbone.parameters(), *learner.objective.parameters()],
        [*backbone.parameters(), *objective.parameters()],
        strict=True,
    ):
        if theirs.requires_grad:
            assert torch.allclose(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    # Batch norm's running statistics are those of the first part, counted once.
    for ours, theirs in zip(learner.backbone.buffers(), statistics, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12)
    for ours, theirs in zip(learner.objective.buffers(), objective.buffers(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("backbone", ["mini_s", "mobilefacenet_small", "iresnet18"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputed_activations_give_the_same_bits(make_recipe, manifest, backbone, precision):
    recipe = make_recipe(
        backbone={"name": backbone, "embedding_size": 8, "dropout": 0.2}, precision=precision
    )
    kept, losses = steps(recipe, manifest)
    again, same = steps(recipe.model_copy(update={"recompute": True}), manifest)
    assert losses == same
    for key, value in state(kept).items():
        assert torch.equal(value, state(again)[key]), key


def test_the_average_follows_the_weights(make_recipe, manifest):
    learner = Learner(make_recipe(ema={"decay": 0.15}), 6, CPU)
    expected = {key: value.clone() for key, value in learner.backbone.state_dict().items()}
    source = BatchSource(manifest, None, batch_size=8, seed=0, flip=True)
    for step in range(1, 4):
        learner.step(source.batch(step), 0.05, seed=step)
        decay = min(0.15, (1 + step) / (10 + step))
        for key, value in learner.backbone.state_dict().items():
            if value.is_floating_point():
                expected[key] = decay * expected[key] + (1 - decay) * value
            else:
                expected[key] = value
    for key, value in learner.average.model.state_dict().items():
        assert torch.allclose(value, expected[key], rtol=1e-4, atol=1e-6), key
    assert not torch.equal(learner.average.model.linear.weight, learner.backbone.linear.weight)


def test_fp16_leaves_a_step_out_whose_gradient_overflows(make_recipe, manifest):
    learner = Learner(make_recipe(precision="fp16"), 6, CPU)
    batch = BatchSource(manifest, None, batch_size=8, seed=0, flip=True).batch(0)
    learner._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = learner.backbone.linear.weight.clone()
    values = learner.step(batch, 0.05, seed=0)
    assert torch.equal(learner.backbone.linear.weight, before)
    assert float(values["gradient_norm"]) == 0
    assert float(values["loss_scale"]) == 2.0**59
    learner._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    values = learner.step(batch, 0.05, seed=0)
    assert not torch.equal(learner.backbone.linear.weight, before)
    assert float(values["gradient_norm"]) > 0


def test_the_layout_of_weights_changes_rounding_only(make_recipe, manifest):
    _, plain = steps(make_recipe(precision="fp64"), manifest)
    _, last = steps(make_recipe(precision="fp64", channels_last=True), manifest)
    assert last == pytest.approx(plain, rel=1e-10)


@pytest.mark.slow
def test_compiled_steps_are_the_same_steps(make_recipe, manifest):
    recipe = make_recipe(backbone={"name": "mini_s", "embedding_size": 8})
    _, plain = steps(recipe, manifest)
    _, compiled = steps(recipe.model_copy(update={"compile": True}), manifest)
    assert compiled == pytest.approx(plain, rel=1e-3)


# Losses of the first steps in double precision. A refactoring that moves them changes the result.
GOLDEN = {
    "mini_s": [55.072091976917, 47.630099524518, 42.805886104412, 41.688359218064, 37.464491823385],
    "mobilefacenet_small": [
        57.984942336413,
        46.069348596146,
        40.731139876988,
        35.196935100617,
        37.336185019797,
    ],
}


@pytest.mark.parametrize("backbone", GOLDEN)
def test_the_first_losses_stay_what_they_were(make_recipe, manifest, cache, backbone):
    recipe = make_recipe(
        backbone={"name": backbone, "embedding_size": 8},
        head={"name": "arcface", "options": {"s": 16.0, "m": 0.3}},
        distill={"cache": cache.folder, "weight": 39.06},
        precision="fp64",
    )
    _, losses = steps(recipe, manifest, cache, count=5)
    assert losses == pytest.approx(GOLDEN[backbone], rel=1e-9)
