"""RecordIO frames, headers and indexes, against a reader written from MXNet's own description."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evenface.data.formats.recordio import (
    RecordError,
    RecordFile,
    RecordWriter,
    exact_label,
    frames,
    pack,
    read_index,
    scan,
    unpack,
)
from evenface.errors import DataError
from mxnet_files import MAGIC, read_stream, write_record

contents = st.lists(
    st.one_of(st.just(MAGIC), st.just(MAGIC[:2]), st.binary(max_size=5)), max_size=12
).map(b"".join)


@given(st.lists(contents, min_size=1, max_size=5))
@example([MAGIC])
@example([MAGIC * 3])
@example([b"\1" + MAGIC * 2])
@example([b"\1\2\3\4" + MAGIC + b"\5"])
@example([b""])
@settings(max_examples=100, deadline=None)
def test_frames_are_those_of_dmlc(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes]
) -> None:
    stream = b"".join(map(frames, records))
    assert stream == b"".join(map(write_record, records))
    assert read_stream(stream) == records
    folder = tmp_path_factory.mktemp("rec")
    (folder / "a.rec").write_bytes(stream)
    file = RecordFile(folder / "a.rec")
    offset, found = 0, []
    while offset < file.size:
        found.append(file.content(offset))
        offset = file.end(offset)
    assert found == records


# Written by mxnet 1.9.1: labels, key, image, and the record as it stands in the file.
BY_MXNET = [
    (
        8.0,
        8,
        "0a23d7ce0a230a230a23d7ce0a23d7ce0a23d7ce",
        "0a23d7ce180000200000000000000041080000000000000000000000000000000a23d7ce040000400a230a23"
        "0a23d7ce000000400a23d7ce000000400a23d7ce00000060",
    ),
    (
        (13.0, 1.0),
        13,
        "ced70a23d7ce0a230a23d7ceced70a230a23d7ceced7ced7",
        "0a23d7ce2800002002000000000000000d000000000000000000000000000000000050410000803fced70a23"
        "d7ce0a230a23d7ce04000040ced70a230a23d7ce04000060ced7ced7",
    ),
    (
        40.0,
        40,
        "000000000a23d7ceced70000ced7ced7ced70a230a23d7ce0a23ced70000000000",
        "0a23d7ce1c000020000000000000204228000000000000000000000000000000000000000a23d7ce0c000040"
        "ced70000ced7ced7ced70a230a23d7ce090000600a23ced70000000000000000",
    ),
]


@pytest.mark.parametrize(("labels", "key", "image", "written"), BY_MXNET)
def test_records_that_mxnet_wrote(
    tmp_path: Path, labels: float | tuple[float, ...], key: int, image: str, written: str
) -> None:
    content, record = bytes.fromhex(image), bytes.fromhex(written)
    assert frames(pack(labels, key, content)) == record
    (tmp_path / "a.rec").write_bytes(record)
    found = unpack(RecordFile(tmp_path / "a.rec").content(0))
    assert found == (labels if isinstance(labels, tuple) else (labels,), key, content)


@given(
    labels=st.one_of(
        st.floats(width=32, allow_nan=False),
        st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
    ),
    key=st.integers(0, 2**64 - 1),
    image=contents,
)
@settings(max_examples=50, deadline=None)
def test_headers(labels: float | list[float], key: int, image: bytes) -> None:
    content = pack(labels, key, image)
    flag, label, number, second = struct.unpack("<IfQQ", content[:24])
    several = isinstance(labels, list)
    assert flag == (len(labels) if several else 0)
    assert label == (0.0 if several else labels)
    assert (number, second) == (key, 0)
    assert content[24 + 4 * flag :] == image
    found = unpack(content)
    assert found.labels == (tuple(labels) if several else (labels,))
    assert (found.key, found.image) == (key, image)


def test_header_with_the_magic_word(tmp_path: Path) -> None:
    content = pack([3.0, 1.0], 0xCED7230A, MAGIC + b"image")
    (tmp_path / "a.rec").write_bytes(frames(content))
    file = RecordFile(tmp_path / "a.rec")
    assert file.content(0) == content
    assert file.head(0) == ((3.0, 1.0), 0xCED7230A, b"")


def test_head_reads_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(frames(pack(3.0, 7, b"x" * 1000)))
    assert RecordFile(tmp_path / "a.rec").head(0) == ((3.0,), 7, b"")


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 23, struct.pack("<IfQQ", 3, 0, 1, 0) + b"12345678"]
)
def test_headers_that_are_none(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"too few|promises 3 labels"):
        unpack(content)
    (tmp_path / "a.rec").write_bytes(frames(content))
    with pytest.raises(RecordError, match=r"too few|promises 3 labels"):
        RecordFile(tmp_path / "a.rec").head(0)


def test_a_header_with_billions_of_labels(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(frames(struct.pack("<IfQQ", 2**32 - 1, 0, 1, 0)))
    with pytest.raises(RecordError, match="4,294,967,295 labels"):
        RecordFile(tmp_path / "a.rec").head(0)


def test_giant_records_are_not_written() -> None:
    class Giant(bytes):
        def __len__(self) -> int:
            return 2**29

    with pytest.raises(ValueError, match="536,870,912 bytes"):
        frames(Giant())


@pytest.mark.parametrize("value", [0.0, 1.0, 2.0**24 - 1])
def test_labels(value: float) -> None:
    assert exact_label(value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, "no class number"),
        (0.5, "no class number"),
        (float("nan"), "no class number"),
        (2.0**24, r"beyond 2\^24"),
        (float("inf"), r"beyond 2\^24"),
    ],
)
def test_labels_that_are_none(value: float, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        exact_label(value)


def test_many_threads_read_one_file(tmp_path: Path) -> None:
    records = [
        bytes([number]) * (number * 97 % 1000) + MAGIC * (number % 3) for number in range(200)
    ]
    with RecordWriter(tmp_path) as writer:
        for key, record in enumerate(records):
            writer.write(key, record)
    file = RecordFile(tmp_path / "train.rec")
    index = read_index(tmp_path / "train.idx", file)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(file.content, index.offsets.tolist() * 5)) == records * 5


# --- damage --------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> Path:
    with RecordWriter(tmp_path) as writer:
        for key in (3, 1, 2):
            writer.write(key, pack(float(key), key, bytes([key]) * 50))
    return tmp_path


def test_index_is_sorted_by_key(written: Path) -> None:
    file = RecordFile(written / "train.rec")
    index = read_index(written / "train.idx", file)
    assert index.keys.tolist() == [1, 2, 3]
    assert [unpack(file.content(offset)).key for offset in index.offsets.tolist()] == [1, 2, 3]
    assert [record.key for _, record in scan(file)] == [3, 1, 2]


@pytest.mark.parametrize("cut", [1, 30, 83, 84, 90, 200])
def test_truncated_records(written: Path, cut: int) -> None:
    path = written / "train.rec"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"train\.(rec|idx): .*(truncated|ends at|beyond)"):
        read_index(written / "train.idx", RecordFile(path))
    if cut % 84 > 2:  # the last two bytes are padding
        with pytest.raises(
            DataError, match=r"train\.rec: record [012] \(byte \d+\) cannot be read"
        ):
            list(scan(RecordFile(path)))


@pytest.mark.parametrize("cut", [2, 3, 4, 5, 8])
def test_truncated_index(written: Path, cut: int) -> None:
    path = written / "train.idx"  # ends with 2<TAB>168
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(
        DataError, match=r"train\.(idx|rec): .*(line 3 is|follow the last|truncated)"
    ):
        read_index(path, RecordFile(written / "train.rec"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"1 0\n", r"line 1 is b'1 0', expected key<TAB>offset"),
        (b"1\t0\nx\t84\n", r"line 2 is b'x\\t84'"),
        (b"1\t0\t2\n", "line 1 is"),
        (b"1\t0\n\xff\n", "line 2 is"),
        (b"1\t0\n-2\t84\n", "line 2: negative"),
        (b"1\t0\n1\t84\n2\t168\n", "key 1 occurs twice"),
        (b"1\t0\n2\t84\n3\t252\n", "line 3: key 3 lies at byte 252, but train.rec has 252 bytes"),
        (b"1\t0\n2\t99999999999999999999\n", "line 2 is"),
        (b"1\t0\n2\t84\n", "84 bytes of train.rec follow the last record"),
        (b"1\t0\n2\t84\n3\t170\n", r"the last record of train.idx \(byte 170\) cannot be read"),
    ],
)
def test_bad_index(written: Path, content: bytes, message: str) -> None:
    (written / "train.idx").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_index(written / "train.idx", RecordFile(written / "train.rec"))


def test_wrong_magic_and_roles(written: Path) -> None:
    path = written / "train.rec"
    content = bytearray(path.read_bytes())
    content[84] ^= 1
    path.write_bytes(content)
    file = RecordFile(path)
    with pytest.raises(RecordError, match="no record begins at byte 84"):
        file.content(84)
    with pytest.raises(DataError, match=r"train\.rec: record 1 \(byte 84\) cannot be read"):
        list(scan(file))
    content[84] ^= 1
    for role in (2, 3, 4, 7):  # a middle or last part without a first, unknown roles
        content[91] = role << 5
        path.write_bytes(content)
        with pytest.raises(RecordError, match="no record begins at byte 84"):
            RecordFile(path).content(84)
    content[91] = 1 << 5  # a first part, and a whole record in place of its next
    path.write_bytes(content)
    with pytest.raises(RecordError, match="no record begins at byte 168"):
        RecordFile(path).content(84)


def test_offsets_beyond_the_end(written: Path) -> None:
    file = RecordFile(written / "train.rec")
    for offset in (250, 252, 2**40):
        with pytest.raises(RecordError, match="is beyond the end"):
            file.content(offset)
