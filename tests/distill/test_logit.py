"""Distillation of logits against SciPy's relative entropy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from embedded_batches import embeddings, unit

from evenface.distill import create_distillation


def test_is_the_scaled_relative_entropy():
    random = np.random.default_rng(5)
    centres = torch.from_numpy(random.normal(size=(6, 8))).float()
    logits = torch.from_numpy(random.normal(size=(7, 6)) * 20)
    student, teacher = embeddings(teacher_size=8)
    loss = create_distillation("logit", centres=centres, weight=0.5, s=30.0).double()
    p_t = scipy.special.softmax(30 * unit(teacher) @ loss.centres.numpy().T / 4, axis=1)
    p_s = scipy.special.softmax(logits.numpy() / 4, axis=1)
    expected = 0.5 * 16 * scipy.stats.entropy(p_t, p_s, axis=1).mean()
    found = loss(student, teacher, classifier=logits)
    assert float(found) == pytest.approx(expected)


def test_a_cold_temperature_is_refused():
    with pytest.raises(ValueError, match="temperature must be positive"):
        create_distillation("logit", centres=torch.ones(2, 2), temperature=0.0)
