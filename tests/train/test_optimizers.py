"""Optimisers against their formulas, groups of parameters, and schedules of the field."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_training import assert_same_bits, log
from torch import nn

from evenface.errors import UsageError
from evenface.train.loop import train
from evenface.train.memory import estimate_memory
from evenface.train.optimizers import OPTIMIZERS, create_optimizer, parameter_groups
from evenface.train.recipe import OptimizerRecipe, ScheduleRecipe
from evenface.train.schedule import Schedule

ADAMW = {"name": "adamw", "lr": 0.002, "lr_batch": None, "weight_decay": 0.05}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), nn.Flatten())


def test_adamw_is_the_papers():
    recipe = OptimizerRecipe(**ADAMW, options={"beta1": 0.8, "beta2": 0.95, "eps": 1e-6})
    module = nn.Linear(5, 3, bias=False).double()
    made = create_optimizer(recipe, parameter_groups([(module, 1.0)], recipe), fused=None)
    weight = module.weight.detach().numpy().copy()
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    random = np.random.default_rng(0)
    for step in range(1, 6):
        gradient = random.normal(size=weight.shape)
        module.weight.grad = torch.from_numpy(gradient)
        made.step()
        # Algorithm 2 of Loshchilov & Hutter, with the rate on the decay as well.
        m, v = 0.8 * m + 0.2 * gradient, 0.95 * v + 0.05 * gradient**2
        corrected = (m / (1 - 0.8**step)) / (np.sqrt(v / (1 - 0.95**step)) + 1e-6)
        weight -= 0.002 * corrected + 0.002 * 0.05 * weight
        np.testing.assert_allclose(module.weight.detach().numpy(), weight, rtol=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_norms_biases_and_slopes_can_be_spared_from_decay(name):
    recipe = OptimizerRecipe(name=name, weight_decay=0.1, decay_norms=False)
    backbone, head = network(), nn.Linear(4, 2, bias=False)
    groups = parameter_groups([(backbone, 0.1), (head, 1.0)], recipe)
    made = create_optimizer(recipe, groups, fused=None)
    before = {id(p): p.detach().clone() for g in groups for p in g["params"]}
    for group in made.param_groups:
        group["lr"] = 0.5 * group["factor"]
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)  # decay alone moves
    made.step()
    for factor, module in ((0.1, backbone), (1.0, head)):
        for parameter in module.parameters():
            shrunk = 1 - 0.5 * factor * 0.1 * (parameter.ndim > 1)
            torch.testing.assert_close(parameter.detach(), shrunk * before[id(parameter)])


def test_alike_parameters_are_one_group():
    groups = parameter_groups([(network(), 1.0), (nn.Linear(4, 2), 1.0)], OptimizerRecipe())
    assert [set(group) for group in groups] == [{"params", "factor"}]
    assert len(groups[0]["params"]) == 7


@pytest.mark.parametrize("decay_norms", [True, False])
def test_a_broken_run_resumes_to_the_same_bits(make_recipe, tmp_path, break_at, decay_norms):
    recipe = make_recipe(optimizer=ADAMW | {"decay_norms": decay_norms, "backbone_rate": 0.5})
    train(recipe, tmp_path / "whole", quiet=True)

    def fail():
        raise RuntimeError("pulled the plug")

    mend = break_at(8, fail)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(recipe, tmp_path / "broken", quiet=True)
    mend()
    train(recipe, tmp_path / "broken", quiet=True)
    assert_same_bits(tmp_path / "whole", tmp_path / "broken")
    losses = [line["classification"] for line in log(tmp_path / "whole")]
    assert losses[-1] < losses[0]


def test_adamw_keeps_two_tensors_of_each_parameter(make_recipe):
    plain = estimate_memory(make_recipe(), 6, 8).optimizer
    assert estimate_memory(make_recipe(optimizer=ADAMW), 6, 8).optimizer == 2 * plain
    without = make_recipe(optimizer={"momentum": 0})
    assert estimate_memory(without, 6, 8).optimizer == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "lion"}, "unknown optimiser 'lion'; known: adamw, sgd"),
        ({"options": {"beta3": 0.9}}, "'adamw' has no option 'beta3'; it has: beta1, beta2, eps"),
    ],
)
def test_what_does_not_exist_is_named(make_recipe, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        train(make_recipe(optimizer=ADAMW | change), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="nesterov is for sgd, not for adamw"):
        make_recipe(optimizer=ADAMW | {"nesterov": True})


def test_keys_at_their_defaults_change_no_fingerprint(make_recipe):
    recipe = make_recipe()
    assert "decay_norms" not in str(recipe.model_dump(exclude_defaults=True))
    given = recipe.optimizer.model_dump()
    assert make_recipe(optimizer=given).fingerprint("d", None) == recipe.fingerprint("d", None)
    for change in ({"decay_norms": False}, {"backbone_rate": 0.5}, {"name": "adamw"}):
        other = make_recipe(optimizer=given | change)
        assert other.fingerprint("d", None) != recipe.fingerprint("d", None)


def test_polynomial_and_constant_rates():
    def rates(kind):
        recipe = ScheduleRecipe(kind=kind, steps=12, warmup_steps=2)
        made = Schedule(
            recipe, OptimizerRecipe(lr=0.4, lr_batch=None), batch_size=8, batches_per_epoch=5
        )
        return [made.rate(step) for step in range(12)]

    # arcface_torch's PolynomialLRWarmup after its warm-up: base · ((T − t) / (T − w))².
    expected = [0.2, 0.4, *(0.4 * ((12 - t) / 10) ** 2 for t in range(2, 12))]
    assert rates("polynomial") == pytest.approx(expected)
    assert rates("constant") == pytest.approx([0.2] + 11 * [0.4])
    with pytest.raises(ValueError, match="milestones belong to kind 'step'"):
        ScheduleRecipe(kind="polynomial", epochs=3, milestones=(1,))
