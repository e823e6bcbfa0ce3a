"""A sample of the classes, in one process. Several are in test_distributed.py."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from evenface.errors import UsageError
from evenface.models import create_head
from evenface.train.batches import BatchSource
from evenface.train.distributed import ALONE, World
from evenface.train.learner import Learner
from evenface.train.sharded_head import Shard, shard_head, sharded_cross_entropy

C, D = 40, 6


def made(sample):
    torch.manual_seed(1)
    head = create_head("arcface", embedding_size=D, num_identities=C).double()
    torch.nn.init.normal_(head.weight)
    embeddings = torch.randn(4, D, dtype=torch.float64, requires_grad=True)
    return head, shard_head(head, ALONE, sample), embeddings, torch.tensor([3, 39, 3, 0])


def test_the_loss_is_that_of_the_active_classes_alone():
    head, shard, embeddings, labels = made(0.25)
    loss = sharded_cross_entropy(head, shard, embeddings, labels, seed=5)
    loss.backward()
    active = shard.active(labels, 5)
    assert len(active) == 10
    logits = head(embeddings, labels)[:, active]
    expected = F.cross_entropy(logits, torch.searchsorted(active, labels))
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
    touched = head.weight.grad.abs().sum(dim=1) > 0
    assert touched.nonzero()[:, 0].tolist() == active.tolist()


def test_all_classes_are_the_plain_loss():
    head, shard, embeddings, labels = made(1.0)
    loss = sharded_cross_entropy(head, shard, embeddings, labels)
    expected = F.cross_entropy(head(embeddings, labels), labels)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    classes=st.integers(4, 60),
    size=st.integers(1, 4),
    sample=st.floats(0.01, 1),
    seed=st.integers(0, 2**40),
    data=st.data(),
)
def test_active_classes_are_distinct_and_hold_those_of_the_batch(classes, size, sample, seed, data):
    labels = torch.tensor(data.draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=9)))
    reached = []
    for rank in range(size):
        shard = Shard(classes, World(rank, size, rank), sample)
        count = shard.stop - shard.start
        if count <= 0:
            continue
        active = shard.active(labels, seed)
        assert torch.equal(active, shard.active(labels.flip(0), seed))
        assert torch.equal(active, active.unique())
        assert 0 <= int(active.min()) <= int(active.max()) < count
        assert len(active) >= min(count, sample * count)
        reached += (active + shard.start).tolist()
    assert set(labels.tolist()) <= set(reached)


def test_other_steps_use_other_classes():
    _, shard, _, labels = made(0.5)
    used = torch.cat([shard.active(labels, seed) for seed in range(20)])
    assert set(used.tolist()) == set(range(C))


def test_a_sample_is_trained_with_and_repeats(make_recipe, manifest):
    recipe = make_recipe(head={"name": "adaface", "sample": 0.5})
    results = []
    for _ in range(2):
        learner = Learner(recipe, 6, torch.device("cpu"))
        source = BatchSource(manifest, None, batch_size=8, seed=0, flip=True)
        results.append([float(learner.step(source.batch(s), 0.05, s)["loss"]) for s in range(3)])
    assert results[0] == results[1]


def test_what_needs_all_classes_is_refused(make_recipe, cache):
    recipe = make_recipe(
        head={"name": "adaface", "sample": 0.5},
        distill={"cache": cache.folder, "name": "logit", "centres": "mean"},
    )
    with pytest.raises(UsageError, match="needs a head that knows all classes"):
        Learner(recipe, 6, torch.device("cpu"))


def test_more_processes_than_classes_are_refused():
    head = create_head("arcface", embedding_size=D, num_identities=3)
    with pytest.raises(ValueError, match="3 identities cannot be spread over 4 processes"):
        shard_head(head, World(0, 4, 0))
