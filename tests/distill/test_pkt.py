"""Probabilistic knowledge transfer against SciPy's relative entropy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from embedded_batches import embeddings, unit

from evenface.distill import create_distillation


def test_is_the_mean_relative_entropy_of_the_rows():
    student, teacher = embeddings(teacher_size=8)
    p_s, p_t = ((unit(f) @ unit(f).T + 1) / 2 for f in (student, teacher))
    p_s, p_t = (p / p.sum(axis=1, keepdims=True) for p in (p_s, p_t))
    expected = np.mean([scipy.stats.entropy(t, s) for s, t in zip(p_s, p_t, strict=True)]) / 7
    loss = create_distillation("pkt", weight=1.0)(student, teacher)
    assert float(loss) == pytest.approx(expected, rel=1e-4)  # ε
    assert create_distillation("pkt").weight == 30_000
