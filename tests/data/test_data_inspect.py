"""Inspection against counts made by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.data.importing import import_folder
from evenface.data.inspect import Composition, composition, histogram, inspect
from evenface.data.manifest import Manifest
from evenface.errors import UsageError


@pytest.fixture
def manifest(stores: Path) -> Manifest:
    return Manifest.from_columns(
        stores / "real",
        index=range(6),
        identity=["a", "a", "a", "b", "b", "c"],
        origin=["real"] * 5 + ["synthetic"],
        dataset="little",
        licence=["x"] * 4 + ["y"] * 2,
        split=["train"] * 5 + [""],
        notes=["many faces; small face", "small face", "", "", "", ""],
        attributes={"gender": ["f", "f", "f", "m", "m", None], "age_band": ["old"] * 5 + ["young"]},
        attribute_sources={"age_band": ["declared"] * 4 + ["predicted"] * 2},
    )


def test_predicted_values_are_marked_wherever_their_name_stands(manifest: Manifest) -> None:
    attributes = inspect(manifest).attributes
    assert attributes["gender"].named("gender") == "gender"
    assert attributes["age_band"].named("age_band") == "age_band (partly predicted)"
    guessed = manifest.with_attribute("race", ["x"] * 6, source=["predicted"] * 6)
    assert inspect(guessed).attributes["race"].named("race") == "race (predicted)"


def test_counts(manifest: Manifest, stores: Path) -> None:
    found = inspect(manifest).model_dump()
    assert (found["images"], found["identities"]) == (6, 3)
    assert found["group_by"] == ["gender"]
    assert found["groups"] == {
        "f": {"images": 3, "identities": 1},
        "m": {"images": 2, "identities": 1},
        "unknown": {"images": 1, "identities": 1},
    }
    assert found["attributes"]["gender"] == {
        "values": {
            "f": {"images": 3, "identities": 1},
            "m": {"images": 2, "identities": 1},
        },
        "sources": {"declared": 5},
        "images_without_value": 1,
    }
    assert found["attributes"]["age_band"]["sources"] == {"declared": 4, "predicted": 2}
    assert found["origins"] == {"real": 5, "synthetic": 1}
    assert found["datasets"] == {"little": 6}
    assert found["licences"] == {"x": 4, "y": 2}
    assert found["splits"] == {"": 1, "train": 5}
    assert found["images_per_identity"] == {"min": 1, "median": 2.0, "mean": 2.0, "max": 3}
    assert found["identities_with_one_image"] == 1
    assert found["notes"] == {"many faces": 1, "small face": 2}
    assert found["stores"][0]["images"] == 120
    assert found["fingerprint"] == manifest.fingerprint


def test_composition_is_a_part_of_it(manifest: Manifest, stores: Path) -> None:
    found = composition(manifest)
    inspected = inspect(manifest).model_dump()
    assert found.model_dump() == {name: inspected[name] for name in Composition.model_fields}
    plain = Manifest.from_columns(
        stores / "real", index=[0, 1], identity=["a", "b"], origin="real", dataset="d", licence=""
    )
    assert composition(plain).groups == {}


def test_crossed_groups(manifest: Manifest) -> None:
    found = inspect(manifest, ["gender", "age_band"])
    assert found.group_by == ["gender", "age_band"]
    assert {name: count.images for name, count in found.groups.items()} == {
        "f × old": 3,
        "m × old": 2,
        "unknown × young": 1,
    }
    assert inspect(manifest, "age_band").groups["old"].identities == 2
    with pytest.raises(UsageError, match="no attribute 'mood'"):
        inspect(manifest, "mood")


def test_shares_and_cells_that_are_too_small(manifest: Manifest) -> None:
    found = inspect(manifest, min_cell=2)
    assert [crossing.attributes for crossing in found.crossings] == [
        ["gender"],
        ["gender", "age_band"],
    ]
    assert {cell.share_of_images for cell in found.crossings[0].cells.values()} == {"too small"}
    cells = inspect(manifest, min_cell=1).crossings[0].cells
    assert cells["f"].share_of_images == 0.5
    assert cells["m"].share_of_identities == pytest.approx(1 / 3)
    old = inspect(manifest, "age_band", min_cell=2).crossings
    assert len(old) == 1
    assert old[0].cells["old"].share_of_identities == pytest.approx(2 / 3)
    assert old[0].cells["young"].share_of_identities == "too small"
    with pytest.raises(UsageError, match="at least 0"):
        inspect(manifest, min_cell=-1)


@pytest.mark.parametrize(
    ("counts", "bins"),
    [
        ([3], [(3, 3, 1)]),
        ([2, 4, 4], [(2, 2, 1), (3, 3, 0), (4, 4, 2)]),
        ([1, 1, 2, 8, 700], [(1, 1, 2), (2, 2, 1), (3, 4, 0), (5, 6, 0), (7, 9, 1)]),
    ],
)
def test_histogram(counts: list[int], bins: list[tuple[int, int, int]]) -> None:
    found = [(item.low, item.high, item.identities) for item in histogram(np.array(counts))]
    assert found[: len(bins)] == bins
    if max(counts) == 700:
        assert found[-1] == (700, 999, 1)


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=50))
@settings(max_examples=40, deadline=None)
def test_the_histogram_counts_everyone_once(counts: list[int]) -> None:
    bins = histogram(np.array(counts))
    for item in bins:
        assert item.identities == sum(item.low <= count <= item.high for count in counts)
    assert sum(item.identities for item in bins) == len(counts)
    assert all(a.high + 1 == b.low for a, b in pairwise(bins))


def test_sizes(manifest: Manifest, face_folder: Path, tmp_path: Path) -> None:
    (store,) = inspect(manifest).stores
    assert (store.bytes, store.source_sizes) == (120 * 112 * 112 * 3, None)
    import_folder(face_folder, tmp_path / "out", dataset="d", origin="real", licence="l")
    (store,) = inspect(Manifest.read(tmp_path / "out")).stores
    assert store.source_sizes is not None
    assert store.source_sizes.common == {"112×112": 12}
    for damage in ("{", "[]", '{"status": 3}'):
        (tmp_path / "out" / "import-report.json").write_text(damage)
        assert inspect(Manifest.read(tmp_path / "out")).stores[0].source_sizes is None
