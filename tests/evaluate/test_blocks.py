"""The highest impostor scores, block by block, against all of them at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.blocks import ImpostorTail, impostor_tail


def everything(a: NDArray, b: NDArray, different: NDArray) -> NDArray:
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    return np.sort((unit[0] @ unit[1].T)[different])[::-1]


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_pairs_within_one_set(block: int) -> None:
    rng = np.random.default_rng(0)
    embeddings, identity = rng.normal(size=(200, 16)), rng.integers(0, 40, 200)
    different = np.triu(identity[:, None] != identity, k=1)
    expected = everything(embeddings, embeddings, different)
    tail = impostor_tail(embeddings, identity, keep=300, block=block)
    assert tail.pairs == different.sum()
    np.testing.assert_allclose(tail.scores, expected[:300], atol=1e-6)


@pytest.mark.parametrize("keep", [1, 50, 10**6])
def test_pairs_across_two_sets(keep: int) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(90, 8)), rng.normal(size=(110, 8))
    who, other = rng.integers(0, 30, 90), rng.integers(0, 30, 110)
    different = who[:, None] != other
    tail = impostor_tail(a, who, b, other, keep=keep, block=32)
    assert tail.pairs == different.sum()
    assert len(tail.scores) == min(keep, tail.pairs)
    np.testing.assert_allclose(tail.scores, everything(a, b, different)[:keep], atol=1e-6)


def test_threshold_and_rate_belong_together() -> None:
    tail = ImpostorTail(1000, np.array([0.75, 0.5, 0.5, 0.25], dtype=np.float32))
    assert tail.fmr(0.75) == 1e-3
    assert tail.fmr(0.8) == 0
    assert tail.fmr(0.3) == 3e-3
    # Two may be accepted, but the second and third score alike.
    assert tail.threshold(2e-3) == 0.75
    assert tail.threshold(3e-3) == 0.5
    tied = ImpostorTail(1000, np.array([0.75, 0.75, 0.5], dtype=np.float32))
    assert tied.threshold(1e-3) == np.inf


def test_what_the_tail_does_not_hold_is_refused() -> None:
    tail = ImpostorTail(1000, np.array([0.9, 0.8], dtype=np.float32))
    assert tail.highest_fmr == 2e-3
    with pytest.raises(ValueError, match="below the 2 scores kept"):
        tail.fmr(0.1)
    with pytest.raises(ValueError, match="keep more"):
        tail.threshold(1e-2)
    with pytest.raises(ValueError, match="at least one is needed"):
        tail.threshold(1e-4)


def test_one_person_has_no_impostor() -> None:
    tail = impostor_tail(np.eye(3), np.zeros(3, dtype=np.int64), keep=5)
    assert (tail.pairs, len(tail.scores)) == (0, 0)
    with pytest.raises(ValueError, match="no impostor pairs"):
        tail.fmr(0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, i: impostor_tail(e, i, keep=0), "positive"),
        (lambda e, i: impostor_tail(e, i[:-1], keep=1), r"\(N,\) identities"),
        (lambda e, i: impostor_tail(e, i, np.ones((2, 9)), i[:2], keep=1), "dimensions"),
        (lambda e, i: impostor_tail(e, i, np.ones((2, 4)), keep=1), "together"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.eye(4), np.arange(4))


def test_an_unusable_embedding_is_named() -> None:
    embeddings = np.eye(4)
    embeddings[3] = 0
    with pytest.raises(DataError, match=r"block from row 2 on: embedding of row 1 has zero norm"):
        impostor_tail(embeddings, np.arange(4), keep=1, block=2)
