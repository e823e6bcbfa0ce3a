"""DigiFace-1M, SFHQ, FairFace, and folders whose people are unknown or stand in file names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import listed, picture

from evenface.data.formats import ReadOptions, open_source
from evenface.errors import DataError, UsageError


def plant(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(number))
    return root


def described(source: object) -> dict:
    return source.description  # type: ignore[attr-defined,no-any-return]


PARTS = ("subjects_0-1999_72_imgs", "subjects_2000-3999_72_imgs")


def test_digiface(tmp_path: Path) -> None:
    root = plant(tmp_path, f"{PARTS[0]}/0/0.png", f"{PARTS[0]}/1/0.png", f"{PARTS[1]}/2000/0.png")
    source = open_source(root)
    assert described(source)["format"] == "digiface"
    assert [(person, values) for _, person, values in listed(source)] == [
        ("0", ()),
        ("1", ()),
        ("2000", ()),
    ]
    assert source.record(0).origin == "synthetic"
    one = open_source(root / PARTS[0])
    assert [person for _, person, _ in listed(one)] == ["0", "1"]
    with pytest.raises(UsageError, match="--group-attribute means nothing for the format 'digi"):
        open_source(root, ReadOptions(group_attribute="part"))


@pytest.mark.parametrize("folder", ["", "AgeDB/"])
def test_agedb(tmp_path: Path, folder: str) -> None:
    plant(
        tmp_path,
        f"{folder}0_MariaCallas_35_f.jpg",
        f"{folder}10_Johnny_Depp_17_m.jpg",
        f"{folder}2_MariaCallas_101_f.jpg",
    )
    source = open_source(tmp_path)
    assert described(source)["format"] == "agedb"
    assert (described(source)["identities"], source.attributes) == (2, ("age_band", "gender"))
    assert [(person, values) for _, person, values in listed(source)] == [
        ("MariaCallas", ("[30,40)", "f")),
        ("Johnny_Depp", ("[0,18)", "m")),
        ("MariaCallas", ("[60,+)", "f")),
    ]
    assert source.record(0).origin == "real"
    plant(tmp_path, f"{folder}readme.jpg")
    with pytest.raises(DataError, match=r"'readme\.jpg' is not called as in AgeDB; expected"):
        open_source(tmp_path)


@pytest.mark.parametrize("folder", ["", "images/", "images/images/"])
def test_sfhq(tmp_path: Path, folder: str) -> None:
    plant(tmp_path, f"{folder}SFHQ_pt1_00000002.jpg", f"{folder}SFHQ_pt1_00000001.jpg")
    (tmp_path / "landmarks").mkdir()
    source = open_source(tmp_path)
    assert described(source)["format"] == "sfhq"
    assert listed(source) == [("SFHQ_pt1_00000001.jpg", "", ()), ("SFHQ_pt1_00000002.jpg", "", ())]
    assert source.record(1).origin == "synthetic"
    assert source.read(0) == picture(1)


FAIRFACE = {
    "fairface_label_train.csv": "file,age,gender,race,service_test\n"
    "train/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,more than 70,Female,Black,False\n",
    "fairface_label_val.csv": "file,age,gender,race,service_test\nval/1.jpg,3-9,Male,White,False\n",
}


def fairface(root: Path) -> Path:
    plant(root, "train/1.jpg", "train/2.jpg", "val/1.jpg")
    for name, text in FAIRFACE.items():
        (root / name).write_text(text)
    return root


def test_fairface(tmp_path: Path) -> None:
    source = open_source(fairface(tmp_path))
    assert source.attributes == ("race", "gender", "age", "service_test")
    assert listed(source) == [
        ("train/1.jpg", "", ("East Asian", "Male", "50-59", "True")),
        ("train/2.jpg", "", ("Black", "Female", "more than 70", "False")),
        ("val/1.jpg", "", ("White", "Male", "3-9", "False")),
    ]
    assert [source.record(i).split for i in range(3)] == ["train", "train", "validation"]
    assert source.read(2) == picture(2)
    one = open_source(tmp_path / "fairface_label_val.csv", ReadOptions(attributes=("race",)))
    assert listed(one) == [("val/1.jpg", "", ("White",))]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("race", "skin", "no column 'race'"),
        ("train/1.jpg", "", "column 'file', row 1: empty"),
        ("train/2.jpg", "../2.jpg", "column 'file', row 2: .* lies outside"),
    ],
)
def test_bad_tables_of_fairface(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = fairface(tmp_path) / "fairface_label_train.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=rf"label_train\.csv.*{message}"):
        open_source(tmp_path)


def test_a_folder_without_identities(tmp_path: Path) -> None:
    plant(tmp_path, "1.png", "a/2.png", "a/b/c/3.png")
    (tmp_path / "readme.txt").write_text("")
    source = open_source(tmp_path, ReadOptions(identity="none"))
    assert listed(source) == [("1.png", "", ()), ("a/2.png", "", ()), ("a/b/c/3.png", "", ())]
    assert source.remarks == ("1 files that are no images left out (.txt 1)",)


@pytest.mark.parametrize(
    ("pattern", "people"),
    [
        (r"id_(\d+)_", ["0012", "0012", "7"]),
        (r"(?P<light>\w)/id_(?P<identity>\d+)", ["0012", "0012", "7"]),
        (r"id_\d+", ["id_0012", "id_0012", "id_7"]),
        (r"^[xy]", ["x", "y", "y"]),
    ],
)
def test_people_in_file_names(tmp_path: Path, pattern: str, people: list[str]) -> None:
    plant(tmp_path, "x/id_0012_img_0.jpg", "y/id_0012_img_1.jpg", "y/id_7_img_0.jpg")
    source = open_source(tmp_path, ReadOptions(identity_from=pattern))
    assert [person for _, person, _ in listed(source)] == people
    assert described(source)["identities"] == len(set(people))


def test_names_without_a_person(tmp_path: Path) -> None:
    plant(tmp_path, "id_1.jpg", "other.jpg")
    with pytest.raises(DataError, match=r"finds nobody in 'other\.jpg'"):
        open_source(tmp_path, ReadOptions(identity_from=r"id_(\d+)"))
    with pytest.raises(UsageError, match="no regular expression"):
        open_source(tmp_path, ReadOptions(identity_from="id_("))
    with pytest.raises(UsageError, match="--identity-from means nothing for the format 'sfhq'"):
        open_source(tmp_path, ReadOptions(identity_from="id"), format="sfhq")


def test_tables_without_identities(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,region,label\na/id_3.png,north,x\n")
    path = tmp_path / "t.csv"
    assert listed(open_source(path, ReadOptions(identity="none")))[0][1:] == ("", ("north",))
    found = open_source(path, ReadOptions(identity_from=r"id_(\d)"))
    assert listed(found)[0][1:] == ("3", ("north",))
    with pytest.raises(DataError, match=r"row 1: --identity-from 'x' finds nobody in 'a"):
        open_source(path, ReadOptions(identity_from="x"))
