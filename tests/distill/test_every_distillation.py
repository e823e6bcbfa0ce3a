"""What holds for all distillation losses: gradients, precision, scale, state, refusals."""

from __future__ import annotations

import pytest
import torch
from embedded_batches import embeddings, labels
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.distill import SampleDistillation, create_distillation, list_distillations
from evenface.distill.base import NEEDS

NAMES = [
    "adadistill", "cckd", "darkrank", "ekd", "fitnet", "logit", "margindistillation", "pkt",
    "proxylesskd", "rkd", "sp", "template",
]  # fmt: skip
PEOPLE = labels(0, 0, 1, 1, 2, 2, 1)
RELATIONAL = ["cckd", "darkrank", "ekd", "pkt", "rkd", "sp"]


def make(name, **options):
    """The loss, and what it needs of the batch."""
    torch.manual_seed(0)
    given = {
        "adadistill": {"embedding_size": 5, "num_identities": 3},
        "fitnet": {"channels": (2, 4), "student_layer": "a", "teacher_layer": "b"},
        "logit": {"centres": torch.randn(3, 5)},
        "margindistillation": {"centres": torch.randn(3, 5)},
        "proxylesskd": {"centres": torch.randn(3, 5)},
    }
    if name == "ekd":
        options = {"temperature": 0.2} | options  # of gradients that are not next to nothing
    loss = create_distillation(name, **given.get(name, {}), **options)
    offered = {
        "labels": PEOPLE,
        "classifier": torch.randn(7, 3).double().requires_grad_(),
        "maps": (torch.randn(7, 2, 3, 3).double(), torch.randn(7, 4, 3, 3).double()),
    }
    return loss, {need: offered[need] for need in loss.needs & offered.keys()}


def test_names_are_listed_and_say_what_they_need():
    assert list_distillations() == NAMES
    for name in NAMES:
        loss, _ = make(name)
        assert loss.needs <= set(NEEDS)
        assert loss.source


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    loss, extra = make(name)
    loss = loss.double().eval()
    student, teacher = embeddings()
    assert torch.autograd.gradcheck(
        lambda s: loss(s, teacher, **extra), student.requires_grad_(), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("fitnet", "logit")])
def test_directions_count_and_lengths_do_not(name):
    loss, extra = make(name)
    loss = loss.double().eval()
    student, teacher = embeddings()
    torch.testing.assert_close(
        loss(7 * student, teacher / 3, **extra), loss(student, teacher, **extra)
    )


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(7)))
@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_batch_does_not_matter(name, order):
    loss, extra = make(name)
    loss = loss.double().eval()
    student, teacher = embeddings()
    moved = {
        key: tuple(map_[order] for map_ in value) if key == "maps" else value[order]
        for key, value in extra.items()
    }
    torch.testing.assert_close(
        loss(student[order], teacher[order], **moved), loss(student, teacher, **extra)
    )


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_computed_in_single(name):
    loss, extra = make(name)
    loss.eval()
    student, teacher = (f.float() for f in embeddings())
    extra = {
        key: tuple(map_.float() for map_ in value) if key == "maps" else value
        for key, value in extra.items()
    }
    expected = loss(student, teacher, **extra)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(student, teacher, **extra)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_weight_is_a_factor_and_no_gradient_reaches_the_teacher(name):
    student, teacher = embeddings()
    values = []
    for weight in (1.0, 2.5):
        loss, extra = make(name, weight=weight)
        teacher.requires_grad_()
        value = loss.double().eval()(student.requires_grad_(), teacher, **extra)
        value.backward()
        values.append(float(value.detach()))
    assert values[1] == pytest.approx(2.5 * values[0])
    assert values[0] > 0
    assert teacher.grad is None


@pytest.mark.parametrize("name", [*RELATIONAL, "template"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(name):
    loss, extra = make(name)
    student, _ = embeddings()
    value = loss.double()(student, 2 * student, **extra)
    if name == "darkrank":  # a likelihood: least where distances differ most
        assert value > 0
    else:
        assert float(value) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", RELATIONAL)
def test_relations_compare_embeddings_of_any_size(name):
    loss, extra = make(name)
    assert not loss.same_size
    student, teacher = embeddings(student_size=3, teacher_size=8)
    assert torch.isfinite(loss.double()(student, teacher, **extra))
    with pytest.raises(ValueError, match=r"\(B, D\) of as many images, got \(7, 3\) and \(6, 8\)"):
        loss(student, teacher[:6], **extra)


@pytest.mark.parametrize("name", NAMES)
def test_means_over_samples_are_that(name):
    loss, extra = make(name, weight=3.0)
    loss = loss.double().eval()
    if isinstance(loss, SampleDistillation):
        student, teacher = embeddings()
        by_sample = loss.by_sample(student, teacher, **extra)
        assert by_sample.shape == (7,)
        torch.testing.assert_close(3 * by_sample.mean(), loss(student, teacher, **extra))
    else:
        assert name in RELATIONAL


@pytest.mark.parametrize("name", NAMES)
def test_options_of_other_names_and_types_are_refused(name):
    with pytest.raises(TypeError, match=f"distillation loss '{name}' has no option 'speed'"):
        make(name, speed=1.0)
    with pytest.raises(ValueError, match="weight must be positive"):
        make(name, weight=0.0)
    with pytest.raises(TypeError, match=r"option weight is 'much': .* valid number"):
        make(name, weight="much")


def test_whole_numbers_may_come_as_floats():
    assert create_distillation("darkrank", length=3.0).length == 3
    with pytest.raises(TypeError, match=r"option length is 3\.5"):
        create_distillation("darkrank", length=3.5)
