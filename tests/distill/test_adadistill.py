"""AdaDistill against loops; what images of one identity in a batch do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from embedded_batches import cross_entropy, embeddings, labels, unit

from evenface.distill import create_distillation


def make(seed=0, **options):
    torch.manual_seed(seed)
    loss = create_distillation(
        "adadistill", **({"embedding_size": 5, "num_identities": 4} | options)
    ).double()
    loss.centres.normal_()
    return loss


def moved(centre, f_s, f_t):
    trust = np.clip(centre @ f_t / np.linalg.norm(centre), 1e-6, 1)
    alpha = np.clip((f_s @ f_t) * trust, 1e-6, 1)
    return alpha * centre + (1 - alpha) * f_t


@pytest.mark.parametrize("kind", ["arc", "cos"])
def test_equals_its_formulas_where_identities_differ(kind):
    loss = make(kind=kind, s=4.0)
    people = labels(2, 0, 3)
    student, teacher = embeddings(batch=3)
    f_s, f_t = unit(student), unit(teacher)
    centres = loss.centres.numpy().copy()
    for n, y in enumerate(people.tolist()):
        centres[y] = moved(centres[y], f_s[n], f_t[n])
    cosines = f_s @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    expected = cross_entropy(cosines, people.tolist(), s=4.0, margins=0.45, kind=kind)
    assert float(loss(student, teacher, labels=people)) == pytest.approx(expected.mean())
    np.testing.assert_allclose(loss.centres.numpy(), centres, rtol=1e-12)


def test_images_of_one_identity_move_its_centre_to_the_mean_of_their_wishes():
    people = labels(1, 2, 1, 1)
    student, teacher = embeddings(batch=4)
    f_s, f_t = unit(student), unit(teacher)
    loss = make()
    old = loss.centres.numpy().copy()
    loss(student, teacher, labels=people)
    wishes = [moved(old[1], f_s[n], f_t[n]) for n in (0, 2, 3)]
    np.testing.assert_allclose(loss.centres[1].numpy(), np.mean(wishes, axis=0), rtol=1e-12)
    np.testing.assert_allclose(loss.centres[2].numpy(), moved(old[2], f_s[1], f_t[1]), rtol=1e-12)
    np.testing.assert_array_equal(loss.centres[[0, 3]].numpy(), old[[0, 3]])
    other = make()
    order = [3, 1, 0, 2]
    other(student[order], teacher[order], labels=people[order])
    torch.testing.assert_close(other.centres, loss.centres)


def test_a_fresh_centre_becomes_the_teachers_embedding():
    loss = create_distillation("adadistill", embedding_size=5, num_identities=4).double()
    loss.centres.copy_(torch.zeros(4, 5))
    student, teacher = embeddings(batch=1)
    loss(student, teacher, labels=labels(3))
    np.testing.assert_allclose(loss.centres[3].numpy(), unit(teacher)[0], rtol=1e-5)


def test_centres_are_state_and_keep_still_in_evaluation():
    loss = make().eval()
    before = loss.centres.clone()
    student, teacher = embeddings(batch=2)
    student.requires_grad_()
    loss(student, teacher, labels=labels(0, 1)).backward()
    assert torch.equal(loss.centres, before)
    assert list(loss.state_dict()) == ["centres"]
    assert not list(loss.parameters())
