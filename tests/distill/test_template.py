"""Template distillation equals the paper's λ · MSE of normalised embeddings."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from evenface.distill import (
    create_distillation,
    list_distillations,
    mse_lambda,
    weight_of_lambda,
)


@pytest.mark.parametrize("size", [128, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_lambda_times_mse(size, dtype):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(7, size, generator=generator, dtype=dtype) for _ in range(2))
    loss = create_distillation("template", weight=39.0625)(3 * student, teacher / 5)
    mse = F.mse_loss(F.normalize(student), F.normalize(teacher))
    torch.testing.assert_close(loss, mse * mse_lambda(39.0625, size), rtol=1e-5, atol=0)
    cosine = F.cosine_similarity(student, teacher).mean()
    torch.testing.assert_close(loss, 39.0625 * (1 - cosine), rtol=1e-5, atol=0)


def test_the_papers_lambda():
    assert weight_of_lambda(10_000, 512) == 39.0625
    assert weight_of_lambda(10_000, 128) == pytest.approx(156.25)
    assert create_distillation("template").weight == 39.0625


@given(st.floats(0.01, 1e5), st.integers(1, 2048))
def test_conversions_are_inverse(weight, size):
    assert weight_of_lambda(mse_lambda(weight, size), size) == pytest.approx(weight)


def test_ends_and_gradient():
    loss = create_distillation("template", weight=1.0)
    f = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    assert float(loss(f, 4 * f)) == 0
    assert float(loss(f, -f)) == pytest.approx(2)
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student)
    target = teacher.requires_grad_()
    loss(student, target).backward()
    assert target.grad is None


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="weight must be positive"):
        create_distillation("template", weight=0)
    with pytest.raises(ValueError, match="of one shape"):
        create_distillation("template")(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="unknown distillation loss 'x'; known: adadistill"):
        create_distillation("x")
    assert "template" in list_distillations()
