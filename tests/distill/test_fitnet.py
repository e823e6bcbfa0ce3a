"""Distillation of feature maps against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from embedded_batches import embeddings

from evenface.distill import create_distillation

LAYERS = {"student_layer": "a", "teacher_layer": "b"}


def maps(student_side=4):
    random = np.random.default_rng(6)
    shapes = ((7, 3, student_side, student_side), (7, 5, 4, 4))
    return tuple(torch.from_numpy(random.normal(size=shape)) for shape in shapes)


@pytest.mark.parametrize("distance", ["mse", "cosine"])
@pytest.mark.parametrize("side", [4, 8])
def test_equals_numpy(distance, side):
    pair = maps(side)
    loss = create_distillation("fitnet", channels=(3, 5), distance=distance, **LAYERS).double()
    kernel = loss.projection.weight.detach().numpy()[:, :, 0, 0]
    projected = np.einsum("oc,bchw->bohw", kernel, pair[0].numpy())
    if side == 8:
        projected = projected.reshape(7, 5, 4, 2, 4, 2).mean(axis=(3, 5))
    target = pair[1].numpy()
    if distance == "mse":
        expected = ((projected - target) ** 2).mean()
    else:
        a, b = projected.reshape(7, -1), target.reshape(7, -1)
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        expected = (1 - (a * b).sum(axis=1) / norms).mean()
    assert float(loss(*embeddings(), maps=pair).detach()) == pytest.approx(expected)


def test_the_projection_learns_and_the_teacher_does_not():
    pair = tuple(map_.requires_grad_() for map_ in maps())
    loss = create_distillation("fitnet", channels=(3, 5), **LAYERS).double()
    loss(*embeddings(), maps=pair).backward()
    assert loss.projection.weight.grad.abs().sum() > 0
    assert pair[0].grad is not None
    assert pair[1].grad is None


def test_maps_of_other_images_are_refused():
    loss = create_distillation("fitnet", channels=(3, 5), **LAYERS).double()
    with pytest.raises(ValueError, match="feature maps of 4 and 7 images for a batch of 7"):
        loss(*embeddings(), maps=(maps()[0][:4], maps()[1]))
