"""Whole evaluations from embeddings."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_faces import faces
from sklearn import metrics
from sklearn.preprocessing import normalize

from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.evaluate import (
    Evaluation,
    combine_views,
    dprime,
    evaluate_embeddings,
    evaluate_model,
    fairness,
    fold_accuracy,
    protocol_from_manifest,
    scoring,
)
from evenface.evaluate.protocols import Protocol


@pytest.fixture(scope="module")
def protocol(two_groups: Manifest) -> Protocol:
    return protocol_from_manifest(two_groups, folds=6)


@pytest.fixture(scope="module")
def evaluation(two_groups: Manifest, protocol: Protocol) -> Evaluation:
    return evaluate_embeddings(faces(two_groups), protocol, replicates=200, model="fake")


def test_group_figures_against_scikit_learn(
    two_groups: Manifest, protocol: Protocol, evaluation: Evaluation
) -> None:
    unit = normalize(faces(two_groups).astype(np.float64))
    for g, name in enumerate(protocol.groups):
        result = evaluation.groups[name]
        folds = protocol.fold_pairs.select(protocol.fold_pairs.group == g)
        distances = ((unit[folds.a] - unit[folds.b]) ** 2).sum(axis=1)
        expected = fold_accuracy(distances, folds.genuine, folds=6)
        np.testing.assert_allclose(result.folds, expected, atol=1e-12)
        assert result.accuracy.value == pytest.approx(expected.mean())
        assert result.accuracy.fold_std == pytest.approx(expected.std())

        pairs = protocol.score_pairs.select(protocol.score_pairs.group == g)
        cosine = (unit[pairs.a] * unit[pairs.b]).sum(axis=1)
        far, tar, _ = metrics.roc_curve(pairs.genuine, cosine, drop_intermediate=False)
        assert result.auc.value == pytest.approx(metrics.roc_auc_score(pairs.genuine, cosine))
        assert result.tar_at_far["1e-2"].value == pytest.approx(tar[far <= 1e-2].max())
        assert result.eer.value == pytest.approx(far[np.argmax(far >= 1 - tar)], abs=0.01)
        assert result.dprime.value == pytest.approx(dprime(cosine, pairs.genuine), rel=1e-5)
        assert result.mean_genuine_cosine == pytest.approx(cosine[pairs.genuine].mean(), abs=1e-6)
        assert result.mean_impostor_cosine == pytest.approx(cosine[~pairs.genuine].mean(), abs=1e-6)
        assert (result.identities, result.images) == (24, 96)


def test_over_groups(evaluation: Evaluation) -> None:
    accuracies = [result.accuracy.value for result in evaluation.groups.values()]
    overall = evaluation.overall
    assert overall.accuracy.value == pytest.approx(np.mean(accuracies))
    assert overall.std_sample.value == pytest.approx(fairness.std_sample(accuracies))
    assert overall.std_population.value == pytest.approx(fairness.std_population(accuracies))
    assert overall.ser.value == pytest.approx(fairness.skewed_error_ratio(accuracies))
    assert overall.gap.value == pytest.approx(max(accuracies) - min(accuracies))
    dprimes = [result.dprime.value for result in evaluation.groups.values()]
    assert overall.dprime_gap.value == pytest.approx(max(dprimes) - min(dprimes))
    pairs = [result.fold_pairs for result in evaluation.groups.values()]
    assert overall.probit_gap.value == pytest.approx(fairness.probit_gap(accuracies, pairs))
    misses = [rate.value for rate in evaluation.global_threshold.fnmr.values()]
    ratio = evaluation.global_threshold.fnmr_ratio.value
    assert ratio == pytest.approx(max(misses) / min(misses))
    assert overall.worst_group.value == list(evaluation.groups)[int(np.argmin(accuracies))]
    assert sum((overall.worst_group.share or {}).values()) == pytest.approx(1)


def test_every_interval_brackets_and_is_finite(evaluation: Evaluation) -> None:
    estimates = [e for e in _walk(evaluation.to_dict()) if {"value", "low", "high"} <= set(e)]
    assert len(estimates) > 20
    for estimate in estimates:
        if estimate["value"] is None:
            assert "undefined" in estimate["note"] or "not measurable" in estimate["note"]
            assert estimate["high"] is None
        else:
            assert estimate["low"] <= estimate["value"]
            assert estimate["high"] is None or estimate["value"] <= estimate["high"]


def test_one_global_threshold(
    two_groups: Manifest, protocol: Protocol, evaluation: Evaluation
) -> None:
    unit = normalize(faces(two_groups).astype(np.float64)).astype(np.float32)
    one = evaluation.global_threshold
    assert one.threshold is not None
    pairs = protocol.score_pairs
    accepted = np.einsum("pd,pd->p", unit[pairs.a], unit[pairs.b]) >= one.threshold - 1e-7
    for g, name in enumerate(protocol.groups):
        of_group = pairs.group == g
        fmr = accepted[of_group & ~pairs.genuine].mean()
        fnmr = 1 - accepted[of_group & pairs.genuine].mean()
        assert one.fmr[name].value == pytest.approx(fmr, abs=1e-3)
        assert one.fnmr[name].value == pytest.approx(fnmr, abs=1e-2)
    rates = [e.value for e in one.fmr.values()]
    assert 0.009 < np.mean(rates) <= 0.01
    misses = [e.value for e in one.fnmr.values()]
    assert one.fdr.value == pytest.approx(fairness.fairness_discrepancy_rate(rates, misses))
    assert one.garbe.value == pytest.approx(fairness.garbe(rates, misses))


def test_replicates_repeat_the_pairs_of_drawn_identities(
    two_groups: Manifest, protocol: Protocol, evaluation: Evaluation
) -> None:
    """AUC and TAR of a replicate, before it is shrunk, equal scikit-learn's on pairs written out
    copy by copy."""
    from evenface.evaluate.bootstrap import identity_counts

    unit = normalize(faces(two_groups).astype(np.float64)).astype(np.float32)
    for g, name in enumerate(protocol.groups):
        counts = identity_counts(24, 200, seed=0, group=name)
        pairs = protocol.score_pairs.select(protocol.score_pairs.group == g)
        cosine = np.einsum("pd,pd->p", unit[pairs.a], unit[pairs.b])
        first, second = (protocol.identity[side] - 24 * g for side in (pairs.a, pairs.b))
        for r in (0, 63, 64, 199):
            copies = np.where(pairs.genuine, counts[r][first], counts[r][first] * counts[r][second])
            scores, genuine = np.repeat(cosine, copies), np.repeat(pairs.genuine, copies)
            expected = metrics.roc_auc_score(genuine, scores)
            people = evaluation.figure("auc", name).people
            assert people[r] == pytest.approx(expected, abs=1e-9)
            far, tar, _ = metrics.roc_curve(genuine, scores, drop_intermediate=False)
            people = evaluation.figure("tar@far=1e-2", name).people
            assert people[r] == pytest.approx(tar[far <= 1e-2].max())


def test_every_measure_with_replicates_has_an_estimate(evaluation: Evaluation) -> None:
    for measure, samples in evaluation.replicates.items():
        group = "a" if samples.ndim == 2 else None
        assert evaluation.compare(evaluation, measure, group=group).value in (0, None)


def test_operating_points_get_harder(evaluation: Evaluation) -> None:
    targets = [point.target_fmr for point in evaluation.operating_points]
    assert targets == sorted(targets, reverse=True)
    supported = [p for p in evaluation.operating_points if p.threshold is not None]
    assert len(supported) >= 5
    for looser, stricter in pairwise(supported):
        assert looser.threshold <= stricter.threshold
        for group in ("a", "b"):
            assert looser.fnmr[group].value <= stricter.fnmr[group].value
            assert looser.own[group].fnmr.value <= stricter.own[group].fnmr.value
    # Thresholds come from other people, so the target is met about, not exactly.
    point = supported[0]
    assert np.mean([point.fmr[g].value for g in ("a", "b")]) == pytest.approx(0.1, rel=0.5)
    refused = [p for p in evaluation.operating_points if p.threshold is None]
    assert refused
    assert all("not measurable" in p.note for p in refused)


def test_means_over_groups(evaluation: Evaluation) -> None:
    means = evaluation.overall.means
    assert {"accuracy_exact", "eer", "auc", "dprime", "tar@far=1e-2"} <= set(means)
    for measure, mean in means.items():
        values = [group.estimate(measure).value for group in evaluation.groups.values()]
        if None in values:
            assert mean.value is None
            assert "no figure of a" in mean.note
        else:
            assert mean.value == pytest.approx(np.mean(values))
            assert mean.low <= mean.high
    point = evaluation.operating_points[0]
    assert point.mean_fmr.value == pytest.approx(np.mean([e.value for e in point.fmr.values()]))
    assert point.mean_fnmr.low <= point.mean_fnmr.high


def test_spreads_are_shrunk_after_they_are_formed_where_they_are_compared(
    two_groups: Manifest, protocol: Protocol, evaluation: Evaluation
) -> None:
    """Against NumPy on the groups' replicates before any is shrunk."""
    other = evaluate_embeddings(
        faces(two_groups, noise=0.5), protocol, replicates=200, seed=0, detail=False
    )
    for measure, of in (("overall.gap", "accuracy"), ("overall.dprime_gap", "dprime")):
        by_model = []
        for model in (evaluation, other):
            groups = [model.figure(of, group) for group in model.groups]
            by_model.append(np.ptp([of_group.people for of_group in groups], axis=0))
            spread = model.figure(measure)
            np.testing.assert_allclose(spread.people, by_model[-1])
            assert len(spread.pairs) == 150
            assert spread.value == model.estimate(measure).value
        difference = other.figure(measure) - evaluation.figure(measure)
        np.testing.assert_allclose(difference.people, by_model[1] - by_model[0])
        assert difference.samples.std() <= difference.people.std() * difference.expansion + 1e-12


