"""Protocols as their authors publish them: BFW, CALFW, CPLFW, CFP, LFW's one fold, lists."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from pictures import listed, picture

from evenface.data.formats import ReadOptions, open_source
from evenface.data.formats.cfp import read_cfp
from evenface.data.formats.pairs import PairsFile, read_pairs
from evenface.data.published_sets import find_published_set, people_of
from evenface.data.verification_sets import prepare_verification_set
from evenface.errors import DataError
from evenface.evaluate.prepared_sets import write_protocol
from evenface.evaluate.protocol_specs import tasks_of


def save(folder: Path, *lines: str, name: str = "pairs.txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def images(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(sum(name.encode())))


def told(file: PairsFile) -> list[tuple[str, str, bool]]:
    return [(pair.first.path, pair.second.path, pair.genuine) for pair in file.pairs]


# --- BFW -----------------------------------------------------------------------------------------

HEADER = "fold,p1,p2,label,id1,id2,att1,att2,vgg16,resnet50,senet50,a1,a2,g1,g2,e1,e2"
AF, WM = "asian_females/n009/01.jpg", "white_males/n1/02.jpg"


def bfw_row(fold: int, first: str, second: str, label: object) -> str:
    group, other = first.split("/")[0], second.split("/")[0]
    people = first.split("/")[1], second.split("/")[1]
    told = (fold, first, second, label, *people, group, other)
    return ",".join(map(str, (*told, 0.5, 0.5, 0.5, "A", "A", "F", "F", "AF", "AF")))


def bfw(folder: Path, kinds: tuple[object, object] = (1, 0)) -> Path:
    rows = []
    for group in ("asian_females", "white_males"):
        for fold in (1, 2):
            a, b = (f"{group}/n{fold}{person}" for person in "xy")
            rows += [bfw_row(fold, f"{a}/1.png", f"{a}/2.png", kinds[0]),
                     bfw_row(fold, f"{b}/1.png", f"{b}/2.png", kinds[0]),
                     bfw_row(fold, f"{a}/1.png", f"{b}/1.png", kinds[1]),
                     bfw_row(fold, f"{a}/2.png", f"{b}/2.png", kinds[1])]  # fmt: skip
            images(folder, *(f"{person}/{k}.png" for person in (a, b) for k in (1, 2)))
    return save(folder, HEADER, *rows, name="bfw-v0.1.5-datatable.csv")


@pytest.mark.parametrize("kinds", [(1, 0), (1.0, 0.0), (1, -1), ("True", "False")])
def test_bfw(tmp_path: Path, kinds: tuple[object, object]) -> None:
    path = bfw(tmp_path, kinds)
    file = read_pairs(path)
    assert (len(file), file.folds, file.names_people) == (16, 2, True)
    assert {pair.group for pair in file.pairs} == {"asian_females", "white_males"}
    assert sum(pair.genuine for pair in file.pairs) == 8
    assert file.remarks == ("columns not read: vgg16, resnet50, senet50, a1, a2, g1, g2, e1, e2",)
    (task,) = tasks_of(str(path))
    assert task.protocol.groups == ("asian_females", "white_males")
    assert len(np.unique(task.protocol.identity[task.protocol.identity >= 0])) == 8
    people, named = people_of(find_published_set(tmp_path, path))
    assert named
    assert set(people.values()) == {"n1x", "n1y", "n2x", "n2y"}


def test_bfw_of_two_groups(tmp_path: Path) -> None:
    path = save(tmp_path, HEADER, bfw_row(1, AF, WM, 0), name="bfw.csv")
    with pytest.raises(DataError, match="line 2: a pair of two groups, 'asian_females' and 'white"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("bfw-v0.1.5-datatable.pkl", 0), ("d.pickle", 4), ("datatable.csv", 4)],
)
def test_pickles_are_not_opened(tmp_path: Path, name: str, protocol: int) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"p1": [1]}, protocol=protocol))
    with pytest.raises(DataError, match=r"a pickle is a program, and is not opened.*to_csv"):
        tasks_of(str(path))


# --- CALFW, CPLFW --------------------------------------------------------------------------------

FLAGGED = ["A_B_0001.jpg 1", "A_B_0002.jpg 1", "A_B_0001.jpg 0", "C_0001.jpg 0"]


@pytest.mark.parametrize("divider", [" ", "\t"])
@pytest.mark.parametrize("folder", ["", "images/", "aligned images/"])
def test_two_lines_a_pair(tmp_path: Path, divider: str, folder: str) -> None:
    lines = [line.replace(" ", divider) for line in FLAGGED]
    file = read_pairs(save(tmp_path, *lines))
    assert told(file) == [
        ("A_B_0001.jpg", "A_B_0002.jpg", True),
        ("A_B_0001.jpg", "C_0001.jpg", False),
    ]
    assert [pair.line for pair in file.pairs] == [1, 3]
    assert (file.pairs[1].first.identity, file.pairs[1].second.identity) == ("A_B", "C")
    images(
        tmp_path, *(f"{folder}{name}" for name in ("A_B_0001.jpg", "A_B_0002.jpg", "C_0001.jpg"))
    )
    found = find_published_set(tmp_path)
    paths = [found.groups[0].images.find(pair.second) for pair in file.pairs]
    assert paths == [tmp_path / folder / "A_B_0002.jpg", tmp_path / folder / "C_0001.jpg"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (FLAGGED[:3], "3 lines; two lines are a pair"),
        ([*FLAGGED[:3], "C_0001.jpg 2"], "lines 3 and 4 are a pair, but one has the flag 0, the"),
        ([*FLAGGED, "C_0001.jpg"], "line 5 is no half of a pair: 'C_0001.jpg'"),
        (["../A.jpg 1", "B.jpg 1"], "line 1: '../A.jpg' leads out"),
    ],
)
def test_bad_halves(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pairs(save(tmp_path, *lines))


# --- lists of pairs ------------------------------------------------------------------------------


@pytest.mark.parametrize("divider", [" ", "\t", ",", ";"])
@pytest.mark.parametrize("truth", [("1", "0"), ("1", "-1"), ("True", "False")])
@pytest.mark.parametrize("first", [True, False])
def test_lists_without_a_header(
    tmp_path: Path, divider: str, truth: tuple[str, str], first: bool
) -> None:
    pairs = [("a/1.jpg", "a\\2.jpg", truth[0]), ("a/1.jpg", "b/1.png", truth[1])]
    lines = [divider.join((t, a, b) if first else (a, b, t)) for a, b, t in pairs]
    file = read_pairs(save(tmp_path, *lines))
    assert told(file) == [("a/1.jpg", "a/2.jpg", True), ("a/1.jpg", "b/1.png", False)]
    assert (file.kind, file.folds) == ("paths", 0)
    with pytest.raises(DataError, match=r"line 3 is no pair: 'x'.*as in line 1"):
        read_pairs(save(tmp_path, *lines, "x"))


def test_windows_paths_do_not_lead_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out"):
        read_pairs(save(tmp_path, "..\\a.jpg b.jpg 1"))
    with pytest.raises(DataError, match="lies outside"):
        open_source(save(tmp_path, "path,identity", "..\\a.jpg,b", name="t.csv"))


def test_one_fold_of_lfw(tmp_path: Path) -> None:
    lines = ["2", "A\t1\t2", "B\t1\t2", "A\t1\tB\t1", "A\t2\tB\t2"]
    path = save(tmp_path, *lines, name="pairsDevTest.txt")
    images(tmp_path, *(f"{name}/{name}_{k:04d}.png" for name in "AB" for k in (1, 2)))
    (task,) = tasks_of(str(path))
    assert task.protocol.folds == 2
    assert any("pairs were dealt to 2 folds at random" in note for note in task.protocol.notes)


# --- CFP -----------------------------------------------------------------------------------------


def plant_cfp(root: Path) -> Path:
    people = ("001", "002", "003", "004")
    frontal, profile = (
        [f"{n} ../Data/Images/{person}/{kind}/{k:02d}.jpg"
         for n, (person, k) in enumerate(((p, k) for p in people for k in (1, 2)), start=1)]
        for kind in ("frontal", "profile")
    )  # fmt: skip
    save(root / "Protocol", *frontal, name="Pair_list_F.txt")
    save(root / "Protocol", *profile, name="Pair_list_P.txt")
    for line in (*frontal, *profile):
        images(root, line.split("../")[1])
    for kind in ("FF", "FP"):
        for fold, (a, b) in enumerate(((1, 3), (5, 7)), start=1):
            folder = root / "Protocol" / "Split" / kind / f"{fold:02d}"
            save(folder, f"{a},{a + 1}", f"{b},{b + 1}", name="same.txt")
            save(folder, f"{a},{b}", f"{a + 1},{b + 1}", name="diff.txt")
    return root


@pytest.mark.parametrize(("kind", "second"), [("FF", "frontal"), ("FP", "profile")])
def test_cfp(tmp_path: Path, kind: str, second: str) -> None:
    root = plant_cfp(tmp_path / "cfp")
    file = read_cfp(root / "Protocol" / "Split" / kind)
    assert told(file)[0] == (
        "Data/Images/001/frontal/01.jpg",
        f"Data/Images/001/{second}/02.jpg",
        True,
    )
    assert [pair.fold for pair in file.pairs] == [0] * 4 + [1] * 4
    assert [pair.genuine for pair in file.pairs] == [True, True, False, False] * 2
    with pytest.raises(DataError, match=r"CFP has two protocols; say which with --pairs .*FP or"):
        find_published_set(root)
    published = find_published_set(root, root / "Protocol" / "Split" / kind)
    out = tmp_path / "out"
    prepared = prepare_verification_set(published, out, dataset="CFP", licence="none", workers=1)
    protocol = write_protocol(prepared, out)
    assert (protocol.folds, prepared.identities_named) == (2, True)
    assert set(prepared.manifest.identities()) == {"001", "002", "003", "004"}


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("Split/FP/01/same.txt", "1,99", r"same\.txt: line 3 is no pair of listed images: '1,99'"),
        ("Pair_list_P.txt", "9 ../../x/y/1.jpg", "line 9 is '9 ../../x/y/1.jpg', expected number"),
    ],
)
def test_damaged_cfp(tmp_path: Path, name: str, line: str, message: str) -> None:
    root = plant_cfp(tmp_path)
    with open(root / "Protocol" / name, "a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        read_cfp(root / "Protocol" / "Split" / "FP")


# --- lists and tables of images ------------------------------------------------------------------


@pytest.mark.parametrize("divider", [" ", "\t", ",", ";"])
@pytest.mark.parametrize("suffix", [".txt", ".lst", ".list"])
def test_lists_of_images(tmp_path: Path, divider: str, suffix: str) -> None:
    images(tmp_path, "a/1.png", "b/1.png")
    path = save(tmp_path, f"a/1.png{divider}0", f"b\\1.png{divider}ann", name=f"train{suffix}")
    source = open_source(path)
    assert listed(source) == [("a/1.png (line 1)", "0", ()), ("b/1.png (line 2)", "ann", ())]
    assert source.read(1) == (tmp_path / "b" / "1.png").read_bytes()
    assert len(open_source(path, ReadOptions(root=tmp_path.parent))) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.png", "line 2 is '1.png', expected 'path label'"),
        ("", "line 2 is empty"),
        ("../1.png 3", "line 2: .* lies outside"),
        ("a b.png 3", "line 2 is 'a b.png 3', expected"),
    ],
)
def test_bad_lists_of_images(tmp_path: Path, line: str, message: str) -> None:
    path = save(tmp_path, "0.png 1", line, "2.png 1", name="l.txt")
    with pytest.raises(DataError, match=message):
        open_source(path)


def test_semicolons_and_backslashes_in_tables(tmp_path: Path) -> None:
    images(tmp_path, "a/1.png")
    path = save(tmp_path, "path;identity;region", "a\\1.png;ann;n,s", name="t.csv")
    source = open_source(path)
    assert listed(source) == [("a/1.png (row 1)", "ann", ("n,s",))]
    assert source.read(0) == (tmp_path / "a" / "1.png").read_bytes()
