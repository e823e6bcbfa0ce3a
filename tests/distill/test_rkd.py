"""Relational distillation against loops over pairs and triples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from embedded_batches import embeddings, unit

from evenface.distill import create_distillation


def huber(difference):
    size = abs(difference)
    return 0.5 * size**2 if size < 1 else size - 0.5


def by_hand(student, teacher, distance, angle, close=0.0):
    count = len(student)
    pairs = list(itertools.product(range(count), repeat=2))
    spreads, angles = [], []
    for f in (student, teacher):
        d = np.array([[np.linalg.norm(a - b) for b in f] for a in f])
        spreads.append(d / d[d > 0].mean())
        cosines = np.zeros((count,) * 3)
        for i, j, k in itertools.product(range(count), repeat=3):
            u, v = f[j] - f[i], f[k] - f[i]
            if min(np.linalg.norm(u), np.linalg.norm(v)) > close:
                cosines[i, j, k] = u @ v / (np.linalg.norm(u) * np.linalg.norm(v))
        angles.append(cosines)
    d_loss = np.mean([huber(spreads[0][p] - spreads[1][p]) for p in pairs])
    a_loss = np.mean([huber(x) for x in (angles[0] - angles[1]).ravel()])
    return distance * d_loss + angle * a_loss


@pytest.mark.parametrize(("distance", "angle"), [(25.0, 50.0), (1.0, 0.0), (0.0, 1.0)])
def test_equals_loops(distance, angle):
    student, teacher = embeddings(batch=5, student_size=4, teacher_size=6)
    loss = create_distillation("rkd", weight=2.0, distance=distance, angle=angle)
    expected = 2 * by_hand(unit(student), unit(teacher), distance, angle)
    assert float(loss(student, teacher)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("apart", [8e-6, 1.2e-5])
def test_embeddings_less_than_a_hundred_thousandth_apart_have_no_direction(apart):
    student, teacher = embeddings(batch=4)
    first = student[0] / student[0].norm()
    sideways = student[2] - (student[2] @ first) * first
    student[0], student[1] = first, first + apart * sideways / sideways.norm()
    loss = create_distillation("rkd", distance=0.0, angle=1.0)
    expected, other = (
        by_hand(unit(student), unit(teacher), 0.0, 1.0, close) for close in (1e-5, 1e-4)
    )
    assert float(loss(student, teacher)) == pytest.approx(expected, rel=1e-6)
    assert bool(expected == pytest.approx(other, rel=1e-6)) is (apart < 1e-5)


def test_embeddings_that_agree_have_finite_gradients():
    student, teacher = embeddings()
    student[1] = student[0]
    student.requires_grad_()
    create_distillation("rkd")(student, teacher).backward()
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() < 1e3


def test_bad_weights_are_refused():
    with pytest.raises(ValueError, match="nor both 0"):
        create_distillation("rkd", distance=0.0, angle=0.0)
