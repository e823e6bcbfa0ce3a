"""Evaluation-oriented distillation against a plain computation over lists of pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from embedded_batches import embeddings, labels, unit

from evenface.distill import create_distillation

PEOPLE = labels(0, 0, 1, 1, 1, 2, 3)
RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def similarities(f, people):
    f = unit(f)
    pairs = itertools.combinations(range(len(f)), 2)
    return [(f[i] @ f[j], people[i] == people[j]) for i, j in pairs]


def anchors_of(pairs):
    different = sorted((s for s, same in pairs if not same), reverse=True)
    return np.array([different[int(len(different) * rate)] for rate in RATES])


def by_hand(student, teacher, people, a_s, a_t, hardest):
    def rank(x, anchors):
        return sum(1 / (1 + np.exp(-(x - a) / 0.01)) for a in anchors)

    pairs = list(zip(similarities(student, people), similarities(teacher, people), strict=True))
    positive = [(s[0], t[0]) for s, t in pairs if s[1]]
    negative = sorted(((s[0], t[0]) for s, t in pairs if not s[1]), reverse=True)[:hardest]
    terms = [
        np.mean([(rank(s, a_s) - rank(t, a_t)) ** 2 for s, t in chosen]) if chosen else 0.0
        for chosen in (positive, negative)
    ]
    return 0.02 * terms[0] + 0.01 * terms[1]


@pytest.mark.parametrize("hardest", [2000, 5])
def test_equals_lists_of_pairs_over_two_batches(hardest):
    loss = create_distillation("ekd", hardest=hardest, momentum=0.25).double()
    people = PEOPLE.tolist()
    a_s = a_t = None
    for seed in (0, 1):
        student, teacher = embeddings(teacher_size=9, seed=seed)
        new_s, new_t = (anchors_of(similarities(f, people)) for f in (student, teacher))
        a_s = new_s if a_s is None else 0.75 * a_s + 0.25 * new_s
        a_t = new_t if a_t is None else 0.75 * a_t + 0.25 * new_t
        expected = by_hand(student, teacher, people, a_s, a_t, hardest)
        assert float(loss(student, teacher, labels=PEOPLE)) == pytest.approx(expected, rel=1e-9)
    assert {"student_anchors", "teacher_anchors", "batches"} <= set(loss.state_dict())
    before = loss.student_anchors.clone()
    loss.eval()(student, teacher, labels=PEOPLE)
    assert torch.equal(loss.student_anchors, before)


@pytest.mark.parametrize("people", [labels(0, 0, 0), labels(0, 1, 2)])
def test_batches_of_one_kind_of_pair_lack_the_other_term(people):
    loss = create_distillation("ekd").double()
    student, teacher = embeddings(batch=3)
    value = loss(student.requires_grad_(), teacher, labels=people)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()
    assert torch.isfinite(loss.student_anchors).all()
    alone = create_distillation("ekd").double()(student[:1], teacher[:1], labels=people[:1])
    assert float(alone.detach()) == 0


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="nor both 0"):
        create_distillation("ekd", positive=0.0, negative=0.0)
    with pytest.raises(ValueError, match="momentum in"):
        create_distillation("ekd", momentum=0.0)
