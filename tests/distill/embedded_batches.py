"""Batches of embeddings for the tests of distillation losses."""

from __future__ import annotations

import numpy as np
import torch


def embeddings(batch=7, student_size=5, teacher_size=5, seed=0):
    """Student and teacher embeddings, float64, neither normalised."""
    random = np.random.default_rng(seed)
    return tuple(
        torch.from_numpy(random.normal(size=(batch, size)) * 3)
        for size in (student_size, teacher_size)
    )


def unit(tensor):
    """L2-normalised rows as NumPy."""
    array = tensor.numpy()
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def labels(*values):
    """Identities as a tensor."""
    return torch.tensor(values, dtype=torch.int64)


def cross_entropy(cosines, own, *, s, margins, kind="arc"):
    """Of s · cos with a margin on the own class, by loops; θ + m must stay below π."""
    result = []
    for row, label, margin in zip(cosines, own, np.broadcast_to(margins, len(own)), strict=True):
        logits = s * row
        theta = np.arccos(row[label])
        assert theta + margin < np.pi or kind == "cos"
        logits[label] = s * (np.cos(theta + margin) if kind == "arc" else row[label] - margin)
        result.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label])
    return np.array(result)
