"""fold_accuracy against the field's reference loop over scikit-learn's KFold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from evenface.evaluate import fold_accuracy


def reference(
    distances: NDArray[np.float64], genuine: NDArray[np.bool_], folds: int
) -> NDArray[np.float64]:
    """Straight from the protocol's description: every threshold, every fold, one at a time."""

    def accuracy(threshold: float, rows: NDArray[np.int64]) -> float:
        predicted = np.less(distances[rows], threshold)
        true_accepts = np.sum(np.logical_and(predicted, genuine[rows]))
        true_rejects = np.sum(np.logical_and(~predicted, ~genuine[rows]))
        return float(true_accepts + true_rejects) / len(rows)

    result = []
    for training, held_out in KFold(n_splits=folds, shuffle=False).split(distances):
        on_training = [accuracy(t, training) for t in np.arange(0, 4, 0.01)]
        best = np.arange(0, 4, 0.01)[np.argmax(on_training)]
        result.append(accuracy(best, held_out))
    return np.array(result)


GRID = np.arange(0, 4, 0.01)
DISTANCES = st.one_of(
    st.floats(0, 4),
    st.sampled_from(GRID.tolist()),  # exactly on a threshold
    st.sampled_from([0.0, 0.5, 1.0, 4.0]),  # many ties
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_the_reference_to_the_last_digit(data: st.DataObject) -> None:
    pairs = data.draw(st.integers(2, 45))
    folds = data.draw(st.integers(2, min(pairs, 12)))
    distances = data.draw(hnp.arrays(np.float64, pairs, elements=DISTANCES))
    genuine = data.draw(hnp.arrays(np.bool_, pairs))
    np.testing.assert_array_equal(
        fold_accuracy(distances, genuine, folds=folds), reference(distances, genuine, folds)
    )


@pytest.mark.parametrize("pairs", [600, 607])
def test_equals_the_reference_on_realistic_distances(pairs: int) -> None:
    rng = np.random.default_rng(3)
    genuine = np.arange(pairs) // 30 % 2 == 0
    distances = np.clip(np.where(genuine, 1.0, 1.7) + rng.normal(0, 0.35, pairs), 0, 4)
    result = fold_accuracy(distances, genuine)
    np.testing.assert_array_equal(result, reference(distances, genuine, 10))
    assert 0.7 < result.mean() < 0.95


def test_single_precision_distances_are_compared_exactly() -> None:
    rng = np.random.default_rng(4)
    distances = rng.choice(GRID, 200).astype(np.float32)
    genuine = rng.random(200) < 0.5
    expected = reference(distances.astype(np.float64), genuine, 10)
    np.testing.assert_array_equal(fold_accuracy(distances, genuine), expected)
