"""Writes are atomic, fingerprints canonical."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenface.errors import DataError
from evenface.files import (
    atomic_folder,
    atomic_path,
    fingerprint,
    read_json,
    remove_remains,
    sha256_file,
    whole_folder,
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


def test_a_folder_without_a_name_of_its_own_and_a_link_to_one(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with atomic_folder(Path(".")) as temporary:
        (temporary / "part").write_text("1")
    assert (tmp_path / "here" / "part").read_text() == "1"
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    with atomic_folder(tmp_path / "link") as temporary:
        (temporary / "part").write_text("2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "part").read_text() == "2"


def test_a_folder_that_exists_keeps_what_else_it_holds(tmp_path):
    new = tmp_path / "new"

    def fail() -> None:
        with whole_folder(new) as folder:
            (folder / "part").write_text("1")
            raise RuntimeError("mid-way")

    with pytest.raises(RuntimeError, match="mid-way"):
        fail()
    assert not list(tmp_path.iterdir())
    for content in ("1", "2"):
        with whole_folder(new) as folder:
            (folder / "part").write_text(content)
        (new / "mine").write_text("kept")
    assert (new / "part").read_text() == "2"
    assert (new / "mine").read_text() == "kept"


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


def test_only_what_was_left_of_a_file_is_removed(tmp_path):
    kept = ["weights.safetensors", ".weights.tmp.safetensors", ".other.0123abcd.tmp.safetensors"]
    left = [".weights.0123abcd.tmp.safetensors", ".weights.ffffffff.tmp.safetensors"]
    for name in kept + left:
        (tmp_path / name).write_text("x")
    remove_remains(tmp_path / "weights.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_symbolic_link_is_followed_and_stays(tmp_path):
    (tmp_path / "else").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("else/file.txt")
    for text in ("new", "changed"):
        write_text(link, text)
        assert link.is_symlink()
        assert (tmp_path / "else" / "file.txt").read_text() == text
    assert [path.name for path in (tmp_path / "else").iterdir()] == ["file.txt"]


def test_devices_and_pipes_are_written_through(tmp_path):
    write_text(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_text(pipe, "through")
        assert read.result() == "through"
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_folders_and_looping_links_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        write_text(tmp_path, "x")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="levels of symbolic links"):
        write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").is_symlink()
