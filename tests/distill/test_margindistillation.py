"""MarginDistillation against its formula by loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from embedded_batches import cross_entropy, embeddings, labels, unit

from evenface.distill import create_distillation

PEOPLE = labels(0, 1, 1, 2)


def make(**options):
    centres = torch.from_numpy(np.random.default_rng(3).normal(size=(3, 5))).float()
    return create_distillation("margindistillation", centres=centres, **options).double()


def test_equals_its_formula():
    student, teacher = embeddings(batch=4)
    loss = make(s=4.0)
    centres = unit(loss.centres.detach())
    trust = (unit(teacher) * centres[PEOPLE.numpy()]).sum(axis=1)
    margins = (0.3 / trust.max() * trust + 0.2).clip(0, 0.5)
    expected = cross_entropy(unit(student) @ centres.T, PEOPLE.tolist(), s=4.0, margins=margins)
    found = loss(student, teacher, labels=PEOPLE).detach()
    assert float(found) == pytest.approx(expected.mean(), rel=1e-5)


def test_the_surest_teacher_gets_the_largest_margin():
    loss = make()
    teacher = loss.centres.detach()[PEOPLE].clone()
    teacher[1] = torch.nn.functional.normalize(teacher[1] + 0.8 * torch.randn(5), dim=0)
    margins = loss.margins(torch.nn.functional.normalize(teacher), PEOPLE)
    assert margins[[0, 2, 3]].tolist() == pytest.approx([0.5] * 3)
    assert 0 <= margins[1] < 0.5
    away = loss.margins(-torch.nn.functional.normalize(teacher), PEOPLE)
    assert away.tolist() == pytest.approx([0.2] * 4)


@pytest.mark.parametrize("learn", [True, False])
def test_centres_are_learned_or_not(learn):
    loss = make(learn=learn)
    assert loss.centres.requires_grad is learn
    student, teacher = embeddings(batch=4)
    loss(student.requires_grad_(), teacher, labels=PEOPLE).backward()
    assert (loss.centres.grad is not None) is learn
    torch.testing.assert_close(loss.centres.norm(dim=1), torch.ones(3).double())


def test_bad_margins_are_refused():
    with pytest.raises(ValueError, match="m_min must be in"):
        make(m_min=0.6)
