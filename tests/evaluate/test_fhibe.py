"""FHIBE's protocol against its description: groups, pairs, VAL and accuracy."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from evenface.data.importing import import_dataset
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate import evaluate_embeddings, fhibe, tasks_of
from evenface.evaluate.fhibe import fhibe_protocol
from evenface.evaluate.protocol_specs import ProtocolOptions
from evenface.evaluate.protocols import Protocol
from fhibe_release import write_release

SHE, HE = "['0. She/her/hers']", "['1. He/him/his']"
AFRICA, EUROPE, BOTH = "['0. Africa']", "['3. Europe']", "['0. Africa', '3. Europe']"
PEOPLE = [
    *[{"pronoun": SHE, "ancestry": AFRICA}] * 3,
    *[{"pronoun": HE, "ancestry": EUROPE, "age": 61}] * 3,
    {"pronoun": HE, "ancestry": BOTH, "age": [29, 30, 30]},
    {"pronoun": HE, "ancestry": AFRICA, "multiple_subjects": [True, True, False]},
    {"pronoun": SHE, "ancestry": EUROPE, "multiple_subjects": [True, False, False]},
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported: row 3 · p + i is image i of person p."""
    folder = tmp_path_factory.mktemp("fhibe")
    root = write_release(folder, PEOPLE)
    options = {"dataset": "FHIBE", "origin": "real", "licence": "FHIBE", "workers": 1}
    import_dataset(root, folder / "data", **options)
    return folder / "data"


def pairs_of(protocol: Protocol, group: str, genuine: bool) -> set[tuple[int, int]]:
    pairs = protocol.score_pairs
    mine = (pairs.group == protocol.groups.index(group)) & (pairs.genuine == genuine)
    return set(zip(pairs.a[mine].tolist(), pairs.b[mine].tolist(), strict=True))


def described(*people: int, without: tuple[int, ...] = ()) -> list[set[tuple[int, int]]]:
    """All genuine and all impostor pairs of these people."""
    rows = [3 * p + i for p in sorted(people) for i in range(3) if 3 * p + i not in without]
    every = list(combinations(rows, 2))
    return [{pair for pair in every if (pair[0] // 3 == pair[1] // 3) is same}
            for same in (True, False)]  # fmt: skip


def test_groups_and_pairs(release: Path) -> None:
    manifest, protocol = fhibe_protocol(release, group_by=("ancestry",))
    assert protocol.groups == ("Africa", "Europe")
    # Person 6 is in both; person 7 has one image of them alone, person 8 two.
    for group, expected in (
        ("Africa", described(0, 1, 2, 6)),
        ("Europe", described(3, 4, 5, 6, 8, without=(24,))),
    ):
        assert [pairs_of(protocol, group, kind) for kind in (True, False)] == expected
    assert protocol.pairs == "drawn"
    assert not protocol.cross_table
    assert protocol.manifest_fingerprint == manifest.fingerprint
    assert protocol.notes[:2] == (
        "FHIBE release 20250716.u.gT5_rFTA. Its people may withdraw: compare results of one "
        "release only",
        "3 images with several people are left out",
    )
    folds = np.unique([protocol.score_pairs.group, protocol.score_pairs.fold], axis=1)
    assert folds.T.tolist() == [[group, fold] for group in (0, 1) for fold in range(10)]


def test_crossings_without_pairs_are_left_out(release: Path) -> None:
    _, protocol = fhibe_protocol(release)
    assert protocol.group_by == ("pronoun", "ancestry")
    assert protocol.groups == ("He/him/his × Europe", "She/her/hers × Africa")
    assert "2 groups without two genuine and two impostor pairs" in protocol.notes[2]
    _, ages = fhibe_protocol(release, group_by=("age_band", "ancestry"))
    # Two of person 6's images are in [30,40), as the people of whom no age is given (34).
    assert pairs_of(ages, "[30,40) × Africa", True) == {*described(0, 1, 2)[0], (19, 20)}
    _, one = fhibe_protocol(release, group_by=())
    assert one.groups == ("all",)


def test_at_most_so_many_pairs(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhibe, "MAX_PAIRS", 7)
    drawn = [fhibe_protocol(release, group_by=("ancestry",), seed=seed)[1] for seed in (0, 0, 1)]
    assert drawn[0].pairs_per_group == 14
    for group in drawn[0].groups:
        for kind, every in zip((True, False), described(0, 1, 2, 3, 4, 5, 6, 8), strict=True):
            found = [pairs_of(protocol, group, kind) for protocol in drawn]
            assert len(found[0]) == 7
            assert found[0] <= every
            assert found[0] == found[1]
    assert drawn[0].fingerprint == drawn[1].fingerprint != drawn[2].fingerprint


def test_val_and_accuracy(release: Path) -> None:
    """VAL is one minus the FNMR at a group's own threshold, which the other folds choose."""
    (task,) = tasks_of(f"fhibe:{release}", ProtocolOptions(group_by=("ancestry",)))
    _, protocol = fhibe_protocol(release, group_by=("ancestry",))
    assert task.name == "FHIBE"
    rng = np.random.default_rng(0)
    people = rng.normal(size=(len(PEOPLE), 8))
    embeddings = np.repeat(people, 3, axis=0) + rng.normal(size=(3 * len(PEOPLE), 8))
    found = evaluate_embeddings(embeddings, protocol, replicates=0, detail=True, targets=["1e-1"])
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    pairs = protocol.score_pairs
    scores = (unit[pairs.a] * unit[pairs.b]).sum(1).astype(np.float32)
    for number, group in enumerate(protocol.groups):
        accepted = genuine = 0
        for fold in range(10):
            mine = pairs.group == number
            others = np.sort(scores[mine & (pairs.fold != fold) & ~pairs.genuine])[::-1]
            allowed = int(0.1 * len(others) + 1e-9)
            here = scores[mine & (pairs.fold == fold) & pairs.genuine]
            accepted += int((here > others[allowed]).sum())
            genuine += len(here)
        own = found.operating_points[0].own[group]
        assert own.fnmr.value == pytest.approx(1 - accepted / genuine)
        assert found.groups[group].accuracy.value is not None


def test_what_is_refused(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'mood'"):
        fhibe_protocol(release, group_by=("mood",))
    few = Manifest.read(release).select(np.arange(3))
    few.write(tmp_path / "manifest.parquet")
    with pytest.raises(DataError, match=r"no group by pronoun and ancestry has two genuine and"):
        fhibe_protocol(tmp_path)
    Manifest.from_columns(
        tmp_path,
        index=[0],
        identity="a",
        origin="real",
        dataset="other",
        licence="CC0",
        store=os.path.relpath(release, tmp_path),
    ).write(tmp_path / "manifest.parquet")
    with pytest.raises(UsageError, match=r"no attribute 'multiple_subjects'. Import FHIBE's"):
        fhibe_protocol(tmp_path)
