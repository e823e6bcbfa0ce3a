"""People shared with a test set: by name, by likeness, and their removal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.cli.main import main
from evenface.data.embedded import EmbeddedRows, match_caches
from evenface.data.manifest import Manifest
from evenface.data.overlap import OverlapReport, find_overlap, nearest, rows_without
from evenface.errors import DataError, UsageError
from pattern_people import embed, write_people

Describe = Callable[..., Manifest]


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as done:
        main(["data", *map(str, arguments)])
    assert done.value.code == code


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.integers(0, 99))
def test_blocked_search_is_exact(n: int, m: int, block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers: sums are exact in any order, ties are real.
    a, b = (rng.integers(-3, 4, (size, 4)).astype(np.float32) for size in (n, m))
    cosines, places = nearest(lambda i, j: a[i:j], n, lambda i, j: b[i:j], m, block=block)
    whole = a @ b.T
    assert places.tolist() == whole.argmax(axis=1).tolist()
    assert cosines.tolist() == whole.max(axis=1).tolist()


def test_three_identities_of_177_images_shared_by_name(describe: Describe) -> None:
    """The case of RFW and BUPT-BalancedFace, at its true size of the overlap."""
    shared = {"m.0abc": 60, "m.0def": 59, "m.0ghi": 58}
    people = [(name, "north", n) for name, n in shared.items()]
    # The store has 120 images: rows may point at any of them.
    train = Manifest.concat(
        [
            describe("real", [(name, group, images)])
            for name, group, images in [*people, *((f"m.1{i}", "north", 3) for i in range(20))]
        ]
    )
    test = describe("real", [*((name, "north", 4) for name in shared), ("m.2", "north", 4)])
    found = find_overlap(train, test)
    assert found.remove == sorted(shared)
    assert found.images_to_remove == 177
    assert [item.match for item in found.names] == ["name"] * 3
    cleaned = train.select(rows_without(train, found.remove))
    assert len(cleaned) == len(train) - 177
    assert find_overlap(cleaned, test).remove == []


def test_names_behind_prefixes_and_of_other_origin(describe: Describe) -> None:
    train = describe(
        "real", [("real:a", "north", 1), ("north/b", "north", 2), ("c", "north", 1), ("d", "s", 1)]
    )
    test = describe("real", [("a", "north", 1), ("b", "north", 1), ("c", "north", 1)])
    found = find_overlap(train, test)
    assert [(n.identity, n.match) for n in found.names] == [
        ("c", "name"),
        ("north/b", "bare name"),
        ("real:a", "bare name"),
    ]
    rendered = describe("synthetic", [("a", "north", 1), ("c", "north", 1)])
    assert find_overlap(train, rendered).remove == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12),
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6),
    st.integers(0, 99),
)
def test_removal_is_stable(describe: Describe, train, test, seed) -> None:
    sets = [describe("real", [(name, "north", 1) for name in names]) for names in (train, test)]
    rng = np.random.default_rng(seed)
    vectors = {name: rng.normal(size=3) for name in "abcdefgh"}
    embeddings = [
        EmbeddedRows(
            np.array([vectors[n] for n in m.column("identity")]) + rng.normal(0, 0.3, (len(m), 3)),
            np.arange(len(m)),
            "t",
        )
        for m in sets
    ]
    found = find_overlap(*sets, embeddings=tuple(embeddings), threshold=0.8)
    assert set(train) & set(test) <= set(found.remove)
    rows = rows_without(sets[0], found.remove)
    # The others stay, in their order, and a second search finds nobody.
    names = [name for name in sets[0].column("identity") if name not in found.remove]
    cleaned = sets[0].select(rows)
    assert cleaned.column("identity").tolist() == names
    pair = embeddings[0].select(rows), embeddings[1]
    assert find_overlap(cleaned, sets[1], embeddings=pair, threshold=0.8).remove == []
    turn = rng.permutation(len(sets[0]))
    turned = embeddings[0].select(turn), embeddings[1]
    again = find_overlap(sets[0].select(turn), sets[1], embeddings=turned, threshold=0.8)
    assert again.remove == found.remove


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Training people p0 … p5; of the test set q0 is p0 by another name, q1 is nobody of them."""
    root = tmp_path_factory.mktemp("overlap")
    train = write_people(root / "train", [(f"p{i}", "north", 3) for i in range(6)])
    test = write_people(
        root / "test",
        [("p0", "north", 2), ("z", "south", 3), ("p5", "north", 2)],
        names={"p0": "q0", "z": "q1"},
    )
    return {
        "root": root,
        "train": root / "train",
        "test": root / "test",
        "train cache": embed(train, root / "train-cache"),
        "test cache": embed(test, root / "test-cache"),
        "other cache": embed(test, root / "other-cache", "another teacher"),
    }


