"""Similarity-preserving distillation against NumPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from embedded_batches import embeddings, unit

from evenface.distill import create_distillation


def test_equals_its_formula():
    student, teacher = embeddings(teacher_size=3)
    rows = []
    for f in (unit(student), unit(teacher)):
        g = f @ f.T
        rows.append(g / np.linalg.norm(g, axis=1, keepdims=True))
    expected = 3000 * np.linalg.norm(rows[0] - rows[1], "fro") ** 2 / 49
    assert float(create_distillation("sp")(student, teacher)) == pytest.approx(expected)


def test_two_images_by_hand():
    student = torch.eye(2, dtype=torch.float64)  # G = I
    teacher = torch.ones(2, 2, dtype=torch.float64)  # G = ones, rows (1, 1)/√2
    off, diagonal = 1 / 2**0.5, 1 - 1 / 2**0.5
    expected = (2 * off**2 + 2 * diagonal**2) / 4
    assert float(create_distillation("sp", weight=1.0)(student, teacher)) == pytest.approx(expected)
