"""Tar shards: samples, labels, damage, and hostile archives."""

from __future__ import annotations

import io
import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pictures import listed, picture

from evenface.data.formats import ReadOptions, open_source
from evenface.errors import DataError

POINTS = [38.3, 51.7, 73.5, 51.5, 56.0, 71.7, 41.5, 92.4, 70.7, 92.2]


def pack(path: Path, members: dict[str, bytes | dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = json.dumps(content).encode() if isinstance(content, dict) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_classes(tmp_path: Path) -> None:
    path = pack(
        tmp_path / "a.tar",
        {"x/0.png": picture(0), "x/0.cls": b"7\n", "x/1.cls": b"ann", "x/1.JPG": picture(1)},
    )
    source = open_source(path)
    assert listed(source) == [("a.tar: x/0.png", "7", ()), ("a.tar: x/1.JPG", "ann", ())]
    assert [source.read(number) for number in range(2)] == [picture(0), picture(1)]


def test_json(tmp_path: Path) -> None:
    labels = [
        {"identity": 7, "sex": "f", "score": 0.5, "box": [1, 2]},
        {"identity": 8.0, "age": 30, "Landmarks": POINTS, "origin": "synthetic", "split": "test"},
    ]
    members: dict[str, bytes | dict] = {}
    for number, label in enumerate(labels):
        members |= {f"{number}.png": picture(number), f"{number}.json": label}
    source = open_source(pack(tmp_path / "a.tar", members))
    assert source.attributes == ("sex", "age")
    assert listed(source) == [
        ("a.tar: 0.png", "7", ("f", None)),
        ("a.tar: 1.png", "8", (None, "30")),
    ]
    assert source.remarks == ("fields left out: 'box', 'score'",)
    assert (source.record(0).landmarks, source.record(0).origin) == (None, "")
    second = source.record(1)
    np.testing.assert_allclose(second.landmarks.ravel(), POINTS, rtol=1e-6)
    assert (second.origin, second.split) == ("synthetic", "test")
    with pytest.raises(DataError, match=r"field 'score' of a\.tar: 0\.png: 0\.5 is not a whole"):
        open_source(tmp_path / "a.tar", ReadOptions(attributes=("score",)))
    with pytest.raises(DataError, match=r"1\.png: its label has no 'sex'"):
        open_source(tmp_path / "a.tar", ReadOptions(identity="sex"))


def test_shards(tmp_path: Path) -> None:
    for number in range(3):
        pack(
            tmp_path / f"s-{number:03}.tar",
            {f"{number}.png": picture(number), f"{number}.cls": b"5"},
        )
    expected = [f"s-{number:03}.tar: {number}.png" for number in range(3)]
    for path in (tmp_path, tmp_path / "s-{000..002}.tar", tmp_path / "s-00{0,1,2}.tar"):
        assert [name for name, *_ in listed(open_source(path))] == expected
    assert len(open_source(tmp_path / "s-{001..001}.tar")) == 1
    with pytest.raises(DataError, match=r"s-003\.tar: no such shard"):
        open_source(tmp_path / "s-{000..003}.tar")
    with pytest.raises(DataError, match="million"):
        open_source(tmp_path / "{0..9999999}.tar")


def test_reading_from_many_threads(tmp_path: Path) -> None:
    members: dict[str, bytes | dict] = {}
    for number in range(40):
        members |= {f"{number}.png": picture(number, side=8), f"{number}.cls": b"1"}
    source = open_source(pack(tmp_path / "a.tar", members))
    numbers = np.random.default_rng(0).permutation(40).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(source.read, numbers))
    assert read == [picture(number, side=8) for number in numbers]


def test_names_that_lead_out_harm_nobody(tmp_path: Path) -> None:
    names = ["../../evil", "/tmp/evil", "a/../../evil2", "x\n[b]"]
    members: dict[str, bytes | dict] = {}
    for number, name in enumerate(names):
        members |= {f"{name}.png": picture(number), f"{name}.cls": b"1"}
    source = open_source(pack(tmp_path / "in" / "a.tar", members))
    assert source.record(0).name == "a.tar: ../../evil.png"
    assert [source.read(number) for number in range(4)] == [picture(number) for number in range(4)]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "in"]


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"0.png": picture(0), "0.cls": b"1"})
    with tarfile.open(path, "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("1.png")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        folder = tarfile.TarInfo("folder.png")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    source = open_source(path)
    assert len(source) == 1
    assert source.remarks == ("a.tar: 4 links and special files left out",)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9/1")
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for suffix, data in ((".png", picture(0)), (".cls", b"1")):
            info = tarfile.TarInfo(name + suffix)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    source = open_source(path)
    assert source.record(0).name == "a.tar: caf\\xe9/1.png"
    assert len(source.description["listing"]) == 64


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"0.png": b"x"}, "sample '0' has no label"),
        ({"0.png": b"x", "0.cls": b" \n"}, r"0\.png: its label has no 'cls'"),
        ({"0.png": b"x", "0.json": {}}, "has no label"),
        ({"0.png": b"x", "0.json": {"mood": "x"}}, "no column identity"),
        ({"0.png": b"x", "0.json": {"identity": None}}, r"0\.png: its label has no 'identity'"),
        ({"0.png": b"x", "0.json": {"identity": 1.5}}, "no column identity"),
        ({"0.png": b"x", "0.json": rb'{"identity": "\ud800"}'}, "no column identity"),
        ({"0.png": b"x", "0.json": b"{"}, r"0\.json: cannot be read"),
        ({"0.png": b"x", "0.json": b"[" * 100_000}, r"0\.json: cannot be read"),
        ({"0.png": b"x", "0.json": b"[1]"}, r"0\.json: expected a JSON object"),
        ({"0.png": b"x", "0.cls": b"\xff"}, r"0\.cls: cannot be read"),
        ({"0.png": b"x", "0.cls": b"1" * 2_000_000}, "a label of 2,000,000 bytes"),
        ({"0.png": b"x", "0.jpg": b"x", "0.cls": b"1"}, "sample '0' has two images"),
        ({"0.png": b"x", "0.json": {"identity": 1, "landmarks": [1]}}, "ten numbers"),
        ({"0.png": b"x", "0.json": {"identity": 1, "origin": "drawn"}}, "'drawn', expected"),
        ({"0.cls": b"1"}, "no images in 1 shards"),
        ({".0.png": b"x"}, "no images in 1 shards"),
        ({}, "no images in 1 shards"),
    ],
)
def test_malformed(tmp_path: Path, members: dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_source(pack(tmp_path / "a.tar", members))
    assert "a.tar" in str(caught.value)


def test_labels_without_images_are_told(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"0.png": b"x", "0.cls": b"1", "1.cls": b"1", "2.txt": b""})
    assert open_source(path).remarks == ("a.tar: 1 labels without an image",)