def test_people_and_images_alike(sets: dict[str, Path]) -> None:
    train, test = Manifest.read(sets["train"]), Manifest.read(sets["test"])
    pair = match_caches([train, test], [sets["test cache"], sets["train cache"]])
    found = find_overlap(train, test, embeddings=pair, threshold=0.95, image_threshold=0.999)
    assert [(p.identity, p.test_identity) for p in found.people[:2]] in (
        [("p0", "q0"), ("p5", "p5")],
        [("p5", "p5"), ("p0", "q0")],
    )
    assert [n.identity for n in found.names] == ["p5"]
    assert found.remove == ["p0", "p5"]
    assert found.images_to_remove == 6
    # Two images of each are copies.
    assert [(i.identity, i.row, i.test_identity, i.test_row) for i in found.images] == [
        ("p0", 0, "q0", 0),
        ("p0", 1, "q0", 1),
        ("p5", 15, "p5", 5),
        ("p5", 16, "p5", 6),
    ]
    assert all(pair.cosine < 0.95 for pair in found.closest_kept)
    assert {pair.identity for pair in found.closest_kept} == {"p1", "p2", "p3", "p4"}


def test_caches_find_their_sets(sets: dict[str, Path]) -> None:
    train, test = Manifest.read(sets["train"]), Manifest.read(sets["test"])
    assert match_caches([train, test], []) == [None, None]
    with pytest.raises(UsageError, match="belong to none"):
        match_caches([train], [sets["test cache"]])
    with pytest.raises(UsageError, match="a second embedding cache"):
        match_caches([test], [sets["test cache"], sets["other cache"]])
    with pytest.raises(DataError, match="no embedding cache"):
        match_caches([test], [sets["test"]])
    pair = match_caches([train, test], [sets["train cache"], sets["other cache"]])
    with pytest.raises(UsageError, match="different teachers"):
        find_overlap(train, test, embeddings=pair)


def test_command(sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = sets["train"], sets["test"]
    caches = ("--embeddings", sets["train cache"], "--embeddings", sets["test cache"])
    run("overlap", *places, "--report", tmp_path / "names.json", "--out", tmp_path / "cleaned")
    printed = capsys.readouterr()
    assert "1 of 6 training identities" in printed.err
    assert "only names were compared" in printed.err
    assert Manifest.read(tmp_path / "cleaned").identities() == ["p0", "p1", "p2", "p3", "p4"]
    run("overlap", *places, *caches, "--threshold", 0.95, "--report", tmp_path / "found.json")
    printed = capsys.readouterr().err
    assert "2 of 6 training identities" in printed
    assert "2 of them are matched only by the teacher" in printed
    assert OverlapReport.read(tmp_path / "found.json").remove == ["p0", "p5"]
    run("overlap", *places, *caches, "--threshold", 0.95, "--json")
    assert json.loads(capsys.readouterr().out)["images_to_remove"] == 6
    run("overlap", *places, "--out", tmp_path / "cleaned", code=1)
    run("overlap", *places, *caches[:2], code=2)
    assert "give its embedding cache too" in capsys.readouterr().err
    run("overlap", places[1], places[1], "--out", tmp_path / "empty", code=2)
    assert "nothing would be left" in capsys.readouterr().err
    run("overlap", *places, "--report", tmp_path / "names.txt", code=2)


def test_mix_leaves_them_out(
    sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caches = ("--embeddings", sets["train cache"], "--embeddings", sets["test cache"])
    ask = ("mix", "--real", sets["train"], "--real-fraction", 1, "--json")
    run(*ask, tmp_path / "one", "--exclude-overlap", sets["test"])
    printed = capsys.readouterr()
    assert "by name only" in printed.err
    report = json.loads(printed.out)
    assert report["sources"]["real"]["excluded"] == {str(sets["test"]): ["p5"]}
    assert report["identities"] == 5
    run(
        *(*ask, tmp_path / "two", "--exclude-overlap", sets["test"], *caches),
        *("--set", "overlap_threshold=0.95", "--set", "overlap_image_threshold=0.999"),
    )
    printed = capsys.readouterr()
    assert "by name only" not in printed.err
    report = json.loads(printed.out)
    assert report["sources"]["real"]["excluded"] == {str(sets["test"]): ["p0", "p5"]}
    run(
        *("overlap", sets["train"], sets["test"], *caches, "--threshold", 0.95),
        *("--report", tmp_path / "found.json"),
    )
    capsys.readouterr()
    run(*ask, tmp_path / "three", "--exclude-overlap", tmp_path / "found.json")
    report = json.loads(capsys.readouterr().out)
    assert report["sources"]["real"]["excluded"] == {str(tmp_path / "found.json"): ["p0", "p5"]}
    two, three = Manifest.read(tmp_path / "two"), Manifest.read(tmp_path / "three")
    assert two.fingerprint == three.fingerprint
    run(
        *("mix", "--real", sets["test"], "--real-fraction", 1, tmp_path / "four"),
        *("--exclude-overlap", tmp_path / "found.json"),
        code=2,
    )
    assert "made for none of the sources" in capsys.readouterr().err
    run(*ask, tmp_path / "five", "--exclude-overlap", sets["test"], *caches[2:], code=2)
    assert "no teacher embeddings to compare" in capsys.readouterr().err
    run(
        *("mix", "--real", sets["test"], "--real-fraction", 1, tmp_path / "six"),
        *("--exclude-overlap", sets["test"]),
        code=2,
    )
    assert "all its identities are in the test sets" in capsys.readouterr().err


def test_damaged_report(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    for text, message in (("{", "not valid JSON"), ("[]", "no report"), ("{}", "no report")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            OverlapReport.read(path)
