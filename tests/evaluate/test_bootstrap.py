"""Identity bootstrap: weights, intervals, paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evenface.evaluate.bootstrap import (
    Figure,
    centred,
    count_chunks,
    expansion,
    identity_counts,
    mean_figure,
    pair_draws,
    pair_weights,
    paired_difference,
    percentile_interval,
    shrink,
    shrinkage,
    wilson_interval,
    zero_error_limit,
)


def test_counts_resample_as_many_identities() -> None:
    counts = identity_counts(30, 500, seed=1, group="a")
    assert counts.shape == (500, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean() == 1
    assert counts.var() == pytest.approx(1 - 1 / 30, rel=0.05)


def test_counts_depend_on_seed_and_group_only() -> None:
    first = identity_counts(8, 20, seed=1, group="a")
    np.testing.assert_array_equal(first, identity_counts(8, 20, seed=1, group="a"))
    assert (first != identity_counts(8, 20, seed=2, group="a")).any()
    assert (first != identity_counts(8, 20, seed=1, group="b")).any()


@given(st.integers(0, 10_000))
def test_weights_are_the_number_of_copies_of_a_pair(seed: int) -> None:
    """Draw identities, write the resample out image by image, and count each pair."""
    rng = np.random.default_rng(seed)
    identity = np.array([0, 0, 0, 1, 1, 2, 3, 3])
    drawn = rng.integers(0, 4, 4)
    a, b = np.triu_indices(len(identity), k=1)
    # A copy of an identity brings its own images: genuine pairs are within one copy, impostor
    # pairs between copies of different identities.
    copies = dict.fromkeys(zip(a, b, strict=True), 0)
    members = [np.flatnonzero(identity == i) for i in drawn]
    for first in range(4):
        for i in members[first]:
            for j in members[first]:
                if i < j:
                    copies[i, j] += 1
        for second in range(first + 1, 4):
            if drawn[first] != drawn[second]:
                for i in members[first]:
                    for j in members[second]:
                        copies[min(i, j), max(i, j)] += 1
    counts = np.bincount(drawn, minlength=4)[None]
    weights = pair_weights(counts, identity[a], identity[b])
    assert weights[0].tolist() == list(copies.values())


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.95]))
def test_interval_holds_at_least_its_share(samples: list[float], level: float) -> None:
    low, high = percentile_interval(samples, level)
    values = np.array(samples)
    assert np.mean((values >= low) & (values <= high)) >= level - 1e-9
    assert low in values
    assert high in values


def test_interval_of_many_normal_replicates() -> None:
    low, high = percentile_interval(stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000))
    assert (low, high) == pytest.approx((-1.95996, 1.95996), abs=1e-3)


def test_undefined_replicates_widen_the_interval() -> None:
    samples = np.concatenate([np.full(90, 0.5), np.full(10, np.nan)])
    assert percentile_interval(samples, floor=0, ceiling=1) == (0, 1)
    assert percentile_interval(samples) == (-np.inf, np.inf)
    samples = np.concatenate([np.full(9_999, 0.5), [np.nan]])
    assert percentile_interval(samples) == (0.5, 0.5)


def test_infinite_replicates_leave_the_other_bound() -> None:
    samples = np.concatenate([np.linspace(1, 2, 90), np.full(10, np.inf)])
    low, high = percentile_interval(samples)
    assert 1 <= low < 1.1
    assert high == np.inf


@pytest.mark.parametrize(
    ("samples", "level", "message"),
    [([], 0.95, "empty"), ([[1.0]], 0.95, "one-dim"), ([1.0], 1.0, "level"), ([1.0], 0, "level")],
)
def test_bad_replicates_are_refused(samples, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        percentile_interval(samples, level)


def test_pairing_removes_what_is_common() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(0.9, 0.05, 1000)
    first, second = common + rng.normal(0, 0.002, 1000), common + 0.01
    difference = paired_difference(first, second, 0.90, 0.91)
    assert difference.value == pytest.approx(0.01)
    assert difference.low is not None
    assert difference.high is not None
    assert 0 < difference.low < 0.01 < difference.high < 0.02
    assert difference.distinguishable
    assert difference.p_value == pytest.approx(2 / 1001)


def test_a_model_cannot_be_told_from_itself() -> None:
    samples = np.random.default_rng(0).normal(size=100)
    difference = paired_difference(samples, samples, 0.0, 0.0)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert difference.p_value == 1
    assert not difference.distinguishable


def test_p_value_counts_replicates_on_the_smaller_side() -> None:
    difference = paired_difference(np.zeros(99), [-1.0] * 4 + [1.0] * 95, 0.0, 1.0)
    assert difference.p_value == pytest.approx(2 * 5 / 100)
    assert difference.p_greater == pytest.approx(5 / 100)


def test_undefined_replicates_are_no_evidence() -> None:
    first, second = [np.inf] * 10 + [1.0] * 90, [np.inf] * 10 + [2.0] * 90
    difference = paired_difference(first, second, 1.0, 2.0)
    assert (difference.value, difference.low, difference.high) == (1, None, None)
    assert difference.p_value == pytest.approx(2 * 11 / 101)
    assert not difference.distinguishable


def test_undefined_measures_have_no_difference() -> None:
    difference = paired_difference([1.0, 2.0], [2.0, 3.0], None, 2.0)
    assert (difference.value, difference.low, difference.p_value) == (None, None, None)
    assert not difference.distinguishable


def test_replicates_must_match() -> None:
    with pytest.raises(ValueError, match="one to one"):
        paired_difference([1.0, 2.0], [1.0], 1.0, 1.0)


@given(st.integers(1, 100_000), st.floats(0.001, 0.5))
def test_limit_of_no_errors_is_clopper_and_pearsons(trials: int, alpha: float) -> None:
    exact = stats.beta.ppf(1 - alpha, 1, trials)
    assert zero_error_limit(trials, alpha) == pytest.approx(exact, rel=1e-6)


def test_limit_of_no_errors_is_the_rule_of_three() -> None:
    assert zero_error_limit(1000, 0.05) == pytest.approx(3 / 1000, rel=0.01)
    with pytest.raises(ValueError, match="trial"):
        zero_error_limit(0, 0.05)


@pytest.mark.parametrize("size", [1, 7, 50, 64])
def test_chunks_are_parts_of_the_same_draw(size: int) -> None:
    chunks = list(count_chunks([30, 5], ["a", "b"], 50, seed=4, size=size))
    assert max(len(chunk[0]) for chunk in chunks) <= size
    for g, (group, identities) in enumerate((("a", 30), ("b", 5))):
        found = np.concatenate([chunk[g] for chunk in chunks])
        np.testing.assert_array_equal(found, identity_counts(identities, 50, 4, group))
    assert not list(count_chunks([30], ["a"], 0, seed=4, size=size))


def weighed(errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R,) means under weights (R, P)."""
    w = weights.astype(np.float64)
    return (w @ errors) / w.sum(axis=1)


