"""The image store: what goes in comes out, and damage is seen."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenface.data import store as store_module
from evenface.data.manifest import Manifest
from evenface.data.store import IMAGE_BYTES, IMAGE_SHAPE, ImageStore, ImageStoreWriter
from evenface.errors import DataError
from evenface.files import write_json


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


@pytest.fixture
def images() -> np.ndarray:
    return noise(11)


def write(folder: Path, *batches: np.ndarray, resume: int | None = None) -> ImageStore:
    with ImageStoreWriter(folder, resume=resume) as writer:
        for batch in batches:
            writer.append(batch)
    return ImageStore.open(folder)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BLOCK_IMAGES", 4)


def test_reads_what_was_written(tmp_path: Path, images: np.ndarray) -> None:
    store = write(tmp_path / "s", images[:1], images[1:8], images[8], images[9:])
    assert len(store) == 11
    np.testing.assert_array_equal(store[:], images)
    np.testing.assert_array_equal(store[np.array([7, 0, 7])], images[[7, 0, 7]])
    np.testing.assert_array_equal(store[3], images[3])
    assert store[[2]].shape == (1, 112, 112, 3)
    assert type(store[[2]]) is np.ndarray
    assert store[[2, 5]].flags.c_contiguous
    assert store[[2, 5]].flags.writeable
    store.verify()


def test_append_returns_the_first_index(tmp_path: Path, images: np.ndarray) -> None:
    with ImageStoreWriter(tmp_path / "s") as writer:
        assert writer.append(images[:3]) == 0
        assert writer.append(images[3]) == 3
        assert writer.append(images[:0]) == 4
        assert len(writer) == 4


def test_index_beyond_the_end(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(IndexError):
        write(tmp_path / "s", images)[np.array([11])]


def test_the_bytes_are_plain(tmp_path: Path, images: np.ndarray) -> None:
    write(tmp_path / "s", images)
    assert (tmp_path / "s" / "images.bin").read_bytes() == images.tobytes()


@pytest.mark.usefixtures("small_blocks")
def test_block_checksums_are_sha256_of_each_block(tmp_path: Path, images: np.ndarray) -> None:
    write(tmp_path / "s", images[:3], images[3:9], images[9:])
    header = json.loads((tmp_path / "s" / "store.json").read_text())
    expected = [hashlib.sha256(images[i : i + 4].tobytes()).hexdigest() for i in (0, 4, 8)]
    assert header["block_sha256"] == expected


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("cuts", [[], [4], [1, 2], [8], [3, 9]])
def test_fingerprint_depends_on_content_not_on_batches(
    tmp_path: Path, images: np.ndarray, cuts: list[int]
) -> None:
    whole = write(tmp_path / "whole", images)
    parts = write(tmp_path / "parts", *np.split(images, cuts))
    assert parts.fingerprint == whole.fingerprint
    other = images.copy()
    other[5, 0, 0, 0] ^= 1
    assert write(tmp_path / "other", other).fingerprint != whole.fingerprint


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "indices", [5, -6, slice(0, 8), slice(None, None, -1), [0, 6], np.arange(11) == 7]
)
def test_a_flipped_bit_is_seen_when_its_block_is_first_read(
    tmp_path: Path, images: np.ndarray, indices: Any
) -> None:
    store = write(tmp_path / "s", images)
    with open(tmp_path / "s" / "images.bin", "r+b") as handle:
        handle.seek(6 * IMAGE_BYTES + 7)
        handle.write(bytes([images[6].reshape(-1)[7] ^ 1]))
    for sound in ([0, 3, 10], slice(8, None), -1):
        np.testing.assert_array_equal(store[sound], images[sound])
    with pytest.raises(DataError, match=r"images\.bin: images 4 to 7 \(block 1\) do not match"):
        store[indices]


@pytest.mark.usefixtures("small_blocks")
def test_a_block_is_checked_once(
    tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write(tmp_path / "s", images)
    checked: list[int] = []
    check = ImageStore._check
    monkeypatch.setattr(
        ImageStore, "_check", lambda self, n: (checked.append(n), check(self, n))[1]
    )
    for indices in ([0, 5], 4, slice(None), slice(3), [[9, 2]]):
        np.testing.assert_array_equal(store[indices], images[indices])
    assert sorted(checked) == [0, 1, 2]
    with pytest.raises(IndexError):
        store[[2, 11]]


@pytest.mark.usefixtures("small_blocks")
def test_verify_names_the_damaged_block(tmp_path: Path, images: np.ndarray) -> None:
    store = write(tmp_path / "s", images)
    with open(tmp_path / "s" / "images.bin", "r+b") as handle:
        handle.seek(6 * IMAGE_BYTES)
        handle.write(b"damage")
    with pytest.raises(DataError, match=r"images 4 to 7 \(block 1\)"):
        store.verify()


def test_truncated_file_is_refused(tmp_path: Path, images: np.ndarray) -> None:
    write(tmp_path / "s", images)
    path = tmp_path / "s" / "images.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="promises 11 images"):
        ImageStore.open(tmp_path / "s")
    path.unlink()
    with pytest.raises(DataError, match="found no file"):
        ImageStore.open(tmp_path / "s")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not the header"),
        ({"version": 2}, "version 2"),
        ({"images": 10}, "damaged"),
        ({"block_sha256": None}, "damaged"),
        ({"images": "eleven"}, "damaged"),
    ],
)
def test_wrong_header(tmp_path: Path, images: np.ndarray, change: dict, message: str) -> None:
    write(tmp_path / "s", images)
    header = tmp_path / "s" / "store.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | change))
    with pytest.raises(DataError, match=message):
        ImageStore.open(tmp_path / "s")


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_header_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(DataError, match=r"store\.json"):
        ImageStore.open(tmp_path)


def test_folder_without_header_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image store here"):
        ImageStore.open(tmp_path)


def test_an_exception_leaves_nothing(tmp_path: Path, images: np.ndarray) -> None:
    def fail() -> None:
        with ImageStoreWriter(tmp_path / "s") as writer:
            writer.append(images)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list((tmp_path / "s").iterdir()) == []


def test_a_finished_store_is_not_overwritten(tmp_path: Path, images: np.ndarray) -> None:
    write(tmp_path / "s", images)
    with pytest.raises(DataError, match="finished image store already"):
        write(tmp_path / "s", images)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kept", [1, 4, 6])
def test_resumed_writer_equals_an_uninterrupted_one(
    tmp_path: Path, images: np.ndarray, kept: int
) -> None:
    def interrupt() -> None:
        with ImageStoreWriter(tmp_path / "s", resume=0) as writer:
            writer.append(images[:7])
            writer.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    resumed = write(tmp_path / "s", images[kept:], resume=kept)
    np.testing.assert_array_equal(resumed[:], images)
    assert resumed.fingerprint == write(tmp_path / "whole", images).fingerprint


def test_resume_beyond_what_was_written(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(DataError, match="fewer images than the 3"):
        write(tmp_path / "s", images, resume=3)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((1, 112, 112, 3), dtype=np.float32),
        np.zeros((1, 64, 64, 3), dtype=np.uint8),
        np.zeros((112, 112), dtype=np.uint8),
    ],
)
def test_wrong_images_are_refused(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        write(tmp_path / "s", bad)


def test_empty_store(tmp_path: Path) -> None:
    store = write(tmp_path / "s")
    assert len(store) == 0
    assert store[:].shape == (0, 112, 112, 3)
    store.verify()


def test_pickle_sends_the_path_only(tmp_path: Path, images: np.ndarray) -> None:
    store = write(tmp_path / "s", images)
    data = pickle.dumps(store)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data)[4], images[4])


def test_another_kind_of_store_is_opened_by_its_format(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_KINDS", {})

    class Grey(ImageStore):
        def __init__(self, path, header):
            self.path, self.fingerprint, self.level = path, "grey", header["level"]

        def __len__(self):
            return 9

        def __getitem__(self, indices):
            return np.full((len(np.arange(9)[indices]), *IMAGE_SHAPE), self.level, np.uint8)

    store_module.register_store("grey", Grey)
    write_json(tmp_path / "store.json", {"format": "grey", "level": 7})
    assert (ImageStore.open(tmp_path)[2:4] == 7).all()
    manifest = Manifest.from_columns(
        tmp_path, index=[8, 1], identity="a", origin="real", dataset="d", licence="none"
    )
    assert manifest.images().shape == (2, *IMAGE_SHAPE)
    with pytest.raises(ValueError, match="cannot be replaced"):
        store_module.register_store("evenface-image-store", Grey)
