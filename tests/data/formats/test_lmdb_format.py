"""LMDB sets against a database of the reference library; damage is told, never a traceback."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lmdb_files import COUNT, database, image

from evenface.data.formats import ReadOptions, open_source
from evenface.data.formats.lmdb import LmdbSource, open_lmdb
from evenface.errors import DataError

DATABASE = database()
PAGE = 4096


def save(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "data.mdb").write_bytes(content)
    return folder


def replaced(old: bytes, new: bytes) -> bytes:
    assert DATABASE.count(old) >= 1
    assert len(old) == len(new)
    return DATABASE.replace(old, new)


def test_all_images_in_order(tmp_path: Path) -> None:
    folder = save(tmp_path / "db", DATABASE)
    for path in (folder, folder / "data.mdb"):
        source = open_source(path)
        assert isinstance(source, LmdbSource)
        assert len(source) == COUNT
        assert [source.read(i) for i in range(COUNT)] == [image(i) for i in range(COUNT)]
        assert [source.record(i).identity for i in range(COUNT)] == [
            str(i % 3) for i in range(COUNT)
        ]
        assert source.record(10).name == "data.mdb key 10"
        assert source.remarks == ()
    assert open_source(folder).description == open_source(folder).description


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"x" * 5000, "no LMDB database"),
        (DATABASE[: 3 * PAGE], "lies beyond the end .* truncated"),
        (replaced(b"__len__\x28", b"__len__\x29"), "40 images, but __len__ is 41"),
        (replaced(b"2\x92\xc4", b"2\x80\xc4"), "a pickle, which is not opened"),
        (replaced(b"2\x92\xc4", b"2\x91\xc4"), "no MessagePack array of image and label"),
        (replaced(b"2\x92\xc4", b"2\x92\xc0"), "bytes were expected in the next record, found"),
        (
            replaced(b"\x02" * 152 + b"\x02", b"\x02" * 152 + b"\xff"),
            "the label|bytes were expected",
        ),
    ],
)
def test_damage(tmp_path: Path, content: bytes, message: str) -> None:
    folder = save(tmp_path, content)
    with pytest.raises(DataError, match=rf"data\.mdb.*{message}"):
        open_lmdb(folder, ReadOptions())


def test_another_number_of_people_is_told(tmp_path: Path) -> None:
    content = replaced(b"__classnum__\x03", b"__classnum__\x04")
    source = open_source(save(tmp_path, content))
    assert source.remarks == ("__classnum__ is 4, but the images have 3 labels",)


def test_other_versions_and_databases(tmp_path: Path) -> None:
    version = struct.pack("<2I", 0xBEEFC0DE, 1)
    with pytest.raises(DataError, match="version 2 of LMDB's format"):
        open_source(save(tmp_path, DATABASE.replace(version, version[:4] + b"\x02\0\0\0")))
    with pytest.raises(DataError, match="no such file"):
        open_source(tmp_path / "empty", format="lmdb")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, len(DATABASE) - 1), st.integers(0, 255)), max_size=6))
@example([(2 * PAGE + 10, 3)])
def test_damage_never_surprises(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(DATABASE)
    for place, value in changes:
        content[place] = value
    folder = save(tmp_path, bytes(content))
    try:
        source = open_lmdb(folder, ReadOptions())
    except DataError:
        return
    for number in range(len(source)):
        source.read(number)