def pairs_of_people(rng: np.random.Generator, people: int) -> tuple[np.ndarray, ...]:
    """Genuine and impostor pairs, several of one two people, with errors that people share."""
    i, j = np.triu_indices(people)
    i, j = np.repeat(i, 2), np.repeat(j, 2)
    clumsy = rng.normal(size=people)
    errors = (clumsy[i] + clumsy[j] + rng.normal(size=len(i)) > 1.5).astype(np.float64)
    return i, j, errors


def test_both_kinds_of_replicates_have_the_variances_they_should() -> None:
    """Against sums over all pairs of pairs that share a person: brute force."""
    rng = np.random.default_rng(0)
    i, j, errors = pairs_of_people(rng, 40)
    centred = errors - errors.mean()
    shared = (i[:, None] == i) | (i[:, None] == j) | (j[:, None] == i) | (j[:, None] == j)
    robust = centred @ shared @ centred / len(i) ** 2
    same = (i != j)[:, None] & (i[:, None] == i) & (j[:, None] == j)
    specific = centred @ same @ centred / len(i) ** 2

    people = weighed(errors, pair_weights(identity_counts(40, 4000, 0, "g"), i, j))
    dyads, number = np.unique(i * 40 + j, return_inverse=True)
    (drawn,) = next(pair_draws([len(dyads)], ["g"], 4000, 0, 4000))
    weights = drawn[:, number]
    weights[:, i == j] = 1
    pairs = weighed(errors, weights)
    # Dyadic-robust variance: every pair of pairs that shares a person, each once.
    assert pairs.var() == pytest.approx(specific, rel=0.1)
    assert people.var() == pytest.approx(robust + 2 * specific, rel=0.1)
    found = shrink(float(errors.mean()), people, shrinkage(people, pairs))
    assert found.var() == pytest.approx(robust, rel=0.15)


def test_without_effects_of_people_what_is_left_is_the_variance_of_independent_pairs() -> None:
    """The limit of weak people: product weights alone give three times the variance."""
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        i, j = np.triu_indices(60, k=1)
        errors = (rng.random(len(i)) < 0.1).astype(np.float64)
        people = weighed(errors, pair_weights(identity_counts(60, 500, seed, "g"), i, j))
        (drawn,) = next(pair_draws([len(i)], ["g"], 100, seed, 100))
        true = 0.1 * 0.9 / len(i)
        ratios.append(
            (people.var() / true, (people * shrinkage(people, weighed(errors, drawn))).var() / true)
        )
    raw, shrunk = np.mean(ratios, axis=0)
    assert raw == pytest.approx(3, rel=0.1)
    assert 0.9 < shrunk < 1.35  # above 1 for the clamp


