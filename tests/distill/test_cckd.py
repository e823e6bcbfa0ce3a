"""Correlation congruence against the series written out, and against the kernel it expands."""

from __future__ import annotations

import numpy as np
import pytest
from embedded_batches import embeddings, unit

from evenface.distill import create_distillation


def test_equals_the_series_of_second_order():
    student, teacher = embeddings(teacher_size=9)
    c_s, c_t = (unit(f) @ unit(f).T for f in (student, teacher))
    k_s, k_t = (np.exp(-0.8) * (1 + 0.8 * c + 0.32 * c**2) for c in (c_s, c_t))
    expected = np.mean((k_s - k_t) ** 2)
    assert float(create_distillation("cckd")(student, teacher)) == pytest.approx(expected)


def test_many_orders_are_the_gaussian_kernel():
    student, teacher = embeddings()
    kernels = []
    for f in (unit(student), unit(teacher)):
        squares = ((f[:, None] - f[None]) ** 2).sum(axis=2)
        kernels.append(np.exp(-0.4 * squares))
    expected = np.mean((kernels[0] - kernels[1]) ** 2)
    loss = create_distillation("cckd", order=20)
    assert float(loss(student, teacher)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"order": 0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match="gamma must be positive and order at least 1"):
        create_distillation("cckd", **options)