@pytest.mark.parametrize("length", [0, 1, 100, 700, 1800, 2100, -10_300])
def test_cut_off(tmp_path: Path, length: int) -> None:
    path = pack(tmp_path / "a.tar", {"0.cls": b"1", "0.png": picture(0, side=16), "1.cls": b"2"})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"a\.tar: "):
        open_source(path)


def test_a_missing_end_mark_is_told(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"0.png": b"x", "0.cls": b"1"})
    path.write_bytes(path.read_bytes()[:2048])
    assert open_source(path).remarks == ("a.tar: no end mark; was it cut off?",)


def test_damaged_header(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"0.png": b"x", "0.cls": b"1", "1.png": b"x", "1.cls": b"1"})
    data = bytearray(path.read_bytes())
    data[2048:2148] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tar: .*damaged or cut off at byte 2,048"):
        open_source(path)


def test_no_tar_and_compressed(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 1000)
    with pytest.raises(DataError, match=r"a\.tar: not a readable tar file"):
        open_source(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz"):
        pass
    with pytest.raises(DataError, match=r"b\.tar\.gz: compressed; unpack it"):
        open_source(tmp_path / "b.tar.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.tar file here"):
        open_source(tmp_path / "empty", format="webdataset")


def test_a_shard_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"0.png": picture(0), "0.cls": b"1"})
    source = open_source(path)
    os.truncate(path, 1000)
    with pytest.raises(OSError, match="ends within the image"):
        source.read(0)
