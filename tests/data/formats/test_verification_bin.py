"""Verification sets in pickles: read from every writer, never trusted."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.data.formats.verification_bin import read_bin, write_bin
from evenface.errors import DataError

IMAGES = [bytes([number]) * (300 * number + 1) for number in range(6)]
GENUINE = [True, False, True]


def save(path: Path, content: Any, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def check(path: Path) -> None:
    found = read_bin(path)
    assert found.images == IMAGES
    assert all(type(image) is bytes for image in found.images)
    assert found.genuine.tolist() == GENUINE
    assert found.genuine.dtype == bool
    assert len(found) == 3


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        tuple(IMAGES),
        [bytearray(image) for image in IMAGES],
        [np.frombuffer(image, np.uint8) for image in IMAGES],
        [np.frombuffer(image, np.uint8).copy()[:, None] for image in IMAGES],
    ],
    ids=["bytes", "tuple", "bytearray", "arrays", "columns"],
)
def test_images_as_python_3_writes_them(tmp_path: Path, protocol: int, images: Any) -> None:
    check(save(tmp_path / "a.bin", (images, GENUINE), protocol))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "genuine",
    [
        tuple(GENUINE),
        [1, 0, 1],
        [np.bool_(flag) for flag in GENUINE],
        np.array(GENUINE),
        np.array([1, 0, 1]),
    ],
    ids=["tuple", "numbers", "scalars", "array", "integers"],
)
def test_truth_values(tmp_path: Path, protocol: int, genuine: Any) -> None:
    check(save(tmp_path / "a.bin", (IMAGES, genuine), protocol))


def python_2(image: bytes, protocol: int) -> bytes:
    """A ``str`` of Python 2 as cPickle wrote it."""
    if protocol == 0:
        text = "".join(f"\\x{byte:02x}" for byte in image)
        return f"S'{text}'\n".encode()
    if len(image) < 256:
        return b"U" + bytes([len(image)]) + image
    return b"T" + struct.pack("<i", len(image)) + image


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_strings_of_python_2(tmp_path: Path, protocol: int) -> None:
    start = b"\x80\x02" if protocol == 2 else b""
    truth = (b"\x89", b"\x88") if protocol == 2 else (b"I00\n", b"I01\n")
    content = b"(" + b"(l" + b"".join(python_2(image, protocol) + b"a" for image in IMAGES)
    content += b"(l" + b"".join(truth[flag] + b"a" for flag in GENUINE) + b"t."
    (tmp_path / "a.bin").write_bytes(start + content)
    check(tmp_path / "a.bin")


def test_arrays_of_python_2(tmp_path: Path) -> None:
    def array(image: bytes) -> bytes:
        dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff"
        dtype += b"\xff\xffK\x00tb"
        new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        shape = b"M" + struct.pack("<H", len(image)) + b"\x85"
        return new + b"(K\x01" + shape + dtype + b"\x89" + python_2(image, 2) + b"tb"

    content = b"\x80\x02](" + b"".join(map(array, IMAGES)) + b"e](\x88\x89\x88e\x86."
    # The hand-made stream is what numpy itself understands, too.
    images, genuine = pickle.loads(content, encoding="bytes")
    assert [image.tobytes() for image in images] == IMAGES
    assert genuine == GENUINE
    (tmp_path / "a.bin").write_bytes(content)
    check(tmp_path / "a.bin")


@given(
    images=st.lists(st.binary(max_size=400), min_size=2, max_size=8).filter(
        lambda i: not len(i) % 2
    ),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, images: list[bytes], seed: int
) -> None:
    path = tmp_path_factory.mktemp("bin") / "a.bin"
    genuine = np.random.default_rng(seed).random(len(images) // 2) < 0.5
    write_bin(path, iter(images), genuine)
    found = read_bin(path)
    assert found.images == images
    np.testing.assert_array_equal(found.genuine, genuine)
    # As insightface's evaluation reads it.
    with open(path, "rb") as handle:
        bins, issame = pickle.load(handle, encoding="bytes")
    assert (bins, issame) == (images, genuine.tolist())


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bin(path, IMAGES, GENUINE)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="5 images for 3 pairs"):
        write_bin(path, IMAGES[:5], GENUINE)
    with pytest.raises(ValueError, match="at least one pair"):
        write_bin(path, [], [])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.bin"]


class Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (Evil(os.mkdir, "owned"), "posix.mkdir"),
        (Evil(eval, "open('owned', 'w')"), "eval"),
        (Evil(open, "owned", "w"), "open"),
        (Evil(np.load, "owned"), "numpy.*load"),
        (Evil(pickle.loads, b"N."), "pickle.loads"),
        (Path("owned"), "pathlib.*PosixPath"),
        (np.array([print], dtype=object), "'O8'|print"),
    ],
    ids=["mkdir", "eval", "open", "numpy", "nested", "object", "objects"],
)
def test_hostile_pickles_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, evil: Any, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "a.bin", ([evil, b"x"], [True]), protocol)
    with pytest.raises(DataError, match=rf"a\.bin: .*({named}|operation)"):
        read_bin(path)
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02(ios\nmkdir\n.",  # INST
        b"\x80\x02(cos\nmkdir\no.",  # OBJ
        b"\x80\x02c_codecs\nencode\n)\x81.",  # NEWOBJ
        b"\x80\x02\x82\x01.",  # an extension
        b"Pname\n.",  # a persistent id
        b"\x80\x02c_codecs\nencode\n}b.",  # state of a function
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R}b.",
        b"\x80\x02cnumpy\nndarray\nK\x01\x85R.",
        b"\x80\x05\x97.",  # a buffer out of band
        b"\x80\x02\x5d\x30\x30\x30.",  # pops too much
        b"\x80\x63.",  # protocol 99
        b"\x80\x02h\x05.",  # nothing in that place of the memo
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",  # a bytearray of 9 exabytes
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f.",
        b"L" + b"9" * 5000 + b"L\n.",
        b"",
        b"\xff\xd8\xff\xe0 a JPEG file",
        b"nothing of the kind\n",
    ],
)
def test_odd_operations(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.bin: "):
        read_bin(tmp_path / "a.bin")


@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_damage_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: float, byte: int
) -> None:
    path = tmp_path_factory.mktemp("bin") / "a.bin"
    arrays = [np.frombuffer(image, np.uint8) for image in IMAGES]
    content = bytearray(pickle.dumps((arrays, [np.bool_(flag) for flag in GENUINE]), 4))
    content[int(position * len(content))] = byte
    path.write_bytes(content)
    with contextlib.suppress(DataError):  # any other exception fails the test
        read_bin(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_truncated(tmp_path: Path, keep: float, protocol: int) -> None:
    content = pickle.dumps((IMAGES, GENUINE), protocol)
    (tmp_path / "a.bin").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DataError, match=r"truncated|damaged"):
        read_bin(tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2, 3], "expected a pair"),
        (b"text", "expected a pair"),
        ((b"text", GENUINE), "expected a list of images first"),
        ((IMAGES, b"text"), "expected a list of truth values second"),
        ((IMAGES, [True, 2, False]), "pair 1 is marked 2, expected"),
        ((IMAGES, [True, None, False]), "pair 1 is marked None"),
        ((IMAGES[:5], GENUINE), "5 images for 3 pairs; expected two a pair"),
        ((IMAGES, GENUINE * 2), "6 images for 6 pairs"),
        (([], []), "0 images for 0 pairs"),
        (([*IMAGES[:5], 7], GENUINE), "image 5 is a value of type int"),
        (([*IMAGES[:5], np.zeros((4, 4, 3), np.uint8)], GENUINE), r"image 5 is an array uint8 \(4"),
        (([*IMAGES[:5], np.zeros(9, np.int64)], GENUINE), "image 5 is an array int64"),
        (([*IMAGES[:5], np.zeros(9)], GENUINE), "an array of type 'f8'"),
    ],
)
def test_other_content(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_bin(save(tmp_path / "a.bin", content, 4))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_bin(tmp_path / "gone.bin")
    with pytest.raises(DataError, match="no such file"):
        read_bin(tmp_path)


def laughs() -> bytes:
    """Ten lists in each of ten lists, eleven times over: the memo's number 11 is the outermost."""
    made = b"]q\x00"
    for level in range(1, 12):
        made += b"]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 10 + b"e"
    return b"\x80\x02" + made


