"""Writes are atomic, fingerprints canonical."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenface.errors import DataError
from evenface.files import (
    atomic_folder,
    atomic_path,
    fingerprint,
    read_json,
    sha256_file,
    write_json,
    write_text,
)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    target = tmp_path / "table.json"
    write_text(target, "old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("mid-way")

    with pytest.raises(RuntimeError, match="mid-way"):
        fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.json"]


def test_temporary_file_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "a.npy") as temporary:
        assert temporary.suffix == ".npy"
        temporary.write_bytes(b"x")
    assert (tmp_path / "a.npy").read_bytes() == b"x"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "out"

    def fail() -> None:
        with atomic_folder(target) as temporary:
            (temporary / "part").write_text("1")
            raise RuntimeError("mid-way")

    with pytest.raises(RuntimeError, match="mid-way"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as temporary:
        (temporary / "part").write_text("1")
    assert (target / "part").read_text() == "1"


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    target = tmp_path / "r.json"
    write_json(target, {"a": 1})
    with pytest.raises(ValueError):
        write_json(target, {"a": float("nan")})
    assert read_json(target) == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"not json"])
def test_broken_json_is_named(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.json: not valid JSON"):
        read_json(path)


def test_missing_json_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json: no such file"):
        read_json(tmp_path / "absent.json")


def test_sha256_of_a_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"evenface" * 1000)
    assert sha256_file(path) == hashlib.sha256(b"evenface" * 1000).hexdigest()


@given(st.dictionaries(st.text(), st.integers()))
def test_fingerprint_ignores_the_order_of_keys(value):
    assert fingerprint(value) == fingerprint(dict(reversed(list(value.items()))))


def test_fingerprint_tells_values_apart():
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
