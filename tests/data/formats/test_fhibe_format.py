"""FHIBE's release of cropped faces: statements, keypoints, the version, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from evenface.data import importing
from evenface.data.align import align
from evenface.data.formats import ReadOptions, open_source
from evenface.data.formats.fhibe import FhibeSource, values_of
from evenface.data.importing import import_dataset
from evenface.data.manifest import Manifest
from evenface.errors import DataError
from fhibe_release import POINTS, TABLE, crop, write_release

PEOPLE = [
    {"ancestry": "['0. Africa', '3. Europe']", "age": 29},
    {"pronoun": "['1. He/him/his']", "age": [60.0, 61.0, 62.0], "head_pose": "['1. Atypical']"},
    {"multiple_subjects": True, "location_country": "Viet Nam "},
]


def open_release(root: Path, **options: object) -> FhibeSource:
    source = open_source(root, ReadOptions(**options))  # type: ignore[arg-type]
    assert isinstance(source, FhibeSource)
    return source


def test_what_people_state(tmp_path: Path) -> None:
    root = write_release(tmp_path, PEOPLE)
    for path in (root, root / TABLE):
        source = open_release(path)
        assert source.attributes == (
            "pronoun",
            "age_band",
            "ancestry",
            "apparent_skin_color",
            "natural_skin_color",
            "location_country",
            "head_pose",
            "multiple_subjects",
        )
        found = [source.record(number) for number in range(len(source))]
        assert [record.identity for record in found] == ["s0"] * 3 + ["s1"] * 3 + ["s2"] * 3
        assert found[0].attributes == (
            "She/her/hers",
            "[18,30)",
            "Africa; Europe",
            "[112, 65, 57]",
            "[161, 102, 94]",
            "Kenya",
            "Typical",
            "False",
        )
        assert found[4].attributes[:3] == ("He/him/his", "[60,+)", "Africa")
        assert found[8].attributes[5:] == ("Viet Nam", "Typical", "True")
        assert {(record.origin, record.split) for record in found} == {("real", "test")}
    assert values_of("Africa; Europe") == ("Africa", "Europe")
    assert values_of(None) == ()


@pytest.mark.parametrize(
    ("age", "band"),
    [(18, "[18,30)"), (29.5, "[18,30)"), (30, "[30,40)"), (49, "[40,50)"), (50, "[50,60)"),
     (60, "[60,+)"), (97, "[60,+)")],
)  # fmt: skip
def test_age_bands(tmp_path: Path, age: float, band: str) -> None:
    source = open_release(write_release(tmp_path, [{"age": age}], images=1))
    assert source.record(0).attributes[1] == band


def test_columns_by_choice(tmp_path: Path) -> None:
    root = write_release(tmp_path, PEOPLE)
    assert open_release(root, attributes=("ancestry", "age")).attributes == ("ancestry", "age_band")


def test_keypoints_align_without_a_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FaceDetector", None)  # would fail if it were called
    root = write_release(tmp_path, PEOPLE)
    report = import_dataset(root, tmp_path / "out", dataset="FHIBE", origin="real", licence="FHIBE")
    # "right" is the person's right, which is on the left of the image.
    names = ("2. Right eye", "5. Left eye", "0. Nose", "9. Mouth right", "10. Mouth left")
    points = np.array([POINTS[name][:2] for name in names])
    assert points[0, 0] < points[1, 0]
    manifest = Manifest.read(tmp_path / "out")
    np.testing.assert_array_equal(manifest.images()[4], align(crop(1, 1), points))
    assert report.request["source"]["release"] == "20250716.u.gT5_rFTA"
    assert "FHIBE release 20250716.u.gT5_rFTA" in report.remarks[0]


@pytest.mark.parametrize(
    "keypoints",
    ["", "{}", str(POINTS | {"0. Nose": [1.0, 2.0, 0]}), str({"2. Right eye": [1.0, 2.0, 1]})],
)
def test_faces_without_keypoints_are_looked_for(tmp_path: Path, keypoints: str) -> None:
    people = [{"keypoints": [keypoints, str(POINTS)]}]
    source = open_release(write_release(tmp_path, people, images=2))
    assert source.record(0).landmarks is None
    assert source.record(1).landmarks is not None
    assert source.remarks[-1].startswith("1 of 2 faces have no visible keypoints")


def test_a_renamed_folder_has_no_version(tmp_path: Path) -> None:
    source = open_release(write_release(tmp_path, PEOPLE[:1], name="faces"))
    assert source.description["release"] == "unknown"
    assert "'faces' does not tell the release's version" in source.remarks[1]


def test_paths_of_other_releases(tmp_path: Path) -> None:
    root = write_release(tmp_path, PEOPLE[:1])
    table = root / TABLE
    table.write_text(table.read_text().replace("data/raw/", ""))
    assert open_release(root).read(2)
    table.write_text(table.read_text().replace("fhibe_downsampled/s0/i1", "../../../../s0/i1"))
    with pytest.raises(DataError, match=r"column 'filepath', row 2: .* lies outside"):
        open_release(root)


def test_a_row_of_many_outlines(tmp_path: Path) -> None:
    source = open_release(write_release(tmp_path, [{"segments": "x" * 3_000_000}], images=2))
    assert len(source) == 2


@pytest.mark.parametrize(
    ("person", "message"),
    [
        ({"age": "old"}, "column 'age', row 1: 'old' is no age from 18 years on"),
        ({"age": 17}, "column 'age', row 1: '17' is no age"),
        ({"ancestry": "['0. Africa'"}, r"column 'ancestry', row 1: .* is no list of values"),
        ({"keypoints": "[1, 2]"}, r"column 'keypoints', row 1: .* is no mapping of names"),
        ({"keypoints": "__import__('os')"}, "column 'keypoints', row 1"),
        ({"subject_id": ""}, "column 'subject_id', row 1: empty"),
        ({"filepath": ""}, "column 'filepath', row 1: empty"),
    ],
)
def test_bad_rows(tmp_path: Path, person: dict[str, object], message: str) -> None:
    root = write_release(tmp_path, [person], images=1)
    with pytest.raises(DataError, match=message):
        open_release(root)


def test_a_missing_column(tmp_path: Path) -> None:
    root = write_release(tmp_path, PEOPLE[:1], images=1)
    with open(root / TABLE, newline="") as handle:
        rows = [row[:2] + row[3:] for row in csv.reader(handle)]
    with open(root / TABLE, "w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    with pytest.raises(DataError, match="no column 'subject_id'; it has '', 'filepath', 'age'"):
        open_release(root)
