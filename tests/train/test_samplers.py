"""Samplers: what an epoch holds, for any numbers of identities and groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.train.samplers import create_sampler, list_samplers

NAMES = ["groups", "groups_identities", "identities", "uniform"]


@st.composite
def sets(draw):
    """Labels and groups of a training set whose identities and groups differ in size."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=12))
    group_of_identity = draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return labels, np.array(group_of_identity)[labels]


def even(counts):
    return counts.max() - counts.min() <= 1


def counts(codes, rows):
    """How often each code is met in rows."""
    present = np.unique(codes)
    return np.array([(codes[rows] == code).sum() for code in present])


def test_names_are_listed():
    assert list_samplers() == NAMES
    with pytest.raises(ValueError, match="unknown sampler 'best'; known: groups"):
        create_sampler("best", labels=np.zeros(2), groups=np.zeros(2), seed=0)


@settings(max_examples=30, deadline=None)
@given(data=sets(), seed=st.integers(0, 2**40), epoch=st.integers(0, 50))
@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_is_as_long_as_the_set_and_a_function_of_seed_and_epoch(name, data, seed, epoch):
    labels, groups = data
    order = create_sampler(name, labels=labels, groups=groups, seed=seed)
    rows = order(epoch)
    assert rows.shape == labels.shape
    assert rows.min() >= 0
    assert rows.max() < len(labels)
    again = create_sampler(name, labels=labels, groups=groups, seed=seed)
    again(epoch + 1)
    np.testing.assert_array_equal(again(epoch), rows)


@settings(max_examples=30, deadline=None)
@given(data=sets(), epoch=st.integers(0, 50))
def test_balance(data, epoch):
    labels, groups = data
    rows = {
        name: create_sampler(name, labels=labels, groups=groups, seed=1)(epoch) for name in NAMES
    }
    assert sorted(rows["uniform"]) == list(range(len(labels)))
    assert even(counts(labels, rows["identities"]))
    assert even(counts(groups, rows["groups"]))
    assert even(counts(groups, rows["groups_identities"]))
    for group in np.unique(groups):
        in_group = groups == group
        own = rows["groups_identities"][in_group[rows["groups_identities"]]]
        of_identities = [(labels[own] == label).sum() for label in np.unique(labels[in_group])]
        assert even(np.array(of_identities))


@settings(max_examples=30, deadline=None)
@given(data=sets(), epoch=st.integers(0, 50))
def test_rows_take_turns(data, epoch):
    labels, groups = data
    for name, codes in (("identities", labels), ("groups", groups)):
        rows = create_sampler(name, labels=labels, groups=groups, seed=1)(epoch)
        times = np.bincount(rows, minlength=len(labels))
        for code in np.unique(codes):
            assert even(times[codes == code])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(20, 60), min_size=2, max_size=4), st.integers(0, 99))
def test_batches_hold_nearly_as_many_of_every_group(sizes, epoch):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    for name in ("groups", "groups_identities"):
        rows = create_sampler(name, labels=np.arange(len(groups)), groups=groups, seed=3)(epoch)
        batch = 4 * len(sizes)
        for start in range(0, len(rows) - batch + 1, batch):
            found = np.bincount(groups[rows[start : start + batch]], minlength=len(sizes))
            assert (abs(found - 4) <= 2).all()


def test_epochs_and_seeds_differ_and_all_rows_have_their_turn():
    labels = np.repeat(np.arange(4), [2, 10, 30, 60])
    for name in NAMES:
        make = [create_sampler(name, labels=labels, groups=labels % 2, seed=s) for s in (0, 1)]
        assert not np.array_equal(make[0](0), make[0](1))
        assert not np.array_equal(make[0](0), make[1](0))
        seen = np.concatenate([make[0](epoch) for epoch in range(20)])
        assert set(seen) == set(range(len(labels)))


def test_one_row_against_many_is_repeated():
    labels = np.array([0] + [1] * 999)
    rows = create_sampler("identities", labels=labels, groups=labels, seed=0)(0)
    assert (rows == 0).sum() == 500
    assert np.unique(rows[rows > 0]).size == 500