def test_plots_hold_all_pairs(evaluation: Evaluation) -> None:
    for group in evaluation.groups.values():
        histogram, rates = group.distribution, group.rates
        assert sum(histogram.genuine) == group.genuine_pairs
        assert sum(histogram.impostor) == group.impostor_pairs
        assert rates.fmr[0] == 1
        assert rates.fnmr[0] == 0
        assert np.all(np.diff(rates.fmr) <= 0)
        assert np.all(np.diff(rates.fnmr) >= 0)
    ranges = {(g.distribution.low, g.distribution.high) for g in evaluation.groups.values()}
    assert len(ranges) == 1


def test_the_core_alone(two_groups: Manifest, protocol: Protocol, evaluation: Evaluation) -> None:
    core = evaluate_embeddings(
        faces(two_groups), protocol, replicates=200, model="fake", detail=False
    )
    plain = {name: value for name, value in core.overall if name != "means"}
    assert plain == {name: value for name, value in evaluation.overall if name != "means"}
    assert core.overall.means["eer"] == evaluation.overall.means["eer"]
    assert core.global_threshold == evaluation.global_threshold
    assert list(core.groups["a"].tar_at_far) == ["1e-2", "1e-3"]
    assert core.groups["a"].eer == evaluation.groups["a"].eer
    assert core.groups["a"].accuracy_exact is None
    assert core.operating_points == core.cross_tables == []
    assert evaluation.compare(core, "accuracy", group="a").value == 0


