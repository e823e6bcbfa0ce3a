"""Thresholds chosen on some pairs and measured on others, against doing it by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evenface.evaluate.evaluation import identity_halves
from evenface.evaluate.operating import TARGETS, HeldOutThresholds, SplitScores


def split(seed: int, parts: int, size: int = 400, decimals: int = 2) -> SplitScores:
    rng = np.random.default_rng(seed)
    genuine = rng.random(size) < 0.4
    scores = np.round(rng.normal(size=size) + 2 * genuine, decimals)
    part = rng.integers(-1 if parts > 1 else 0, parts, size)
    return SplitScores(scores, genuine, part)


def by_hand(
    groups: list[SplitScores], parts: int, target: float, choosers: list[int]
) -> list[tuple[float, float]]:
    """FMR and FNMR of each group, each part at the loosest threshold that keeps the target."""
    candidates = np.unique(np.concatenate([g.scores[g.part >= 0] for g in groups]))
    chosen = []
    for p in range(parts):

        def others(g: SplitScores, p: int = p) -> NDArray:
            return (g.part >= 0) & ((g.part != p) | (parts == 1)) & ~g.genuine

        def rate(t: float, others=others) -> float:
            rates = [np.mean(groups[c].scores[others(groups[c])] >= t) for c in choosers]
            return float(np.mean(rates))

        keeps = [t for t in [*candidates, np.inf] if rate(t) <= target]
        chosen.append(min(keeps))
    found = []
    for g in groups:
        thresholds = np.array([*chosen, np.nan])[g.part]
        accepted = g.scores >= thresholds
        used = g.part >= 0
        fmr = accepted[used & ~g.genuine].mean()
        found.append((fmr, 1 - accepted[used & g.genuine].mean()))
    return found


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_rates_are_those_found_by_hand(parts: int) -> None:
    groups = [split(seed, parts) for seed in (1, 2, 3)]
    measured = HeldOutThresholds(groups).measure([np.ones((1, 400), dtype=np.int64)] * 3)
    for key in ("1e-1", "3e-2", "1e-2"):
        expected = by_hand(groups, parts, TARGETS[key], [0, 1, 2])
        np.testing.assert_allclose(measured[f"fmr@{key}"][0], [of[0] for of in expected])
        np.testing.assert_allclose(measured[f"fnmr@{key}"][0], [of[1] for of in expected])
        for g in range(3):
            own = by_hand(groups, parts, TARGETS[key], [g])[g]
            assert measured[f"own.fmr@{key}"][0, g] == pytest.approx(own[0])
            assert measured[f"own.fnmr@{key}"][0, g] == pytest.approx(own[1])


def test_weights_are_copies() -> None:
    groups = [split(seed, 2) for seed in (1, 2)]
    rng = np.random.default_rng(0)
    weights = [rng.integers(0, 4, 400) for _ in groups]
    copies = [
        SplitScores(np.repeat(g.scores, w), np.repeat(g.genuine, w), np.repeat(g.part, w))
        for g, w in zip(groups, weights, strict=True)
    ]
    weighed = HeldOutThresholds(groups).measure([w[None] for w in weights])
    ones = [np.ones((1, len(c.scores)), dtype=np.int64) for c in copies]
    written_out = HeldOutThresholds(copies).measure(ones)
    for name in ("fmr@1e-2", "fnmr@1e-1", "own.fnmr@3e-2"):
        np.testing.assert_allclose(weighed[name], written_out[name])


def test_the_target_is_kept_on_the_pairs_that_choose() -> None:
    held_out = HeldOutThresholds([split(seed, 1, decimals=6) for seed in (1, 2)])
    measured = held_out.measure([np.ones((1, 400), dtype=np.int64)] * 2)
    for key, target in TARGETS.items():
        assert measured[f"fmr@{key}"][0].mean() <= target
    assert measured["fmr@1e-1"][0].mean() > 0.09


def test_the_worst_case_threshold_is_the_best_of_all() -> None:
    groups = [split(seed, 1) for seed in (1, 2)]
    held_out = HeldOutThresholds(groups)

    def worst(threshold: float) -> float:
        return max(
            (np.mean(g.scores[~g.genuine] >= threshold) + np.mean(g.scores[g.genuine] < threshold))
            / 2
            for g in groups
        )

    best = min(worst(t) for t in held_out.thresholds)
    errors = held_out.measure([np.ones((1, 400), dtype=np.int64)] * 2)["worst_case.error"]
    assert errors.max() == pytest.approx(best)
    assert worst(held_out.thresholds[held_out.worst_case[0]]) == pytest.approx(best)


def test_a_part_is_not_measured_at_its_own_choice() -> None:
    """Impostors of part 0 score higher than all of part 1: each part's threshold is the other's."""
    scores = np.array([0.9, 0.8, 0.2, 0.1, 0.95, 0.25])
    part = np.array([0, 0, 1, 1, 0, 1])
    genuine = np.array([False, False, False, False, True, True])
    held_out = HeldOutThresholds([SplitScores(scores, genuine, part)])
    measured = held_out.measure([np.ones((1, 6), dtype=np.int64)])
    # Part 0 at a threshold above 0.2 (part 1's impostors), part 1 at one above 0.9.
    assert measured["fmr@1e-1"][0, 0] == 0.5
    assert measured["fnmr@1e-1"][0, 0] == 0.5


def test_a_group_without_weight_makes_all_undefined() -> None:
    groups = [split(seed, 2) for seed in (1, 2)]
    weights = [np.ones((2, 400), dtype=np.int64), np.ones((2, 400), dtype=np.int64)]
    weights[1][1] = 0
    measured = HeldOutThresholds(groups).measure(weights)
    assert np.isnan(measured["fmr@1e-2"]).tolist() == [[False, False], [True, True]]
    assert np.isnan(measured["own.fmr@1e-2"]).tolist() == [[False, False], [False, True]]


def test_a_group_without_genuine_pairs_has_no_worst_case() -> None:
    only = split(1, 1)
    lacking = SplitScores(only.scores, np.zeros(400, dtype=bool), only.part)
    held_out = HeldOutThresholds([only, lacking])
    assert held_out.worst_case is None
    measured = held_out.measure([np.ones((1, 400), dtype=np.int64)] * 2)
    assert np.isnan(measured["fnmr@1e-2"][0, 1])
    assert not np.isnan(measured["fmr@1e-2"][0, 1])


def test_halves_hold_whole_people_of_every_group() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 500)
    first = 20 * group + rng.integers(0, 20, 500)
    # Impostors of a group may be of another one.
    second = rng.integers(0, 40, 500)
    part = identity_halves(group, first, second, groups=("a", "b"), seed=0)
    sides = [set(first[part == p]) | set(second[part == p]) for p in (0, 1)]
    assert not sides[0] & sides[1]
    for start in (0, 20):
        assert {len([i for i in side if start <= i < start + 20]) for side in sides} == {10}
    assert (part == -1).any()
    other = identity_halves(group, first, second, groups=("a", "b"), seed=1)
    assert (other != part).any()