def test_draws_of_pairs_come_in_the_same_parts_whatever_the_size() -> None:
    whole = next(pair_draws([9, 4], ["a", "b"], 30, 1, 30))
    parts = list(pair_draws([9, 4], ["a", "b"], 30, 1, 10))
    for g in range(2):
        np.testing.assert_array_equal(np.concatenate([part[g] for part in parts]), whole[g])
    assert set(np.unique(whole[0])) == {0, 2}


def test_replicates_are_never_stretched_and_undefined_ones_stay() -> None:
    people = np.array([0.1, 0.2, np.nan, 0.3, np.inf])
    assert shrinkage(people, np.zeros(5)) == 1
    assert shrinkage(people, np.array([-9.0, 9.0])) == 1
    assert shrinkage(people, np.empty(0)) == 1
    assert shrinkage(np.full(9, 0.5), np.zeros(5)) == 1
    np.testing.assert_allclose(shrink(0.2, people, 0.5), [0.15, 0.2, np.nan, 0.25, np.inf])


@given(st.integers(1, 400), st.integers(1, 400))
def test_wilson_interval_is_scipys(errors: int, more: int) -> None:
    trials = errors + more
    rate = errors / trials
    expected = stats.binomtest(errors, trials).proportion_ci(0.9, method="wilson")
    found = wilson_interval(rate, rate * (1 - rate) / trials, 0.9)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_interval_without_variance_has_no_width() -> None:
    assert wilson_interval(0.0, 0.0) == (0.0, 0.0)
    assert wilson_interval(1.0, 0.1) == (1.0, 1.0)


def test_expansion_makes_a_bootstrap_of_a_mean_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(size=8)
    bootstrapped = stats.norm.ppf(0.975) * values.std() / np.sqrt(8)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert expansion(8, 0.95) * bootstrapped == pytest.approx((high - low) / 2)
    assert expansion(None, 0.95) == expansion(1, 0.95) == 1
    assert expansion(100_000, 0.95) == pytest.approx(1, abs=1e-4)


def test_a_difference_is_shrunk_by_what_is_specific_to_pairs_in_the_difference() -> None:
    """Two models that share what people do: what is left of the difference is specific to pairs."""
    rng = np.random.default_rng(1)
    common = 3 * rng.normal(size=2000)
    first, second = (
        Figure(
            0.0,
            common + np.sqrt(3) * rng.normal(size=2000),
            rng.normal(size=2000),
            np.zeros(2000),
            np.empty(0),
            0.95,
        )
        for _ in range(2)
    )
    assert first.samples.var() == pytest.approx(9 + 3 - 2, rel=0.1)
    difference = second - first
    assert difference.people.var() == pytest.approx(6, rel=0.1)
    assert difference.samples.var() == pytest.approx(2, rel=0.15)
    assert (difference - 0.5).value == -0.5
    assert mean_figure([first, second]).value == 0


def test_replicates_of_a_difference_lie_about_it() -> None:
    """A lucky threshold moves the estimate, and not what is seen on average in resamples."""
    rng = np.random.default_rng(0)
    smooth = rng.normal(0.0, 1.0, 2000)
    figure = Figure(0.5, smooth, np.empty(0), np.zeros(2000), np.empty(0), 0.95)
    found = figure.difference()
    assert (found.low, found.high) == pytest.approx((0.5 - 1.96, 0.5 + 1.96), abs=0.15)
    assert found.p_greater == pytest.approx(stats.norm.sf(0.5), abs=0.03)
    paired = paired_difference(np.zeros(2000), smooth, 0.0, 0.5)
    assert (paired.low, paired.high) == pytest.approx((found.low, found.high))


def test_undefined_and_infinite_replicates_stay_where_they_are() -> None:
    moved = centred(1.0, np.array([0.0, 0.2, np.inf, np.nan, -1.0]))
    np.testing.assert_allclose(moved, [1.0, 1.2, np.inf, np.nan, 0.0])
    most = np.array([np.inf, np.inf, 3.0])
    np.testing.assert_array_equal(centred(1.0, most), most)
    assert np.isnan(centred(1.0, np.full(3, np.nan))).all()


def test_a_false_match_takes_two_people() -> None:
    """Among n people with the share q alike to all, P(no false match) = (1 − q)^n: n/2 trials."""
    limit = zero_error_limit(60 // 2, 0.025)
    assert limit == pytest.approx(0.1157, abs=5e-5)
    q = 1 - np.sqrt(1 - limit)
    assert (1 - q) ** 60 == pytest.approx(0.025)
