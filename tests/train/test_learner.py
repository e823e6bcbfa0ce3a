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
            mse=39.06 * 8 / 2 if distil else 0.0,  # λ = weight · D / 2
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
        ({"backbone": {"name": "vit", "embedding_size": 8}}, "unknown backbone 'vit'; known: ires"),
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
