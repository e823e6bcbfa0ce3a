"""Pairs files of LFW and RFW, and tables of paths: every line accounted for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.data.decode import ImageError
from evenface.data.formats.pairs import ImageName, Pair, PairImages, read_pairs
from evenface.errors import DataError


def save(folder: Path, *lines: str, name: str = "pairs.txt", end: str = "\n") -> Path:
    path = folder / name
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def blocks(folds: int, share: int, divider: str = "\t") -> list[str]:
    lines = []
    for fold in range(folds):
        for k in range(share):
            lines.append(divider.join([f"m.0{fold}a{k}", "1", "2"]))
        for k in range(share):
            lines.append(divider.join([f"m.0{fold}a{k}", "1", f"m.0{fold}b{k}", "3"]))
    return lines


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("divider", ["\t", " ", "\t ", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_all_pairs_of_lfw_and_rfw(tmp_path: Path, header: bool, divider: str, end: str) -> None:
    lines = blocks(10, 30, divider)
    found = read_pairs(save(tmp_path, *(["10\t30"] if header else []), *lines, end=end))
    assert len(found) == 600
    assert (found.kind, found.folds) == ("lfw", 10)
    assert [pair.genuine for pair in found.pairs] == ([True] * 30 + [False] * 30) * 10
    assert [pair.fold for pair in found.pairs] == [place // 60 for place in range(600)]
    shift = 2 if header else 1
    assert [pair.line for pair in found.pairs] == [place + shift for place in range(600)]
    assert found.pairs[0].first == ImageName("m.00a0", 1)
    assert found.pairs[0].second == ImageName("m.00a0", 2)
    assert found.pairs[-1].second == ImageName("m.09b29", 3)
    assert bool(found.remarks) is not header


def test_the_first_pair_is_not_taken_for_a_header(tmp_path: Path) -> None:
    # Identities may be numbers: three fields are a pair, whatever they look like.
    found = read_pairs(save(tmp_path, "10\t300\t301", "10\t1\t11\t2"))
    assert found.pairs == (
        Pair(1, ImageName("10", 300), ImageName("10", 301), True),
        Pair(2, ImageName("10", 1), ImageName("11", 2), False),
    )


def test_a_header_with_one_number(tmp_path: Path) -> None:
    found = read_pairs(save(tmp_path, "2", *blocks(1, 2)))
    assert (len(found), found.folds, {pair.fold for pair in found.pairs}) == (4, 1, {0})


def test_names_with_spaces_need_tabs(tmp_path: Path) -> None:
    found = read_pairs(save(tmp_path, "Ana de la Reguera\t1\t2", "A B\t1\tC D\t2"))
    assert found.pairs[0].first.identity == "Ana de la Reguera"
    assert found.pairs[1].second == ImageName("C D", 2)
    with pytest.raises(DataError, match="line 1 is no pair: 'A B 1 2'"):
        read_pairs(save(tmp_path, "A B 1 2"))


def test_tabs_and_spaces_in_one_line(tmp_path: Path) -> None:
    found = read_pairs(save(tmp_path, "a 1\t2", "a\t1 b\t2", "\ta\t1\t2"))
    assert [pair.genuine for pair in found.pairs] == [True, False, True]


def test_uneven_blocks_tell_no_folds(tmp_path: Path) -> None:
    lines = blocks(10, 30)
    del lines[77]
    found = read_pairs(save(tmp_path, *lines))
    assert (len(found), found.folds) == (599, 0)
    assert {pair.fold for pair in found.pairs} == {-1}
    assert "tells no folds" in found.remarks[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["10\t30", *blocks(10, 30)[:-1]], r"promises 10 × 30 .* 600 in all; the file has 599"),
        (["10\t30", "a\t1\tb\t2", *blocks(10, 30)[1:]], r"lines 2–61 \(fold 1\) hold 29 genuine"),
        (["10\t30"], "no pairs, only a header"),
        ([], "the file is empty"),
        (["", "  "], "the file is empty"),
        (["a\t1\t2", "10\t300"], "line 2 is no pair"),
        (["a\t1\t2", "a\t1"], "line 2 is no pair"),
        (["a\t1\t2", "a\t1\tb\t2\tc"], "line 2 is no pair"),
        (["a\t1\t-2"], "line 1 is no pair"),
        (["a\t1\t2.0"], "line 1 is no pair"),
        (["a\t1\t9999999999"], "line 1 is no pair"),
        (["# a comment"], "line 1 is no pair"),
        (["../../etc\t1\t2"], r"line 1: '\.\./\.\./etc' leads out"),
        (["/etc\t1\t2"], "line 1: '/etc' leads out"),
        (["a\0b\t1\t2"], r"line 1: 'a\\x00b' cannot name"),
        (["path1,path2,label", "a,b,1"], "line 1: the column 'genuine' is missing"),
        (["path1,path2,genuine,path1", "a,b,1,c"], "two columns of one name"),
        (["path1,path2,genuine"], "no pairs, only a header"),
        (["path1,path2,genuine", "a,b"], "line 2 has 2 cells, expected 3"),
        (["path1,path2,genuine", "a,b,maybe"], "line 2: genuine is 'maybe'"),
        (["path1,path2,genuine", "a,,1"], "line 2: '' cannot name"),
        (["path1,path2,genuine", "a,../b,1"], "line 2: '../b' leads out"),
        (["path1,path2,genuine,fold", "a,b,1,x"], "line 2: fold is 'x'"),
        (["path1,path2,genuine,fold", "a,b,1,0", "a,b,1,"], "line 3 has no fold"),
        (["path1,path2,genuine", "a\0,b,1"], "line 2"),
        (["path1,path2,genuine", "a" * 200_000 + ",b,1"], "line 2 has 0 cells"),
    ],
)
def test_malformed(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=rf"pairs\.txt: .*{message}"):
        read_pairs(save(tmp_path, *lines))


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_bytes(b"a\t1\t2\ncaf\xe9\t1\t2\n")
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        read_pairs(tmp_path / "pairs.txt")
    with pytest.raises(DataError, match="no such file"):
        read_pairs(tmp_path)


def test_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    found = read_pairs(save(tmp_path, "\ufeffa\t1\t2", "", "a\t1\tb\t2", ""))
    assert [(pair.line, pair.first.identity) for pair in found.pairs] == [(1, "a"), (3, "a")]


@pytest.mark.parametrize("divider", [",", "\t", ";"])
def test_table(tmp_path: Path, divider: str) -> None:
    rows = [
        ["Path1", "path2", "genuine", "fold", "group", "note"],
        ["a/1.jpg", "a/2.jpg", "1", "3", "north", "x"],
        ["a/1.jpg", '"b/1 x.jpg"', "False", "7", "", "y"],
        ["b/1.jpg", "b/2.jpg", "TRUE", "3", "south", "z"],
    ]
    found = read_pairs(save(tmp_path, *map(divider.join, rows), name="pairs.csv"))
    assert found.pairs == (
        Pair(2, ImageName(path="a/1.jpg"), ImageName(path="a/2.jpg"), True, 0, "north"),
        Pair(3, ImageName(path="a/1.jpg"), ImageName(path="b/1 x.jpg"), False, 1, None),
        Pair(4, ImageName(path="b/1.jpg"), ImageName(path="b/2.jpg"), True, 0, "south"),
    )
    assert (found.kind, found.folds) == ("paths", 2)
    assert found.remarks == ("columns not read: note",)


def test_table_without_folds(tmp_path: Path) -> None:
    found = read_pairs(save(tmp_path, "path1,path2,genuine", "a,b,0"))
    assert (found.folds, found.pairs[0].fold, found.remarks) == (0, -1, ())


def test_oddities_are_told(tmp_path: Path) -> None:
    lines = ["a\t1\t1", "a\t1\t2", "a\t2\t1", "a\t1\ta\t3", "a\t1\tb\t1"]
    told = "\n".join(read_pairs(save(tmp_path, *lines)).remarks)
    assert "1 pairs compare an image with itself, e.g. in line 1" in told
    assert "1 pairs occur twice, e.g. in line 3" in told
    assert "1 pairs are marked impostor but name one identity, e.g. in line 4" in told


names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=6)


@given(
    st.lists(
        st.tuples(names, st.integers(0, 999), names, st.integers(0, 999), st.booleans()), min_size=1
    )
)
@settings(max_examples=50, deadline=None)
def test_every_line_is_a_pair(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str, int, bool]]
) -> None:
    lines = [
        f"{one}\t{i}\t{j}" if genuine else f"{one}\t{i}\t{two}\t{j}"
        for one, i, two, j, genuine in rows
    ]
    found = read_pairs(save(tmp_path_factory.mktemp("pairs"), *lines))
    assert [
        (p.first.identity, p.first.number, p.second.identity, p.second.number, p.genuine)
        for p in found.pairs
    ] == [(one, i, one if genuine else two, j, genuine) for one, i, two, j, genuine in rows]


# --- the images ----------------------------------------------------------------------------------


def plant(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_images_are_found(tmp_path: Path) -> None:
    plant(tmp_path, "m.0a/m.0a_0003.jpg", "m.0a/m.0a_12.PNG", "m.0a/m.0a_0003.txt", "x/y z.jpg")
    images = PairImages(tmp_path)
    assert images.find(ImageName("m.0a", 3)) == tmp_path / "m.0a" / "m.0a_0003.jpg"
    assert images.find(ImageName("m.0a", 12)) == tmp_path / "m.0a" / "m.0a_12.PNG"
    assert images.find(ImageName(path="x/y z.jpg")) == tmp_path / "x" / "y z.jpg"


def test_images_that_are_not_there(tmp_path: Path) -> None:
    images = PairImages(plant(tmp_path, "a/a_0001.jpg", "a/a_1.png", "file"))
    with pytest.raises(ImageError, match="no file b/b_0001"):
        images.find(ImageName("b", 1))
    with pytest.raises(ImageError, match="no file file/file_0001"):
        images.find(ImageName("file", 1))
    with pytest.raises(ImageError, match=r"no file a/2\.jpg"):
        images.find(ImageName(path="a/2.jpg"))
    with pytest.raises(ImageError, match=r"several files .* a/a_0001\.jpg, a/a_1\.png"):
        images.find(ImageName("a", 1))


def test_image_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(plant(tmp_path, "a/a_0001.jpg") / "a")
    with open(folder + b"/a_\xff.jpg", "wb"):
        pass
    assert PairImages(tmp_path).find(ImageName("a", 1)).name == "a_0001.jpg"
