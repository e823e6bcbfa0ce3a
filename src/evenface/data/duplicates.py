"""Image files with the same content, told by a digest of 16 bytes each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

DIGESTS_NAME = "import-digests.bin.partial"
DIGEST_BYTES = 16
UNREAD = bytes(DIGEST_BYTES)
"""Stands for the digest of a file that could not be read."""

Duplicates = Literal["keep", "drop"]


def digest(data: bytes) -> bytes:
    """BLAKE2b of 128 bits: of ten million files, two differ and agree with probability 1e-25."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


class SameFile(NamedTuple):
    """A record whose file equals that of an earlier record."""

    record: int
    equals: int
    across: bool
    """Files of this content stand under several identities: one label at least is wrong."""


def find_duplicates(
    digests: np.ndarray, usable: np.ndarray, identity_of: Callable[[int], str]
) -> list[SameFile]:
    """Records whose content was seen before, in the order of records.

    Args:
        digests: uint8 (N, 16).
        usable: bool (N,): records that take part.
        identity_of: the identity of a record; asked only of those with equals.
    """
    records = np.flatnonzero(usable)
    halves = np.ascontiguousarray(digests[records]).view("<u8")
    order = np.lexsort((records, halves[:, 1], halves[:, 0]))
    records, halves = records[order], halves[order]
    new = np.ones(len(records), dtype=bool)
    new[1:] = (halves[1:] != halves[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, len(records)))
    found = []
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        first, *rest = records[start : start + size].tolist()
        across = len({identity_of(number) for number in (first, *rest)}) > 1
        found += [SameFile(number, first, across) for number in rest]
    return sorted(found)


class DigestFile:
    """The digests of an import under way, one for each record, so that it can be resumed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DIGESTS_NAME

    def __len__(self) -> int:
        return self.path.stat().st_size // DIGEST_BYTES if self.path.is_file() else 0

    def open(self, records: int) -> BinaryIO:
        """For appending after so many records; what lies behind them is cut off."""
        file = open(self.path, "ab")  # noqa: SIM115 (the caller closes it)
        file.truncate(records * DIGEST_BYTES)
        return file

    def read(self) -> np.ndarray:
        """uint8 (records, 16)."""
        whole = len(self) * DIGEST_BYTES
        data = np.fromfile(self.path, np.uint8, whole) if whole else np.empty(0, np.uint8)
        return data.reshape(-1, DIGEST_BYTES)

    def remove(self) -> None:
        """The import is finished."""
        self.path.unlink(missing_ok=True)


def write_digests(file: BinaryIO, digests: list[bytes]) -> None:
    """Append; on return they are on the disk."""
    file.write(b"".join(digests))
    file.flush()
    os.fsync(file.fileno())
