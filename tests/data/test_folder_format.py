"""Folders of images: layouts, oddities, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evenface.data.formats import open_source
from evenface.data.formats.folder import FolderSource, open_folder
from evenface.errors import DataError


def plant(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def listed(source: FolderSource) -> list[tuple[str, str, tuple]]:
    records = [source.record(number) for number in range(len(source))]
    return [(record.name, record.identity, record.attributes) for record in records]


def test_identities(tmp_path: Path) -> None:
    source = open_folder(plant(tmp_path, "b/2.jpg", "b/10.PNG", "a/x.jpeg"), "group")
    assert listed(source) == [("a/x.jpeg", "a", ()), ("b/10.PNG", "b", ()), ("b/2.jpg", "b", ())]
    assert source.attributes == ()
    assert source.remarks == ()
    assert source.read(1) == b"b/10.PNG"


def test_groups(tmp_path: Path) -> None:
    source = open_folder(plant(tmp_path, "North/b/1.jpg", "East/c/1.jpg"), "ethnicity")
    assert listed(source) == [("East/c/1.jpg", "c", ("East",)), ("North/b/1.jpg", "b", ("North",))]
    assert source.attributes == ("ethnicity",)


def test_one_name_in_two_groups_is_two_people(tmp_path: Path) -> None:
    source = open_folder(plant(tmp_path, "n/p/1.jpg", "s/p/1.jpg", "s/q/1.jpg"), "group")
    assert [identity for _, identity, _ in listed(source)] == ["n/p", "s/p", "q"]
    assert any("1 identity names occur in several groups" in remark for remark in source.remarks)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        "n/p/1.jpg",
        "n/p/Thumbs.db",
        "n/p/.hidden.jpg",
        "n/.trash/1.jpg",
        "n/p/@eaDir/1.jpg",
        "n/readme.txt",
        "readme",
    )
    (root / "n" / "nobody").mkdir()
    (root / "west").mkdir()
    source = open_folder(root, "group")
    assert [name for name, *_ in listed(source)] == ["n/p/1.jpg"]
    told = "\n".join(source.remarks)
    assert "3 files that are no images left out" in told
    assert ".db 1" in told
    assert "1 groups without images, e.g. 'west'" in told
    assert "1 identities without images, e.g. 'n/nobody'" in told


def test_symbolic_links(tmp_path: Path) -> None:
    elsewhere = plant(tmp_path / "elsewhere", "1.jpg")
    root = plant(tmp_path / "root", "p/1.jpg")
    (root / "p" / "back").symlink_to(root)
    (root / "q").symlink_to(elsewhere)
    (root / "p" / "gone.jpg").symlink_to(root / "nowhere")
    (root / "p" / "itself").symlink_to("itself")
    source = open_folder(root, "group")
    assert [name for name, *_ in listed(source)] == ["p/1.jpg", "p/gone.jpg", "q/1.jpg"]
    assert any("lead back to a parent" in remark for remark in source.remarks)
    with pytest.raises(FileNotFoundError):
        source.read(1)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/\xff.jpg", "wb") as handle:
        handle.write(b"content")
    source = open_folder(tmp_path, "group")
    ((name, identity, _),) = listed(source)
    assert (name, identity) == ("caf\\xe9/\\xff.jpg", "caf\\xe9")
    assert source.read(0) == b"content"
    assert len(source.description["listing"]) == 64


def test_names_with_line_breaks_and_marks(tmp_path: Path) -> None:
    source = open_folder(plant(tmp_path, "[bold]a\nb/ü 1.jpg"), "group")
    assert listed(source) == [("[bold]a\nb/ü 1.jpg", "[bold]a\nb", ())]


def test_pipes_and_giants_are_not_read(tmp_path: Path) -> None:
    root = plant(tmp_path, "p/0.jpg")
    os.mkfifo(root / "p" / "1.jpg")
    os.truncate(root / "p" / "0.jpg", 300 * 2**20)
    source = open_folder(root, "group")
    with pytest.raises(OSError, match="no image of a face"):
        source.read(0)
    with pytest.raises(OSError, match="not a regular file"):
        source.read(1)


def test_description_tells_listings_apart(tmp_path: Path) -> None:
    root = plant(tmp_path, "p/1.jpg")
    before = open_folder(root, "group").description
    assert open_folder(root, "group").description == before
    plant(root, "p/2.jpg")
    assert open_folder(root, "group").description != before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.jpg"], "'1.jpg' lies directly in the folder"),
        (["a/b/c/1.jpg"], "'a/b/c/1.jpg' lies too deep"),
        (["a/1.jpg", "b/c/1.jpg"], "different depths, 'a/1.jpg' and 'b/c/1.jpg'"),
        (["a/1.jpg", "a/c/1.jpg"], "different depths, 'a/1.jpg' and 'a/c/1.jpg'"),
        (["a/1.txt", "notes.md"], r"no images found \(2 other files\)"),
        ([], "no images found; expected"),
    ],
)
def test_malformed(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_folder(plant(tmp_path, *names), "group")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such"):
        open_source(tmp_path / "gone")
    with pytest.raises(DataError, match="no such folder"):
        open_folder(tmp_path / "gone", "group")
    plant(tmp_path, "file.jpg")
    with pytest.raises(DataError, match="a file of no known format"):
        open_source(tmp_path / "file.jpg")
    with pytest.raises(DataError, match="a file, expected a folder"):
        open_folder(tmp_path / "file.jpg", "group")


def test_folders_that_read_alike(tmp_path: Path) -> None:
    for name in (b"/p\xff", b"/p\\xff"):
        os.mkdir(os.fsencode(tmp_path) + name)
        with open(os.fsencode(tmp_path) + name + b"/1.jpg", "wb"):
            pass
    with pytest.raises(DataError, match="differ only in bytes that are not UTF-8"):
        open_folder(tmp_path, "group")
