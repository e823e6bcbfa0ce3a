"""RecordIO as MXNet's own code reads and writes it, written from that code's description.

Independent of the package: nothing here uses it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

MAGIC = struct.pack("<I", 0xCED7230A)


def read_stream(data: bytes) -> list[bytes]:
    """All records of a stream, as dmlc's ``RecordIOReader::NextRecord`` goes through it."""
    records = []
    position = 0
    while position < len(data):
        record = b""
        while True:
            magic, word = struct.unpack_from("<II", data, position)
            assert magic == 0xCED7230A
            flag, length = (word >> 29) & 7, word & ((1 << 29) - 1)
            padded = ((length + 3) >> 2) << 2
            assert position + 8 + padded <= len(data)
            assert not any(data[position + 8 + length : position + 8 + padded])
            record += data[position + 8 : position + 8 + length]
            position += 8 + padded
            if flag in (0, 3):
                break
            record += MAGIC
        records.append(record)
    return records


def write_record(content: bytes) -> bytes:
    """One record, as dmlc's ``RecordIOWriter::WriteRecord`` goes through it word by word."""
    out = b""
    done = 0
    lower = (len(content) >> 2) << 2
    for i in range(0, lower, 4):
        if content[i : i + 4] == MAGIC:
            flag = 1 if done == 0 else 2
            out += MAGIC + struct.pack("<I", flag << 29 | (i - done)) + content[done:i]
            done = i + 4
    flag = 3 if done else 0
    out += MAGIC + struct.pack("<I", flag << 29 | (len(content) - done)) + content[done:]
    return out + bytes(-len(content) % 4)


class Header(NamedTuple):
    """``mxnet.recordio.IRHeader``."""

    flag: int
    label: Any
    id: int
    id2: int


def pack(header: Header, content: bytes) -> bytes:
    """As ``mxnet.recordio.pack``."""
    if isinstance(header.label, list):
        content = struct.pack(f"<{len(header.label)}f", *header.label) + content
        header = header._replace(flag=len(header.label), label=0)
    else:
        header = header._replace(flag=0)
    return struct.pack("<IfQQ", *header) + content


def unpack(record: bytes) -> tuple[Header, bytes]:
    """As ``mxnet.recordio.unpack``."""
    header = Header(*struct.unpack("<IfQQ", record[:24]))
    content = record[24:]
    if header.flag > 0:
        label = list(struct.unpack(f"<{header.flag}f", content[: header.flag * 4]))
        header, content = header._replace(label=label), content[header.flag * 4 :]
    return header, content


def write_indexed(folder: Path, records: list[tuple[int, bytes]]) -> None:
    """``train.rec`` and ``train.idx`` as ``MXIndexedRecordIO`` writes (key, record)."""
    stream, index = b"", ""
    for key, record in records:
        index += f"{key}\t{len(stream)}\n"
        stream += write_record(record)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.rec").write_bytes(stream)
    (folder / "train.idx").write_text(index)


def read_indexed(folder: Path) -> dict[int, bytes]:
    """Key → record, as ``MXIndexedRecordIO.read_idx`` gives it."""
    stream = (folder / "train.rec").read_bytes()
    found = {}
    for line in (folder / "train.idx").read_text().splitlines():
        key, offset = line.strip().split("\t")
        found[int(key)] = read_stream(stream[int(offset) :])[0]
    return found


def write_training_set(folder: Path, images: list[tuple[int, bytes]]) -> None:
    """A set as insightface's ``face2rec2`` writes (label, image), which come label by label."""
    records = [
        (key, pack(Header(2, [float(label), 1.0], key, 0), image))
        for key, (label, image) in enumerate(images, start=1)
    ]
    ranges = []
    for key, (label, _) in enumerate(images, start=1):
        if key == 1 or label != images[key - 2][0]:
            ranges.append([key, key])
        ranges[-1][1] = key + 1
    first = len(images) + 1
    header = Header(2, [float(first), float(first + len(ranges))], 0, 0)
    records.append((0, pack(header, b"")))
    for key, (start, end) in enumerate(ranges, start=first):
        records.append((key, pack(Header(2, [float(start), float(end)], key, 0), b"")))
    write_indexed(folder, records)
    (folder / "property").write_text(f"{len(ranges)},112,112\n")


def read_training_set(folder: Path) -> list[tuple[int, bytes]]:
    """(label, image) as arcface_torch's ``MXFaceDataset`` gives them."""
    records = read_indexed(folder)
    header, _ = unpack(records[0])
    keys = range(1, int(header.label[0])) if header.flag > 0 else sorted(records)
    found = []
    for key in keys:
        header, image = unpack(records[key])
        label = header.label[0] if header.flag > 0 else header.label
        found.append((int(label), image))
    return found
