"""Every backbone and every head can learn one batch by heart.

By default each head on the smallest backbone, and each small backbone and the shallowest large ones
with one head; ``pytest -m long tests/train/test_overfitting.py`` takes every backbone with every
head, for about an hour.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from teaching import noise_batch
from tiny_training import tiny_recipe

from evenface.models import list_backbones, list_heads
from evenface.train.device import torch_settings
from evenface.train.learner import Learner

CPU = torch.device("cpu")
LARGE = [name for name in list_backbones() if name.startswith("ir")]
ATTENTIVE = [name for name in list_backbones() if name.startswith(("edgeface", "vit"))]
"""With layer norms and attention: they learn by AdamW."""
SMALL = [name for name in list_backbones() if name not in (*LARGE, *ATTENTIVE)]
SHALLOW = [name for name in LARGE if name.endswith("18")]
# Norms of these embeddings, of 8 dimensions, are near 2.8.
OPTIONS = {"magface": {"l_a": 1.0, "u_a": 5.0, "lambda_g": 1.0}}


def losses(backbone, head, *, steps, size, rate):
    recipe = tiny_recipe(
        Path("none"),
        backbone={"name": backbone, "embedding_size": 8},
        head={"name": head, "options": {"s": 16.0} | OPTIONS.get(head, {})},
        optimizer={"name": "adamw" if backbone in ATTENTIVE else "sgd", "lr_batch": None},
    )
    with torch_settings(CPU, 1):
        learner = Learner(recipe, 4, CPU)
        batch = noise_batch(size)
        values = [float(learner.step(batch, rate, seed)["loss"]) for seed in range(steps)]
    assert np.isfinite(values).all()
    return values


@pytest.mark.parametrize("head", list_heads())
def test_every_head_learns_a_batch_by_heart(head):
    values = losses("mini_s", head, steps=25, size=8, rate=0.05)
    assert values[-1] < 0.25 * values[0], values


@pytest.mark.parametrize("backbone", SMALL)
def test_every_small_backbone_learns_a_batch_by_heart(backbone):
    values = losses(backbone, "arcface", steps=8, size=4, rate=0.05)
    assert min(values[-2:]) < 0.7 * values[0], values


@pytest.mark.parametrize("backbone", ["edgeface_xs", "vit_t"])
def test_attentive_backbones_learn_a_batch_by_heart(backbone):
    values = losses(backbone, "arcface", steps=5, size=4, rate=0.001)
    assert min(values[-2:]) < 0.7 * values[0], values


@pytest.mark.parametrize("backbone", SHALLOW)
def test_the_shallowest_large_backbones_learn_a_batch_by_heart(backbone):
    values = losses(backbone, "normface", steps=4, size=3, rate=0.02)
    assert values[-1] < 0.2 * max(values), values


@pytest.mark.long
@pytest.mark.parametrize("head", list_heads())
@pytest.mark.parametrize("backbone", list_backbones())
def test_every_backbone_learns_a_batch_by_heart_with_every_head(backbone, head):
    large = backbone in LARGE
    rate = 0.001 if backbone in ATTENTIVE else 0.02 if large else 0.05
    values = losses(backbone, head, steps=8 if large else 25, size=4, rate=rate)
    assert min(values[-2:]) < 0.5 * max(values), values
