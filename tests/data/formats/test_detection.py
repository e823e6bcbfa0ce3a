"""Which format a path is taken for, and what is said where none fits."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import listed, picture

from evenface.data.formats import ReadOptions, detect_format, open_source
from evenface.errors import DataError, UsageError


def plant(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(number))
    return root


def test_every_format_is_told_from_its_path(tmp_path: Path) -> None:
    folder = plant(tmp_path / "folder", "p/1.png")
    plant(tmp_path / "bupt", "race_per_7000/African/m.1/1.png")
    (tmp_path / "t.csv").write_text("path,identity\n")
    (tmp_path / "t.TSV").write_text("path\tidentity\n")
    pq.write_table(pa.table({"path": ["a"], "identity": ["b"]}), tmp_path / "t.parquet")
    image = pa.array([{"bytes": b"", "path": None}])
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for file in (tmp_path / "i.parquet", tmp_path / "hub" / "data" / "train-0.parquet"):
        pq.write_table(pa.table({"image": image, "label": [0]}), file)
    (tmp_path / "tars").mkdir()
    tarfile.open(tmp_path / "tars" / "00.tar", "w").close()
    expected = {
        folder: "folder",
        tmp_path / "bupt": "bupt",
        tmp_path / "bupt" / "race_per_7000": "bupt",
        tmp_path / "t.csv": "table",
        tmp_path / "t.TSV": "table",
        tmp_path / "t.parquet": "table",
        tmp_path / "i.parquet": "parquet",
        tmp_path / "hub": "parquet",
        tmp_path / "hub" / "data": "parquet",
        tmp_path / "tars": "webdataset",
        tmp_path / "tars" / "00.tar": "webdataset",
        tmp_path / "tars" / "{00..00}.tar": "webdataset",
    }
    assert {path: detect_format(path).name for path in expected} == expected


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    root = plant(tmp_path, "race_per_7000/p/1.png")
    with pytest.raises(DataError, match="one level below"):
        open_source(root)
    assert listed(open_source(root, format="folder"))[0][1:] == ("p", ("race_per_7000",))
    with pytest.raises(
        UsageError, match="unknown format 'zip'; known: agedb, bupt, digiface, fairface"
    ):
        open_source(root, format="zip")


def test_two_formats_in_one_folder(tmp_path: Path) -> None:
    tarfile.open(tmp_path / "00.tar", "w").close()
    image = pa.array([{"bytes": b"", "path": None}])
    pq.write_table(pa.table({"image": image, "label": [0]}), tmp_path / "0.parquet")
    with pytest.raises(DataError, match="looks like parquet and webdataset; choose one"):
        open_source(tmp_path)


def test_options_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    root = plant(tmp_path, "p/1.png")
    with pytest.raises(UsageError, match="--identity means nothing for the format 'folder'"):
        open_source(root, ReadOptions(identity="label"))
    (tmp_path / "t.csv").write_text("path,identity\np/1.png,p\n")
    with pytest.raises(UsageError, match="--group-attribute means nothing"):
        open_source(tmp_path / "t.csv", ReadOptions(group_attribute="ethnicity"))


def test_nothing_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        open_source(tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"a file of no known format.*webdataset: tar shards"):
        open_source(tmp_path / "notes.txt")
    (tmp_path / "lfw.bin").write_bytes(b"\x80")
    with pytest.raises(DataError, match=r"lfw\.bin: a verification set.*evaluate MODEL --protocol"):
        open_source(tmp_path / "lfw.bin")


@pytest.mark.parametrize("inner", ["", "race_per_7000"])
def test_bupt(tmp_path: Path, inner: str) -> None:
    root = plant(
        tmp_path,
        "race_per_7000/African/m.0a/000_0.png",
        "race_per_7000/Indian/m.0b/000_0.png",
    )
    source = open_source(root / inner)
    assert listed(source) == [
        ("African/m.0a/000_0.png", "m.0a", ("African",)),
        ("Indian/m.0b/000_0.png", "m.0b", ("Indian",)),
    ]
    assert source.attributes == ("ethnicity",)
    assert source.description["format"] == "bupt"
    assert open_source(root / inner, ReadOptions("race")).attributes == ("race",)
