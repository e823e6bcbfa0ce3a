"""Splits share no identity and keep the proportions of every group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.data.manifest import Manifest
from evenface.data.splits import split_by_identity

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def some_people(describe: Callable[..., Manifest], sizes: list[int]) -> Manifest:
    groups = ("north", "south", None)
    people = [
        (f"{groups[g]}{i}", groups[g], 1 + i % 3) for g, n in enumerate(sizes) for i in range(n)
    ]
    return describe("real", people)


def members(manifest: Manifest) -> dict[str, str]:
    return dict(zip(manifest.column("identity"), manifest.column("split"), strict=True))


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, 15), min_size=3, max_size=3).filter(any), seed=st.integers(0))
def test_disjoint_stratified_and_independent_of_row_order(
    describe: Callable[..., Manifest], sizes: list[int], seed: int
) -> None:
    manifest = some_people(describe, sizes)
    result = split_by_identity(manifest, SHARES, seed=seed)
    where = members(result)
    pairs = set(zip(result.column("identity"), result.column("split"), strict=True))
    assert len(pairs) == len(where)  # nobody is in two splits
    for group, size in zip(("north", "south", "None"), sizes, strict=True):
        for split, share in SHARES.items():
            count = sum(name.startswith(group) and found == split for name, found in where.items())
            assert abs(count - share * size) < 1
    order = np.random.default_rng(seed).permutation(len(manifest))
    assert members(split_by_identity(manifest.select(order), SHARES, seed=seed)) == where


def test_seed_decides(describe: Callable[..., Manifest]) -> None:
    manifest = some_people(describe, [15, 15, 0])
    first, same, other = (
        members(split_by_identity(manifest, SHARES, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 1.2, "b": -0.2}, {"a": 0.6, "b": 0.6}])
def test_wrong_fractions(describe: Callable[..., Manifest], fractions: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        split_by_identity(some_people(describe, [3, 3, 0]), fractions, seed=0)
