"""Synthetic faces of several sources: names, weights, counts that are checked first."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from evenface.cli.study_options import chosen_study
from evenface.errors import UsageError
from evenface.study.face_counts import count_identities
from evenface.study.faces import check_inputs, prepare_faces, training_sets
from evenface.study.plan import plan_study
from evenface.study.spec import FolderFaces, SeveralFaces, StudySpec, load_study
from evenface.study.stage_log import StageLog
from pattern_people import write_people

SOURCES = [
    {"kind": "folder", "path": "made/dcface", "origin": "synthetic", "weight": 3},
    {"kind": "folder", "path": "made/idiff", "origin": "synthetic", "name": "other", "weight": 1},
]


def two_sources(tmp_path: Path, **changes) -> StudySpec:
    """Real people and two synthetic sets that use the same names, 2 groups each."""
    groups = ("east", "west")
    for folder, origin, each in (
        ("real", "real", 12),
        ("made/dcface", "synthetic", 8),
        ("made/idiff", "synthetic", 4),
    ):
        people = [(f"{group}-{i}", group, 2) for group in groups for i in range(each)]
        names = {person: f"{person}-{origin}" for person, _, _ in people}
        write_people(tmp_path / folder, people, origin=origin, names=names)
    settings = {
        "faces.real": {"kind": "folder", "path": str(tmp_path / "real"), "origin": "real"},
        "faces.synthetic": [{**s, "path": str(tmp_path / str(s["path"]))} for s in SOURCES],
        "faces.test": {"kind": "held-out", "fraction": 0.25},
        "faces.more_tests": {},
        "evaluation.real_people": [],
        "training_sets": {
            "synthetic": {"kind": "synthetic"},
            "mix": {"kind": "mix", "real_fraction": 0.5, "identities": 16},
        },
    }
    return load_study("smoke", settings | changes)


def test_sources_are_named_and_roles_of_their_own(tmp_path: Path) -> None:
    spec = two_sources(tmp_path)
    assert list(spec.faces.by_role()) == ["real", "synthetic-dcface", "synthetic-other", "test"]
    again = load_study("smoke", {"faces": spec.faces.model_dump(mode="json")})
    assert again.faces.synthetic == spec.faces.synthetic


def test_a_mix_takes_from_each_source_by_its_weight(tmp_path: Path) -> None:
    spec, log = two_sources(tmp_path), StageLog(tmp_path / "study")
    faces = prepare_faces(spec, log)
    assert len(faces.synthetic.identities()) == 24
    sets = training_sets(spec, faces, log)
    assert sets["synthetic"].fingerprint == faces.synthetic.fingerprint
    made = {name for name in sets["mix"].identities() if ":" in name}
    # 8 synthetic identities, 4 a group, 3 : 1
    assert Counter(name.split("-")[0] for name in made) == {
        "dcface:east": 3,
        "dcface:west": 3,
        "other:east": 1,
        "other:west": 1,
    }
    report = json.loads((tmp_path / "study" / "sets" / "mix" / "mix-report.json").read_text())
    assert set(report["sources"]) == {"real", "dcface", "other"}


def test_one_source_of_several_without_groups_is_refused(tmp_path: Path) -> None:
    spec = two_sources(tmp_path)
    bare = [("new-1", "east", 2), ("new-2", "west", 2)]
    write_people(tmp_path / "bare", bare, origin="synthetic", declared=False)
    sources = [{**SOURCES[0], "path": str(tmp_path / name)} for name in ("made/idiff", "bare")]
    changed = {"faces.synthetic": sources, "training_sets.mix.identities": 4}
    spec = two_sources(tmp_path / "again", **changed)
    log = StageLog(tmp_path / "study")
    with pytest.raises(UsageError, match="declare no 'ethnicity'"):
        training_sets(spec, prepare_faces(spec, log), log)


def test_what_is_missing_is_said_before_anything_is_imported(tmp_path: Path) -> None:
    spec = two_sources(tmp_path)
    sources = [{**s, "path": str(tmp_path / "gone" / s["path"])} for s in SOURCES]
    gone = two_sources(tmp_path / "again", **{"faces.synthetic": sources})
    with pytest.raises(UsageError) as refusal:
        prepare_faces(gone, StageLog(tmp_path / "study"))
    assert "given as the synthetic-dcface faces" in str(refusal.value)
    assert "given as the synthetic-other faces" in str(refusal.value)
    assert not (tmp_path / "study").exists()
    assert spec.faces.synthetic_parts().keys() == gone.faces.synthetic_parts().keys()


@pytest.mark.parametrize(
    ("sets", "messages"),
    [
        # 24 real people of which a quarter is held out; 16 and 8 synthetic ones.
        ({"real": {"kind": "real", "identities": 18}}, []),
        (
            {"real": {"kind": "real", "identities": 19}},
            ["set real: asks for 19 .* real .* have 18"],
        ),
        (
            {"made": {"kind": "synthetic", "identities": 25}},
            [
                "asks for 25 identities of the synthetic faces, which have 24",
                "asks for 18 identities of the synthetic-dcface faces, which have 16",
            ],
        ),
        # three quarters of 20 of one source, a quarter of the other
        ({"mix": {"kind": "mix", "real_fraction": 0.5, "identities": 36}}, []),
        (
            {"mix": {"kind": "mix", "real_fraction": 0.25, "identities": 36}},
            ["asks for 20 identities of the synthetic-dcface faces, which have 16"],
        ),
    ],
)
def test_counts_are_checked_first(tmp_path: Path, sets: dict, messages: list[str]) -> None:
    spec = two_sources(tmp_path, training_sets=sets)
    plan = plan_study(spec, tmp_path / "study")
    if not messages:
        check_inputs(spec)
        assert not any("asks for" in what for what in plan.missing)
        return
    with pytest.raises(UsageError) as refusal:
        check_inputs(spec)
    for message in messages:
        assert re.search(message, str(refusal.value))
        assert any(re.search(message, what) for what in plan.missing)


def test_folders_are_counted_without_their_images(tmp_path: Path) -> None:
    for folder in ("a/p1", "a/p2", "b/deep/p3", "empty", ".hidden"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("a/p1", "a/p2", "b/deep/p3"):
        (tmp_path / folder / "0.JPG").write_bytes(b"no image")
    (tmp_path / "list.txt").write_text("no image either")
    assert count_identities(tmp_path) == 3
    assert count_identities(tmp_path / "empty") is None
    assert count_identities(tmp_path / "gone") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([SOURCES[0], {**SOURCES[1], "weight": None}], "give a weight to every source, or to none"),
        ([SOURCES[0], SOURCES[0]], "not all different: dcface, dcface"),
        ([], "sources"),
        ([{**SOURCES[0], "weight": 0}], "weight"),
        ([{**SOURCES[0], "colour": "red"}], "colour"),
    ],
)
def test_sources_that_cannot_be_are_refused(changes: list, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_study("smoke", {"faces.synthetic": changes})


def test_several_folders_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a=b").mkdir()
    folders = [f"dc={tmp_path / 'dcface_0.5m'}", str(tmp_path / "idiff"), str(tmp_path / "a=b")]
    spec = chosen_study("paper", None, folders, None, None, None)
    assert isinstance(spec.faces.synthetic, SeveralFaces)
    found = {source.name: source.faces for source in spec.faces.synthetic.sources}
    assert list(found) == ["dc", "idiff", "a-b"]
    assert found["dc"] == FolderFaces(path=tmp_path / "dcface_0.5m", origin="synthetic")
    one = chosen_study("quick", None, [str(tmp_path / "idiff")], None, None, None)
    assert one.faces.synthetic == found["idiff"]
    with pytest.raises(UsageError, match=r"both called 'x'.*NAME="):
        chosen_study("quick", None, ["a/x", "b/x"], None, None, None)
