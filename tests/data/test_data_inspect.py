"""Inspection against counts made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.data.inspect import inspect
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
