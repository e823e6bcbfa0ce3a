"""Verification sets as bcolz arrays; malformed ones are refused by the file's name."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bcolz_files import write_carray
from evenface.data.formats import detect_format
from evenface.data.formats.verification_bcolz import is_carray, read_carray
from evenface.errors import DataError, MissingDependencyError

pytest.importorskip("numcodecs", reason="the extra bcolz is not installed")

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 112, 112, 3), dtype=np.uint8)
# Every 8-bit level survives the scaling.
IMAGES[0, :3] = np.arange(336).reshape(3, 112, 1) % 256
GENUINE = [True, False, False, True]


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    write_carray(tmp_path / "lfw", IMAGES, GENUINE)
    return tmp_path / "lfw"


@pytest.mark.parametrize("chunklen", [1, 3, 4, 8, 50])
def test_images_and_flags_are_those_written(tmp_path: Path, chunklen: int) -> None:
    write_carray(tmp_path / "lfw", IMAGES, GENUINE, chunklen=chunklen)
    read = read_carray(tmp_path / "lfw")
    decoded = [np.asarray(Image.open(io.BytesIO(image))) for image in read.images]
    np.testing.assert_array_equal(decoded, IMAGES)
    assert read.genuine.tolist() == GENUINE


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_flags_may_be_numbers(lfw: Path, dtype: Any) -> None:
    np.save(lfw.with_name("lfw_list.npy"), np.array(GENUINE, dtype=dtype))
    assert read_carray(lfw).genuine.tolist() == GENUINE


def test_the_folder_may_be_the_current_one(lfw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lfw)
    assert len(read_carray(".")) == 4


def _change(name: str, **members: Any) -> Callable[[Path], None]:
    def change(lfw: Path) -> None:
        path = lfw / "meta" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | members))

    return change


def _chunk(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(lfw: Path) -> None:
        path = lfw / "data" / "__1.blp"
        path.write_bytes(change(path.read_bytes()))

    return apply


def _list(flags: Any) -> Callable[[Path], None]:
    return lambda lfw: np.save(lfw.with_name("lfw_list.npy"), flags)


def _garbage_inside(chunk: bytes) -> bytes:
    return chunk[:40] + bytes(byte ^ 0x5A for byte in chunk[40:])


def _values(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def apply(lfw: Path) -> None:
        from numcodecs import Blosc

        path = lfw / "data" / "__1.blp"
        content = path.read_bytes()
        values = np.frombuffer(Blosc().decode(content[16:]), "<f4")
        path.write_bytes(content[:16] + Blosc().encode(change(values).astype(np.float32)))

    return apply


def _nan(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)) == 112 * 112 * 3 + 5, np.nan, values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lfw: (lfw / "meta/sizes").unlink(), "lfw/meta/sizes: no such file"),
        (lambda lfw: (lfw / "meta/storage").write_text("{"), "meta/storage: not valid JSON"),
        (lambda lfw: (lfw / "meta/sizes").write_text("[]"), "meta/sizes: no 'shape'"),
        (_change("sizes", shape=[8, 112, 112, 3]), r"shape is \[8, 112, 112, 3\]; expected \[2N"),
        (_change("sizes", shape=[7, 3, 112, 112]), r"meta/sizes: the array's shape is \[7"),
        (_change("sizes", shape=[]), r"shape is \[\]"),
        (_change("sizes", shape=8), "shape is 8"),
        (_change("sizes", shape=["8", 3, 112, 112]), "shape is"),
        (_change("storage", dtype="float64"), "meta/storage: the array's dtype is float64"),
        (_change("storage", chunklen=0), "meta/storage: chunklen is 0"),
        (_change("storage", chunklen=10**9), "chunklen is 1000000000"),
        (_change("storage", chunklen=4), "__0.blp: 451,584 bytes of images; expected 602,112"),
        (lambda lfw: (lfw / "data/__1.blp").unlink(), r"data/__1\.blp: no such file; a chunk"),
        (_chunk(lambda chunk: chunk[:-9]), r"data/__1\.blp: truncated or damaged: .* announces"),
        (_chunk(lambda chunk: chunk[:20]), "__1.blp: truncated"),
        (_chunk(lambda chunk: chunk[:30]), "__1.blp: truncated"),
        (_chunk(lambda chunk: b""), r"__1\.blp: no chunk of a bcolz array"),
        (_chunk(lambda chunk: chunk[16:]), r"__1\.blp: no chunk of a bcolz array"),
        (_chunk(_garbage_inside), r"__1\.blp: damaged \(|__1\.blp: image 3 is not"),
        (_values(lambda v: v * 127.5 / 128), r"__1\.blp: image 3 is not made of 8-bit pixels"),
        (_values(lambda v: v * 2), r"__1\.blp: image 3 is not"),
        (_values(_nan), r"__1\.blp: image 4 is not"),
        (lambda lfw: lfw.with_name("lfw_list.npy").unlink(), r"lfw_list\.npy: no such file"),
        (lambda lfw: lfw.with_name("lfw_list.npy").write_bytes(b"PK\3\4"), "not a NumPy file"),
        (lambda lfw: lfw.with_name("lfw_list.npy").write_bytes(b"\x93NUMPY"), "not a NumPy file"),
        (_list(np.array([True, None, False, 1], dtype=object)), "lfw_list.npy: not a NumPy file"),
        (
            _list(GENUINE[:3]),
            r"lfw_list\.npy: 3 flags for the 8 images .* one per pair, 4",
        ),
        (_list(np.array(GENUINE)[:, None]), r"lfw_list\.npy: holds bool \(4, 1\)"),
        (_list([0.0, 1.0, 1.0, 0.0]), "lfw_list.npy: holds float64"),
        (_list([0, 1, 2, 0]), r"lfw_list\.npy: pair 2 is marked 2"),
    ],
)
def test_malformed(lfw: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(lfw)
    assert is_carray(lfw)
    with pytest.raises(DataError, match=message):
        read_carray(lfw)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="meta/sizes: no such file"):
        read_carray(tmp_path / "lfw")


def test_without_the_decoder_the_error_names_the_extra(
    lfw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numcodecs", None)
    with pytest.raises(MissingDependencyError, match=r"numcodecs.*evenface\[bcolz\]"):
        read_carray(lfw)


def test_an_import_is_refused_with_advice(lfw: Path) -> None:
    with pytest.raises(DataError, match=r"has pairs, not identities.*evenface evaluate"):
        detect_format(lfw)
