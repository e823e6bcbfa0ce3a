"""Estimates of memory against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from evenface.train.learner import build_backbone
from evenface.train.memory import _saved, estimate_memory

IMAGE = 3 * 112 * 112


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LeakyReLU(0.1)

    def forward(self, x):
        return self.layer(x)


class Network(nn.Module):
    """A convolution to four channels, then two activations in blocks."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.blocks = nn.Sequential(Block(), Block())

    def forward(self, x):
        return self.blocks(self.first(x))


def test_what_is_kept_of_a_network_of_three_layers():
    counts, inputs = _saved(Network(), None)
    one = 2 * 4 * 112 * 112 * 4  # four channels of two images, float32
    # The convolution keeps the images, each activation its input; weights do not count.
    assert counts == {None: 2 * IMAGE * 4, 0: one, 1: one}
    assert inputs == 2 * one


def test_halves_and_parts_take_less(make_recipe):
    def of(**changes):
        return estimate_memory(make_recipe(backbone=deep, batch_size=32, **changes), 100, 32)

    deep = {"name": "mobilefacenet_small", "embedding_size": 8}
    whole = of(ema={})
    network = build_backbone(make_recipe(backbone=deep))
    parameters = sum(p.numel() for p in network.parameters())
    assert whole.weights == 2 * 4 * (parameters + 100 * 8)
    assert whole.optimizer == whole.weights // 2
    assert whole.average == 4 * parameters
    assert whole.logits == 3 * 4 * 32 * 100
    assert of(micro_batches=4).activations == pytest.approx(whole.activations / 4, rel=0.01)
    assert of(precision="bf16").activations < 0.7 * whole.activations
    assert of(recompute=True).activations < 0.7 * whole.activations
    assert of(precision="fp64").weights == 2 * whole.weights


def test_estimating_leaves_random_numbers_alone(make_recipe):
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    estimate_memory(make_recipe(), 6, 8)
    assert torch.equal(torch.rand(2), expected)