DEEP = b"]]" + b")" + b"\x85" * 100_000 + b"a\x86."
HOSTILE = {
    "marks": (laughs() + b"]q\x30]q\x31h\x0ba\x86.", "marked a value of type list"),
    "type": (laughs() + b"cnumpy\ndtype\n(h\x0btR.", "a value of type list where a name belongs"),
    "codec": (laughs() + b"c_codecs\nencode\n(Vx\nh\x0btR.", "of type list where a name belongs"),
    "itself": (b"]q\x00h\x00a]h\x00a\x86.", "image 0 is a value of type list"),
    "deep": (b"\x80\x04" + DEEP, "marked a value of type tuple"),
    "number": (b"]](\x8b\x00\x10\x00\x00" + b"\x7f" * 4096 + b"e\x86.", "of type int"),
    "repeated text": (
        b"c_codecs\nencode\nq\x00X\x10\x27\x00\x00"
        + b"a" * 10_000
        + b"q\x01X\x06\x00\x00\x00latin1q\x02("
        + b"h\x00h\x01h\x02\x86R" * 1000
        + b"l]\x86.",
        "more bytes than it has",
    ),
    "shape": (
        b"cnumpy.core.numeric\n_frombuffer\n(C\x01acnumpy\ndtype\n(Vu1\ntR"
        b"(J\xff\xff\xff\x7f]tVC\ntR.",
        "shape",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_few_hostile_bytes_do_not_become_many(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    path = tmp_path / "x_test.bin"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            read_bin(path)
        assert tracemalloc.get_traced_memory()[1] < 40 * len(content) + 2**20
    finally:
        tracemalloc.stop()


def test_an_image_that_many_pairs_name_is_kept_once(tmp_path: Path) -> None:
    array = np.frombuffer(b"image" * 20_000, np.uint8)
    path = save(tmp_path / "x.bin", ([array] * 2000, [True] * 1000), 3)
    tracemalloc.start()
    images = read_bin(path).images
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(images) == {b"image" * 20_000}
    assert peak < 2**20
