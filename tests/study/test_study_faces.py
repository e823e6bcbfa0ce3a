"""Training sets from faces whose groups are declared alike, differently, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.errors import UsageError
from evenface.study.faces import StudyFaces, training_sets
from evenface.study.spec import load_study
from evenface.study.stage_log import StageLog


def people(folder: Path, origin: str, attributes: dict[str, list[str]]) -> Manifest:
    """Four people of one image each."""
    with ImageStoreWriter(folder) as writer:
        writer.append(np.full((4, 112, 112, 3), len(origin), dtype=np.uint8))
    names = [f"{origin}{number}" for number in range(4)]
    return Manifest.from_columns(
        folder,
        index=range(4),
        identity=names,
        origin=origin,
        dataset=origin,
        licence="CC0-1.0",
        attributes=attributes,
    )


@pytest.mark.parametrize(
    ("real", "synthetic", "groups"),
    [
        ({"race": ["a", "a", "b", "b"]}, {"race": ["a", "a", "b", "b"]}, {"a", "b"}),
        ({}, {"race": ["a", "a", "b", "b"]}, {"all"}),
        ({}, {}, {"all"}),
    ],
)
def test_the_mix_is_by_the_group_that_both_declare_or_overall(
    real: dict, synthetic: dict, groups: set[str], tmp_path: Path
) -> None:
    parts = people(tmp_path / "r", "real", real), people(tmp_path / "s", "synthetic", synthetic)
    spec = load_study("smoke", {"training_sets": ["mix"], "mix.real_fraction": 0.5})
    faces = StudyFaces(*parts, parts[0], {}, next(iter(real), None), {})
    training_sets(spec, faces, StageLog(tmp_path / "study"))
    report = json.loads((tmp_path / "study" / "sets" / "mix" / "mix-report.json").read_text())
    assert set(report["groups"]) == groups
    assert report["total"] == 4


@pytest.mark.parametrize("synthetic", [{}, {"sex": ["f", "f", "m", "m"]}])
def test_a_mix_by_groups_that_the_synthetic_faces_lack_is_refused(
    synthetic: dict, tmp_path: Path
) -> None:
    race = {"race": ["a", "a", "b", "b"], "sex": ["f", "f", "m", "m"]}
    parts = people(tmp_path / "r", "real", race), people(tmp_path / "s", "synthetic", synthetic)
    spec = load_study("smoke", {"training_sets": ["mix"], "mix.real_fraction": 0.5})
    faces = StudyFaces(*parts, parts[0], {}, "race", {})
    with pytest.raises(UsageError, match=r"mix balance 'race', .*\(synthetic\) declare no 'race'"):
        training_sets(spec, faces, StageLog(tmp_path / "study"))
    spec = load_study("smoke", {"training_sets": ["mix"], "mix.balance": "none"})
    (mix,) = training_sets(spec, faces, StageLog(tmp_path / "study")).values()
    assert len(mix) == 4