def test_results_of_version_2_are_read(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path)
    old = json.loads((tmp_path / "evaluation.json").read_text())
    old["version"] = 2
    for added in ("operating_points", "worst_case_threshold", "cross_tables", "calibration"):
        del old[added]
    for added in ("std_corrected", "means", "measures"):
        del old["overall"][added]
    for group in old["groups"].values():
        for added in ("accuracy_exact", "distribution", "rates", "measures"):
            del group[added]
    (tmp_path / "evaluation.json").write_text(json.dumps(old))
    assert Evaluation.read(tmp_path).groups["a"].eer == evaluation.groups["a"].eer
    (tmp_path / "evaluation.json").write_text(json.dumps({**old, "version": 5}))
    with pytest.raises(DataError, match="not an evaluation"):
        Evaluation.read(tmp_path)


def test_threads_do_not_change_the_result(
    two_groups: Manifest, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(scoring, "spare_threads", lambda threads=threads: threads)
        found.append(evaluate_embeddings(faces(two_groups), protocol, replicates=200))
    for measure, samples in found[0].replicates.items():
        np.testing.assert_array_equal(samples, found[1].replicates[measure])


def test_same_arguments_same_result(two_groups: Manifest, protocol: Protocol) -> None:
    first, second = (
        evaluate_embeddings(faces(two_groups), protocol, replicates=20, seed=3) for _ in range(2)
    )
    assert first.to_dict() == second.to_dict()


def test_std_is_read_against_equal_groups(two_groups: Manifest, protocol: Protocol) -> None:
    """Groups of one noise stay within what chance gives; a group of twice the noise does not."""
    embeddings = faces(two_groups, noise=1.0, seed=1)
    equal = evaluate_embeddings(embeddings, protocol, replicates=200).overall
    uneven = np.where((two_groups.groups() == "b")[:, None], faces(two_groups, 2.2), embeddings)
    unequal = evaluate_embeddings(uneven, protocol, replicates=200).overall
    for overall in (equal, unequal):
        expected = overall.std_expected
        assert 0 <= expected.low < expected.value < expected.high
    assert equal.std_excess_p > 0.05
    assert unequal.std_excess_p < 0.05
    assert unequal.std_sample.value > unequal.std_expected.high


def test_scale_of_embeddings_does_not_matter(two_groups: Manifest, protocol: Protocol) -> None:
    scaled = faces(two_groups) * np.random.default_rng(0).uniform(0.5, 9, (192, 1))
    plain = evaluate_embeddings(faces(two_groups), protocol, replicates=0)
    other = evaluate_embeddings(scaled, protocol, replicates=0)
    assert plain.groups["a"].accuracy == other.groups["a"].accuracy
    assert plain.groups["b"].eer.value == pytest.approx(other.groups["b"].eer.value, abs=1e-3)


def test_better_embeddings_are_told_apart(two_groups: Manifest, protocol: Protocol) -> None:
    worse = evaluate_embeddings(faces(two_groups, noise=1.6), protocol, replicates=200)
    better = evaluate_embeddings(faces(two_groups, noise=0.8), protocol, replicates=200)
    for measure in ("overall.accuracy", "overall.std_sample"):
        difference = worse.compare(better, measure)
        assert difference.value is not None
        assert difference.distinguishable == (measure == "overall.accuracy")
    in_group = worse.compare(better, "eer", group="b")
    assert in_group.high is not None
    assert in_group.high < 0
    assert worse.compare(better, "tar@far=1e-2", group="a").value > 0
    assert worse.compare(better, "fnmr", group="a").value < 0
    assert better.compare(better, "global.fdr").value == 0


def test_comparisons_that_make_no_sense(two_groups: Manifest, evaluation: Evaluation) -> None:
    other = evaluate_embeddings(
        faces(two_groups), protocol_from_manifest(two_groups, folds=4), replicates=200
    )
    with pytest.raises(ValueError, match="cannot be paired"):
        evaluation.compare(other, "overall.accuracy")
    for measure, group, message in [
        ("speed", None, "unknown measure"),
        ("accuracy", None, "takes a group"),
        ("overall.accuracy", "a", "takes no group"),
        ("accuracy", "z", "unknown group"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluation.compare(evaluation, measure, group=group)


def test_error_free_groups(make_manifest) -> None:
    manifest = make_manifest({"a": [4] * 20, "b": [4] * 20})
    embeddings = faces(manifest, noise=0.01)
    noisy = np.flatnonzero(manifest.groups() == "b")
    embeddings[noisy] = faces(manifest, noise=1.5)[noisy]
    result = evaluate_embeddings(embeddings, protocol_from_manifest(manifest), replicates=100)
    assert result.groups["a"].accuracy.value == 1
    assert "no error" in (result.groups["a"].accuracy.note or "")
    ser = result.overall.ser
    assert (ser.value, ser.high) == (None, None)
    assert "undefined: no error seen in a" in (ser.note or "")
    # A false match takes two of the twenty people: ten independent trials without one.
    limit = 1 - 0.025 ** (1 / 10)
    assert ser.low == pytest.approx(max(1, (1 - result.groups["b"].accuracy.high) / limit))
    # A false non-match takes one: at most 1 − 0.025^(1/20) of people have one.
    limit = 1 - 0.025 ** (1 / 20)
    ratio = result.global_threshold.fnmr_ratio
    assert (ratio.value, ratio.high) == (None, None)
    assert ratio.low == pytest.approx(result.global_threshold.fnmr["b"].low / limit)
    assert ratio.low > 1
    assert "no false non-match seen in a" in (ratio.note or "")
    assert result.overall.worst_group.value == "b"
    json.dumps(result.to_dict(), allow_nan=False)


def test_no_errors_anywhere(make_manifest) -> None:
    manifest = make_manifest({"a": [4] * 20, "b": [4] * 20})
    protocol = protocol_from_manifest(manifest)
    result = evaluate_embeddings(faces(manifest, noise=0.01), protocol, replicates=50)
    ser = result.overall.ser
    assert (ser.value, ser.low, ser.high) == (None, 1, None)
    assert result.overall.gap.value == 0
    assert result.overall.worst_group.note == "tied: a, b"
    assert result.overall.worst_group.share == {"a": 0.5, "b": 0.5}


def test_one_group_has_nothing_to_compare(make_manifest) -> None:
    manifest = make_manifest({"a": [4] * 20}, attributes={})
    result = evaluate_embeddings(faces(manifest), protocol_from_manifest(manifest), replicates=50)
    assert list(result.groups) == ["all"]
    assert result.overall.accuracy.low is not None
    for name in ("std_sample", "std_expected", "ser", "gap", "dprime_gap", "worst_group"):
        measure = getattr(result.overall, name)
        assert measure.value is None
        assert "one group" in measure.note
    assert result.global_threshold.fdr.value is None
    assert result.global_threshold.fnmr_ratio.value is None


def test_few_identities_are_flagged(make_manifest) -> None:
    manifest = make_manifest({"a": [6] * 5})
    result = evaluate_embeddings(faces(manifest), protocol_from_manifest(manifest), replicates=50)
    assert any("fewer than 20 identities (a 5)" in note for note in result.notes)
    assert result.groups["a"].tar_at_far["1e-3"].value is None
    assert "not measurable" in (result.groups["a"].tar_at_far["1e-3"].note or "")
    assert "unreliable" in (result.groups["a"].tar_at_far["1e-2"].note or "")


@pytest.mark.parametrize("constant", [False, True])
def test_tiny_groups_and_constant_embeddings(make_manifest, constant: bool) -> None:
    """Some resamples draw one identity only: measures are undefined there, results are not."""
    manifest = make_manifest({"a": [2] * 3, "b": [2] * 3})
    embeddings = np.ones((12, 4)) if constant else faces(manifest)
    protocol = protocol_from_manifest(manifest, folds=3)
    result = evaluate_embeddings(embeddings, protocol, replicates=200)
    assert np.isnan(result.replicates["eer"]).any()
    assert np.isnan(result.replicates["fmr"]).any()
    json.dumps(result.to_dict(), allow_nan=False)
    for group in result.groups.values():
        assert (group.eer.low, group.eer.high) == (0, 1)
        assert group.auc.value == 0.5 or not constant
    # 2 groups × 12 impostor pairs do not support FMR 1e-2.
    assert result.global_threshold.threshold is None
    assert result.global_threshold.fmr["a"].value is None
    assert "not measurable" in (result.global_threshold.note or "")
    share = result.overall.worst_group.share or {}
    assert sum(share.values()) == pytest.approx(1)


def test_without_replicates_there_are_no_intervals(
    two_groups: Manifest, protocol: Protocol
) -> None:
    result = evaluate_embeddings(faces(two_groups), protocol, replicates=0)
    assert (result.overall.gap.low, result.overall.gap.high) == (None, None)
    assert result.overall.worst_group.share is None
    assert result.overall.std_expected.value is None
    assert result.overall.std_excess_p is None
    assert result.replicates == {}


def test_roc_is_thinned_and_keeps_its_ends(evaluation: Evaluation) -> None:
    for result in evaluation.groups.values():
        assert len(result.roc.far) == len(result.roc.tar) <= 200
        assert (result.roc.far[0], result.roc.tar[0]) == (0, 0)
        assert (result.roc.far[-1], result.roc.tar[-1]) == (1, 1)
        assert np.all(np.diff(result.roc.far) >= 0)
        assert np.all(np.diff(result.roc.tar) >= 0)
        area = metrics.auc(result.roc.far, result.roc.tar)
        assert area == pytest.approx(result.auc.value, abs=0.01)


def test_written_and_read(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path)
    read = Evaluation.read(tmp_path)
    assert read.to_dict() == evaluation.to_dict()
    assert evaluation.compare(read, "overall.ser").value == 0
    assert json.loads((tmp_path / "evaluation.json").read_text())["model"] == "fake"


@pytest.mark.parametrize("name", ["evaluation.json", "replicates.npz"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_results_are_refused(
    evaluation: Evaluation, tmp_path: Path, name: str, damage: str
) -> None:
    evaluation.write(tmp_path)
    if damage == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:500])
    with pytest.raises(DataError, match=name):
        Evaluation.read(tmp_path)


def test_a_result_of_another_layout_is_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path)
    (tmp_path / "evaluation.json").write_text('{"model": "x"}')
    with pytest.raises(DataError, match="not an evaluation"):
        Evaluation.read(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "row 7 holds NaN"), (np.inf, "row 7"), (0, "row 7 has zero norm")],
)
def test_unusable_embeddings_name_their_row(
    two_groups: Manifest, protocol: Protocol, value: float, message: str
) -> None:
    embeddings = faces(two_groups)
    embeddings[7] = value
    with pytest.raises(DataError, match=message):
        evaluate_embeddings(embeddings, protocol)


