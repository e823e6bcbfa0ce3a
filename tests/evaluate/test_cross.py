"""The cross-table against counting pairs one by one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evenface.evaluate.bootstrap import expansion, wilson_interval, zero_error_limit
from evenface.evaluate.cross import CrossPair, CrossScores, compare_across, cross_tables
from evenface.evaluate.results import CrossCell

GROUPS = ("a", "b")


@pytest.fixture
def faces() -> tuple[NDArray, list[NDArray], list[NDArray]]:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(60, 6))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    rows = [np.arange(35), np.arange(35, 60)]
    people = [rng.integers(0, 9, 35), rng.integers(0, 7, 25)]
    people = [np.unique(p, return_inverse=True)[1] for p in people]
    return embeddings, rows, people


def test_every_cell_counts_its_pairs(faces) -> None:
    embeddings, rows, people = faces
    cells = compare_across(embeddings, rows, people, 0.3, images=None)
    tables = cross_tables(cells, GROUPS, [(0.2, 0.3), (0.1, 0.4)], level=0.9)
    table = tables[1]
    assert [(t.target_fmr, t.threshold) for t in tables] == [(0.2, 0.3), (0.1, 0.4)]
    cosine = embeddings @ embeddings.T
    for g, h in ((0, 0), (0, 1), (1, 1)):
        pairs = [
            (i, j)
            for i in range(len(rows[g]))
            for j in range(len(rows[h]))
            if g != h or (i < j and people[g][i] != people[h][j])
        ]
        matched = [cosine[rows[g][i], rows[h][j]] >= 0.4 for i, j in pairs]
        cell = table.cells[GROUPS[g]][GROUPS[h]]
        assert (cell.pairs, cell.matches) == (len(pairs), sum(matched))
        assert cell.value == pytest.approx(np.mean(matched))
        assert table.cells[GROUPS[h]][GROUPS[g]] == cell
        ends = [(("ab"[g], people[g][i]), ("ab"[h], people[h][j])) for i, j in pairs]
        variance = dyadic_variance(np.array(matched) - np.mean(matched), ends)
        trials = people[g].max() + 1
        trials = trials // 2 if g == h else min(trials, people[h].max() + 1)
        expected = wilson_interval(cell.value, variance * expansion(trials, 0.9) ** 2, 0.9)
        assert (cell.low, cell.high) == pytest.approx(expected)


def test_pairs_of_a_table_have_the_same_variance(faces) -> None:
    embeddings, rows, people = faces
    (i, j), (a, b) = np.triu_indices(35, 1), (people[0], people[0])
    apart = a[i] != b[j]
    i, j = i[apart], j[apart]
    scores = (embeddings[rows[0][i]] * embeddings[rows[0][j]]).sum(axis=1)
    order = np.argsort(-scores)
    table = CrossScores(scores[order], a[i][order], b[j][order])
    whole = compare_across(embeddings, rows, people, 0.4, images=None)[CrossPair(0, 0)]
    matches = int((scores >= 0.4).sum())
    expected = whole.variance(matches, matches / len(i), within=True)
    assert table.variance(matches, matches / len(i), within=True) == pytest.approx(expected)


def dyadic_variance(errors: NDArray, ends: list[tuple[object, object]]) -> float:
    """By brute force: products of the errors of all pairs of pairs that share a person."""
    shared = np.array([[bool(set(one) & set(other)) for other in ends] for one in ends])
    alike = np.array([[set(one) == set(other) for other in ends] for one in ends])
    products = errors[:, None] * errors
    return max(products[shared].sum(), products[alike].sum()) / len(errors) ** 2


def test_images_are_spread_over_people(faces) -> None:
    embeddings, rows, people = faces
    cells = compare_across(embeddings, rows, people, -1.0, images=8)
    first, second = cells[CrossPair(0, 1)].images or (None, None)
    assert first.sum() == second.sum() == 8
    assert first.max() <= 2
    again = compare_across(embeddings, rows, people, -1.0, images=8)
    np.testing.assert_array_equal(cells[CrossPair(0, 1)].scores, again[CrossPair(0, 1)].scores)
    assert len(cells[CrossPair(0, 1)].scores) == 64


def at(threshold: float, pairs: CrossScores, level: float | None = 0.95) -> CrossCell:
    (table,) = cross_tables({CrossPair(0, 1): pairs}, GROUPS, [(0.1, threshold)], level=level)
    assert list(table.cells["a"]) == ["b"]
    return table.cells["a"]["b"]


def test_pairs_of_a_table_and_no_match() -> None:
    pairs = CrossScores(np.array([0.9, 0.2]), np.array([0, 1]), np.array([2, 0]))
    assert at(0.5, pairs).value == 0.5
    nothing = at(0.95, pairs)
    assert (nothing.value, nothing.low) == (0, 0)
    assert nothing.high == pytest.approx(zero_error_limit(2, 0.025))
    assert "none seen" in (nothing.note or "")


def test_without_resamples_there_are_no_intervals() -> None:
    pairs = CrossScores(np.array([0.9, 0.2]), np.array([0, 1]), None)
    cell = at(0.5, pairs, None)
    assert (cell.value, cell.low, cell.high) == (0.5, None, None)
