"""1:N identification on cases worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.evaluate.identification import (
    IdentificationResult,
    evaluate_identification,
    identification_set,
    search,
    threshold_at,
)

ANGLES = {
    # Gallery at 0°, 60° and 120°; c is the mean of two images.
    "gallery": [("a", 0), ("b", 60), ("c", 110), ("c", 130)],
    # Mated: a right, a taken for b, c right; unmated: two strangers, 5° and 30° from an entry.
    "probe": [("a", 10), ("a", 40), ("c", 118), ("x", 65), ("y", 150)],
}


@pytest.fixture
def by_hand(make_manifest) -> tuple[Manifest, np.ndarray]:
    entries = [(part, *entry) for part, listed in ANGLES.items() for entry in listed]
    manifest = make_manifest(
        {"g": [1] * len(entries)},
        identity=[person for _, person, _ in entries],
        split=[part for part, _, _ in entries],
        attributes={"group": ["p"] * 6 + ["q", "p", "q"]},
    )
    angle = np.radians([degrees for *_, degrees in entries])
    return manifest, np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_rates_by_hand(by_hand) -> None:
    manifest, embeddings = by_hand
    given = identification_set(manifest)
    assert given.entries == 3
    assert given.mate.tolist() == [0, 0, 2, -1, -1]
    result = evaluate_identification(embeddings, given, replicates=50)
    rank = result.rank_rate["1"]
    assert rank.overall.value == pytest.approx(2 / 3)
    assert rank.groups["p"].value == pytest.approx(1 / 2)
    assert rank.groups["q"].value == 1.0
    # One mated person: no miss among one trial leaves almost everything possible.
    assert rank.groups["q"].low is not None
    assert rank.groups["q"].low <= 0.025
    assert rank.groups["q"].high == 1.0
    # Two unmated probes cannot support any of the levels.
    assert [point.threshold for point in result.open_set] == [None] * 3
    assert "not measurable: 2 unmated probes" in (result.open_set[0].note or "")
    assert any("chosen on the unmated probes" in note for note in result.notes)
    assert result.probes["q"].model_dump() == {"mated": 1, "unmated": 1, "people": 2}


def test_search_by_hand(by_hand) -> None:
    _, embeddings = by_hand
    gallery = np.stack([embeddings[0], embeddings[1], embeddings[2] + embeddings[3]])
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    found = search(gallery, embeddings[4:], np.array([0, 0, 2, -1, -1]))
    assert found.rank.tolist() == [1, 2, 1, 0, 0]
    np.testing.assert_allclose(found.best_score, np.cos(np.radians([10, 20, 2, 5, 30])), atol=1e-12)
    np.testing.assert_allclose(found.mate_score[:3], np.cos(np.radians([10, 40, 2])), atol=1e-12)


def test_ties_never_help() -> None:
    gallery = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert search(gallery, np.array([[1.0, 0.0]]), np.array([0])).rank.tolist() == [2]


def test_open_set_by_hand(make_manifest) -> None:
    # 20 strangers at 1° … 20° of the only near entry; mates at 0.5° and 4.5°.
    angles = [0, 90, *range(1, 21), 0.5, 4.5]
    people = ["a", "b", *(f"x{k}" for k in range(20)), "a", "a"]
    manifest = make_manifest(
        {"g": [1] * len(angles)},
        identity=people,
        split=["gallery"] * 2 + ["probe"] * 22,
        attributes={},
    )
    radians = np.radians(angles)
    embeddings = np.stack([np.cos(radians), np.sin(radians)], axis=1)
    result = evaluate_identification(embeddings, identification_set(manifest), replicates=100)
    point = result.open_set[0]
    # A tenth of 20 strangers is two: 1° and 2° are accepted, 3° is not, nor the mate at 4.5°.
    assert point.threshold is not None
    assert np.cos(np.radians(3)) < point.threshold <= np.cos(np.radians(2))
    assert point.fpir.overall.value == pytest.approx(0.1)
    assert point.fnir.overall.value == pytest.approx(0.5)
    low, high = point.fpir.overall.low, point.fpir.overall.high
    assert low is not None
    assert high is not None
    assert low <= 0.1 <= high
    assert list(result.rank_rate) == ["1"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=30), st.sampled_from([1e-3, 0.1, 0.5, 1.0])
)
def test_threshold_keeps_its_target_and_is_the_lowest(scores: list[int], target: float) -> None:
    values = np.array(scores, dtype=float)
    threshold = threshold_at(values, target)
    assert (values >= threshold).mean() <= target + 1e-12
    lower = np.unique(values[values < threshold])
    if len(lower):
        assert (values >= lower[-1]).mean() > target


def test_written_and_read(by_hand, tmp_path: Path) -> None:
    manifest, embeddings = by_hand
    result = evaluate_identification(embeddings, identification_set(manifest), replicates=10)
    result.write(tmp_path)
    assert IdentificationResult.read(tmp_path) == result
    (tmp_path / "identification.json").write_text("{}")
    with pytest.raises(DataError, match="not an identification result"):
        IdentificationResult.read(tmp_path)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (["probe"] * 4, "no image of split 'gallery'"),
        (["gallery"] * 4, "no image of split 'probe'"),
        (["gallery", "probe", "probe", "probe"], "the gallery holds one person"),
        (["gallery", "gallery", "probe", "probe"], "no probe shows a person"),
    ],
)
def test_refused(make_manifest, split: list[str], message: str) -> None:
    manifest = make_manifest({"g": [1] * 4}, identity=["a", "b", "c", "d"], split=split)
    with pytest.raises(DataError, match=message):
        identification_set(manifest)


def test_unusable_embeddings(by_hand) -> None:
    manifest, embeddings = by_hand
    given = identification_set(manifest)
    with pytest.raises(DataError, match="do not belong together"):
        evaluate_identification(embeddings[1:], given)
    embeddings[5] = 0
    with pytest.raises(DataError, match="row 5 has zero norm"):
        evaluate_identification(embeddings, given)