def test_embeddings_of_another_manifest_are_refused(
    two_groups: Manifest, protocol: Protocol
) -> None:
    with pytest.raises(DataError, match=r"191 embeddings.*192 rows"):
        evaluate_embeddings(faces(two_groups)[:-1], protocol)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        evaluate_embeddings(np.ones(192), protocol)


@pytest.mark.parametrize("options", [{"replicates": -1}, {"level": 0.0}, {"level": 1.0}])
def test_options_out_of_range(
    two_groups: Manifest, protocol: Protocol, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        evaluate_embeddings(faces(two_groups), protocol, **options)


def test_views_are_summed_then_normalised() -> None:
    combined = combine_views([[3.0, 0.0]], [[0.0, 4.0]])
    np.testing.assert_allclose(combined, [[0.6, 0.8]], rtol=1e-6)
    assert combined.dtype == np.float32
    with pytest.raises(DataError, match="row 1 has zero norm"):
        combine_views([[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(ValueError, match="one shape"):
        combine_views(np.ones((2, 3)), np.ones((3, 3)))


class PixelTeacher:
    """Embeds by a fixed projection of coarse pixels; counts what it is shown."""

    name = "pixels"
    embedding_size = 16
    fingerprint = "pixels"

    def __init__(self) -> None:
        self.seen = 0
        self._projection = np.random.default_rng(0).normal(size=(147, 16))

    def embed(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        coarse = images[:, 8::16, 8::16].reshape(len(images), -1) / 255 - 0.5
        return (coarse @ self._projection).astype(np.float32)


def test_a_model_sees_each_image_once_per_view(two_groups: Manifest, protocol: Protocol) -> None:
    teacher = PixelTeacher()
    result = evaluate_model(teacher, two_groups, protocol, batch=50, replicates=10)
    assert teacher.seen == 2 * len(two_groups)
    assert result.model == "pixels"
    images = two_groups.images()
    both = combine_views(teacher.embed(images), teacher.embed(images[:, :, ::-1]))
    expected = evaluate_embeddings(both, protocol, replicates=10, model="pixels")
    assert result.groups["a"].accuracy == expected.groups["a"].accuracy

    teacher.seen = 0
    evaluate_model(teacher, two_groups, protocol, views=("original",), replicates=0)
    assert teacher.seen == len(two_groups)


def test_a_model_on_the_wrong_manifest_is_refused(two_groups: Manifest, protocol: Protocol) -> None:
    with pytest.raises(DataError, match="another manifest"):
        evaluate_model(PixelTeacher(), two_groups.select(np.arange(191)), protocol)
    with pytest.raises(ValueError, match="views"):
        evaluate_model(PixelTeacher(), two_groups, protocol, views=("flip",))


def test_a_model_that_returns_the_wrong_shape_is_refused(
    two_groups: Manifest, protocol: Protocol
) -> None:
    teacher = PixelTeacher()
    teacher.embed = lambda images: np.ones((1, 16), dtype=np.float32)  # type: ignore[method-assign]
    with pytest.raises(DataError, match="'pixels' returned embeddings of shape"):
        evaluate_model(teacher, two_groups, protocol)


def _walk(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for child in value.values() for found in _walk(child))]
    return []
