"""ProxylessKD: cross-entropy of a margin softmax over the teacher's classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from embedded_batches import cross_entropy, embeddings, labels, unit

from evenface.distill import create_distillation
from evenface.models import create_head

PEOPLE = labels(0, 2, 1, 2)


def make(**options):
    centres = torch.from_numpy(np.random.default_rng(4).normal(size=(3, 5))).float()
    return create_distillation("proxylesskd", centres=centres, **options).double()


@pytest.mark.parametrize("kind", ["arc", "cos"])
def test_equals_its_formula(kind):
    student, teacher = embeddings(batch=4, seed=2)
    loss = make(s=4.0, m=0.1, kind=kind)
    cosines = unit(student) @ loss.centres.numpy().T
    expected = cross_entropy(cosines, PEOPLE.tolist(), s=4.0, margins=0.1, kind=kind)
    assert float(loss(student, teacher, labels=PEOPLE)) == pytest.approx(expected.mean(), rel=1e-5)


def test_equals_arcface_with_these_centres_and_learns_none():
    student, teacher = embeddings(batch=4)
    loss = make()
    head = create_head("arcface", embedding_size=5, num_identities=3).double()
    head.weight.data = loss.centres * 7
    expected = torch.nn.functional.cross_entropy(head(student, PEOPLE), PEOPLE)
    torch.testing.assert_close(loss(student, teacher, labels=PEOPLE), expected)
    assert not list(loss.parameters())


def test_centres_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"class centres must be \(C, D\), got \(3,\)"):
        create_distillation("proxylesskd", centres=torch.zeros(3))
