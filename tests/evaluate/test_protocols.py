"""Protocols drawn from manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate import Protocol, protocol_from_manifest
from evenface.evaluate.pairs import genuine_pairs, impostor_pairs
from evenface.evaluate.protocols import default_fold_pairs
from evenface.seeds import generator
from labelled_rows import LabelledRows


def test_pairs_are_what_they_claim(two_groups: Manifest) -> None:
    protocol = protocol_from_manifest(two_groups)
    labels, groups = two_groups.labels(), two_groups.groups()
    for pairs in (protocol.fold_pairs, protocol.score_pairs):
        np.testing.assert_array_equal(labels[pairs.a] == labels[pairs.b], pairs.genuine)
        names = np.array(protocol.groups, dtype=object)[pairs.group]
        np.testing.assert_array_equal(groups[pairs.a], names)
        np.testing.assert_array_equal(groups[pairs.b], names)
        assert (pairs.a < pairs.b).all()
        keys = np.stack([pairs.a, pairs.b, pairs.genuine], axis=1)
        assert len(np.unique(keys, axis=0)) == len(pairs)


def test_folds_are_balanced_disjoint_and_contiguous(two_groups: Manifest) -> None:
    protocol = protocol_from_manifest(two_groups, folds=6)
    assert protocol.notes == ()
    labels = two_groups.labels()
    for g in range(2):
        pairs = protocol.fold_pairs.select(protocol.fold_pairs.group == g)
        seen: set[int] = set()
        for f, (_, held_out) in enumerate(KFold(6).split(pairs.a)):
            assert (pairs.fold[held_out] == f).all()
            assert pairs.genuine[held_out].mean() == 0.5
            here = set(labels[pairs.a[held_out]]) | set(labels[pairs.b[held_out]])
            assert not here & seen
            seen |= here
        # 4 identities a fold, 6 genuine pairs each
        assert len(pairs) == 6 * 2 * 24


def test_score_pairs_are_exhaustive_within_groups(two_groups: Manifest) -> None:
    pairs = protocol_from_manifest(two_groups).score_pairs
    per_group_genuine, per_group_all = 24 * 6, 96 * 95 // 2
    assert pairs.genuine.sum() == 2 * per_group_genuine
    assert len(pairs) == 2 * per_group_all


def test_score_pairs_are_capped_and_said(two_groups: Manifest) -> None:
    protocol = protocol_from_manifest(two_groups, max_pairs=100)
    pairs = protocol.score_pairs
    assert pairs.genuine.sum() == 200
    assert (~pairs.genuine).sum() == 200
    assert any("100 of 144 genuine pairs" in note for note in protocol.notes)
    assert any("100 of 4,416 impostor pairs" in note for note in protocol.notes)


def test_seeded(two_groups: Manifest) -> None:
    first, again, other = (
        protocol_from_manifest(two_groups, max_pairs=50, pairs_per_group=40, seed=s)
        for s in (1, 1, 2)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_few_identities_share_folds_and_say_so(make_manifest) -> None:
    manifest = make_manifest({"a": [10] * 5})
    protocol = protocol_from_manifest(manifest)
    assert len(protocol.fold_pairs) == 2 * 10 * (5 * 45 // 10)
    assert any("share identities" in note for note in protocol.notes)


def test_too_few_pairs_make_fewer_folds(make_manifest) -> None:
    protocol = protocol_from_manifest(make_manifest({"a": [2] * 4}))
    assert np.unique(protocol.fold_pairs.fold).tolist() == [0, 1, 2, 3]
    assert any("suffice for 4 folds only" in note for note in protocol.notes)


def test_one_genuine_pair_is_too_few_for_folds(make_manifest) -> None:
    with pytest.raises(DataError, match="'a' has 1 genuine"):
        protocol_from_manifest(make_manifest({"a": [2, 1, 1]}))


def test_groups_without_genuine_pairs_are_named(make_manifest) -> None:
    manifest = make_manifest({"a": [3] * 4, "b": [1] * 5, "c": [4]})
    with pytest.raises(DataError, match=r"'b' has no genuine pair.*'c' has one identity"):
        protocol_from_manifest(manifest)


def test_identities_with_one_image_are_counted(make_manifest) -> None:
    protocol = protocol_from_manifest(make_manifest({"a": [3] * 20 + [1] * 2}))
    assert protocol.counts[0].single_image_identities == 2
    assert protocol.counts[0].identities == 22
    assert any("2 of 22 identities have one image" in note for note in protocol.notes)


def test_differing_sizes_are_noted(make_manifest) -> None:
    protocol = protocol_from_manifest(make_manifest({"a": [4] * 20, "b": [3] * 20}))
    assert any("differ in the number of fold pairs: a 240, b 120" in n for n in protocol.notes)


def test_rows_without_a_group_are_left_out(make_manifest) -> None:
    groups = ["a"] * 40 + [None] * 8 + ["b"] * 40
    manifest = make_manifest({"x": [4] * 22}, attributes={"ethnicity": groups})
    protocol = protocol_from_manifest(manifest, folds=2)
    assert protocol.groups == ("a", "b")
    assert set(protocol.rows) == set(range(40)) | set(range(48, 88))
    assert any("8 images without a value of ethnicity" in note for note in protocol.notes)


def test_an_attribute_without_values_is_refused(make_manifest) -> None:
    manifest = make_manifest({"a": [4] * 4}, attributes={"age_band": None})
    with pytest.raises(DataError, match=r"no image .* age_band"):
        protocol_from_manifest(manifest)


def test_an_identity_in_two_groups_is_two(make_manifest) -> None:
    manifest = make_manifest({"x": [8] * 6}, attributes={"ethnicity": ["a", "b"] * 24})
    protocol = protocol_from_manifest(manifest, folds=2)
    assert [c.identities for c in protocol.counts] == [6, 6]
    assert len(np.unique(protocol.identity)) == 12


def test_grouping(make_manifest) -> None:
    manifest = make_manifest(
        {"a": [4] * 8, "b": [4] * 8},
        attributes={"ethnicity": ["a"] * 32 + ["b"] * 32, "gender": (["f"] * 16 + ["m"] * 16) * 2},
    )

    def groups(by: object) -> tuple[str, ...]:
        return protocol_from_manifest(manifest, group_by=by, folds=2).groups

    assert groups(None) == ("a", "b")
    assert groups(()) == ("all",)
    assert groups(("ethnicity", "gender")) == ("a × f", "a × m", "b × f", "b × m")
    with pytest.raises(UsageError, match="no attribute 'age'"):
        groups("age")


def test_origins(make_manifest, two_groups: Manifest) -> None:
    assert protocol_from_manifest(two_groups).simulated
    real = protocol_from_manifest(make_manifest({"a": [4] * 20}, origin="real"))
    assert not real.simulated
    assert real.origins == {"real": 80}


def test_fold_pairs_follow_the_people_of_the_smallest_group() -> None:
    sizes = {"a": 300, "b": 400}
    rows = LabelledRows(8, [group for group, people in sizes.items() for _ in range(people)])
    protocol = protocol_from_manifest(rows, max_pairs=100)  # type: ignore[arg-type]
    assert protocol.pairs_per_group == 24 * 300
    assert np.bincount(protocol.fold_pairs.group).tolist() == [7200, 7200]
    assert [default_fold_pairs(people) for people in (10, 250, 10_000)] == [6000, 6000, 100_000]


@pytest.mark.parametrize("options", [{"folds": 1}, {"pairs_per_group": 19}, {"max_pairs": 0}])
def test_impossible_sizes_are_refused(two_groups: Manifest, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        protocol_from_manifest(two_groups, **options)


def test_written_and_read(two_groups: Manifest, tmp_path: Path) -> None:
    protocol = protocol_from_manifest(two_groups, max_pairs=100, pairs_per_group=60)
    protocol.write(tmp_path / "protocol.parquet")
    read = Protocol.read(tmp_path / "protocol.parquet")
    assert (read.notes, read.counts, read.groups) == (
        protocol.notes,
        protocol.counts,
        protocol.groups,
    )
    np.testing.assert_array_equal(read.rows, protocol.rows)
    np.testing.assert_array_equal(read.identity[read.rows], protocol.identity[protocol.rows])
    assert (read.fingerprint, read.pairs_per_group) == (protocol.fingerprint, 60)
    assert read.pairs_per_group == 60


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "foreign"])
def test_damaged_files_are_refused(two_groups: Manifest, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "protocol.parquet"
    if damage != "missing":
        protocol_from_manifest(two_groups, max_pairs=10).write(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    if damage == "empty":
        path.write_bytes(b"")
    if damage == "foreign":
        pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match=r"protocol\.parquet"):
        Protocol.read(path)


HEADER: list[dict[str, Any]] = [
    {"manifest_rows": 10**15},
    {"manifest_rows": 3},
    {"manifest_rows": "9"},
    {"manifest_rows": True},
    {"groups": [1, 2]},
    {"groups": "ab"},
    {"group_by": [None]},
    {"folds": 1},
    {"folds": -4},
    {"seed": {}},
    {"notes": [[]]},
    {"counts": []},
    {"counts": [{"images": -1, "identities": 0, "single_image_identities": 0}] * 2},
    {"counts": [{"other": 1}] * 2},
    {"origins": ["real"]},
    {"origins": {"real": "many"}},
    {"name": None},
    {"version": [[]]},
]
COLUMNS: list[tuple[str, Any]] = [
    ("a", -1),
    ("b", 10**6),
    ("group", 2),
    ("group", -1),
    ("fold", 99),
    ("fold", -2),
    ("identity_a", -7),
    ("identity_b", 2**60),
    ("genuine", None),
    ("scored", None),
    ("a", None),
    ("a", 0.5),
    ("genuine", 3),
]


@pytest.mark.parametrize("change", [*HEADER, *COLUMNS], ids=str)
def test_hostile_content_is_refused(two_groups: Manifest, tmp_path: Path, change: Any) -> None:
    path = tmp_path / "protocol.parquet"
    protocol_from_manifest(two_groups, max_pairs=10, folds=2).write(path)
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"evenface-protocol"])
    if isinstance(change, tuple):
        name, value = change
        values = table.column(name).to_pylist()
        values = [value] * len(values) if name == "genuine" and value else [value, *values[1:]]
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values))
    else:
        header |= change
    pq.write_table(table.replace_schema_metadata({"evenface-protocol": json.dumps(header)}), path)
    with pytest.raises(DataError, match=r"protocol\.parquet: (not a readable p|p)rotocol"):
        Protocol.read(path)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=10), st.integers(1, 30), st.integers(0, 9))
def test_drawn_pairs(sizes: list[int], limit: int, seed: int) -> None:
    identity = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = 100 + np.arange(len(identity))
    expected = {
        True: sum(k * (k - 1) // 2 for k in sizes),
        False: (sum(sizes) ** 2 - sum(k * k for k in sizes)) // 2,
    }
    for draw, kind in ((genuine_pairs, True), (impostor_pairs, False)):
        for most in (None, limit):
            a, b = draw(rows, identity, most, generator(seed))
            assert len(a) == min(expected[kind], expected[kind] if most is None else most)
            assert ((identity[a - 100] == identity[b - 100]) == kind).all()
            assert len({*zip(a.tolist(), b.tolist(), strict=True)}) == len(a)


def test_capped_genuine_pairs_are_spread_over_identities() -> None:
    identity = np.repeat([0, 1, 2], [20, 3, 3])
    a, _ = genuine_pairs(np.arange(26), identity, 9, generator(0))
    assert np.bincount(identity[a]).tolist() == [3, 3, 3]


def test_rejection_draws_evenly() -> None:
    """Above the enumerable size: pairs are distinct, of two identities, and evenly spread."""
    identity = np.repeat(np.arange(1500), 2)
    a, b = impostor_pairs(np.arange(3000), identity, 30_000, generator(5))
    assert len(np.unique(a * 3000 + b)) == 30_000
    assert (identity[a] != identity[b]).all()
    uses = np.bincount(np.concatenate([a, b]), minlength=3000)
    # Each row is in a pair with probability 20 / 3000: variance close to Poisson's.
    assert uses.var() == pytest.approx(20, rel=0.15)


def test_impostors_across_groups(two_groups: Manifest) -> None:
    protocol = protocol_from_manifest(two_groups, pairs_per_group=80, impostors="across")
    group = np.array([name == "b" for name in two_groups.groups()]).astype(int)
    for pairs in (protocol.fold_pairs, protocol.score_pairs):
        np.testing.assert_array_equal(group[pairs.a[~pairs.genuine]], pairs.group[~pairs.genuine])
        assert (group[pairs.a] != group[pairs.b])[~pairs.genuine].all()
        assert (protocol.identity[pairs.a] == protocol.identity[pairs.b])[pairs.genuine].all()
    folds = protocol.fold_pairs
    # Folds are disjoint in identity, over both groups.
    for fold in range(10):
        inside, outside = (
            set(protocol.identity[np.concatenate([folds.a[chosen], folds.b[chosen]])])
            for chosen in (folds.fold == fold, folds.fold != fold)
        )
        assert not inside & outside
    assert len(protocol.score_pairs) == 2 * (24 * 6 + 96 * 96)
    assert not protocol.cross_table
    again = protocol_from_manifest(two_groups, pairs_per_group=80, impostors="across")
    assert again.fingerprint == protocol.fingerprint
    capped = protocol_from_manifest(two_groups, max_pairs=50, impostors="across")
    assert (~capped.score_pairs.genuine).sum() == 100


def test_impostors_across_one_group(make_manifest) -> None:
    with pytest.raises(UsageError, match="need two groups"):
        protocol_from_manifest(make_manifest({"a": [2] * 30}), impostors="across")


def test_people_in_two_groups_are_no_impostors_across(make_manifest) -> None:
    manifest = make_manifest({"a": [4] * 3, "b": [4] * 3}, identity=[*"aaaabbbbcccc"] * 2)
    pairs = protocol_from_manifest(manifest, pairs_per_group=20, impostors="across").score_pairs
    labels = manifest.labels()
    assert (labels[pairs.a] != labels[pairs.b])[~pairs.genuine].all()
    assert (~pairs.genuine).sum() == 2 * (12 * 12 - 3 * 16)
