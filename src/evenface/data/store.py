"""The image store: aligned faces packed into one memory-mapped file, with checksums.

A store is a folder with ``images.bin`` (N × 112 × 112 × 3 bytes: uint8, RGB, row-major, nothing
else) and ``store.json`` (counts and checksums). ``store.json`` is written last: a folder without
it is no store, whatever else lies there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from evenface.errors import DataError
from evenface.files import fingerprint, read_json, write_json

IMAGE_SIZE = 112
IMAGE_SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 3)
IMAGE_BYTES = IMAGE_SIZE * IMAGE_SIZE * 3
BLOCK_IMAGES = 1024

IMAGES_NAME = "images.bin"
HEADER_NAME = "store.json"
PARTIAL_NAME = "images.bin.partial"
_FORMAT = "evenface-image-store"
_VERSION = 1


class ImageStore:
    """Read access to a finished store. Open it with :meth:`open`.

    Pickling sends the path only, so that a store can be handed to worker processes.
    """

    def __init__(self, path: Path, images: np.ndarray, blocks: list[str], digest: str) -> None:
        self.path = path
        self.fingerprint = digest
        self._images = images
        self._blocks = blocks
        self._whole: set[int] = set()
        """Blocks whose checksum was compared."""

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Memory-map the store in ``folder``.

        Raises:
            DataError: no store there, an unknown version, or a file that was cut or changed in
                size. Contents are checked when they are first read.
        """
        folder = Path(folder)
        header_path = folder / HEADER_NAME
        if not header_path.is_file():
            raise DataError(
                f"{folder}: no image store here (no {HEADER_NAME}). It may be an import that was "
                "interrupted: run the same command again"
            )
        header = read_json(header_path)
        if isinstance(header, dict) and (other := _KINDS.get(str(header.get("format")))):
            return cast(Self, other(folder, header))
        count, blocks = _check_header(header, header_path)
        images_path = folder / IMAGES_NAME
        size = images_path.stat().st_size if images_path.is_file() else -1
        if size != count * IMAGE_BYTES:
            found = f"{size:,} bytes" if size >= 0 else "no file"
            raise DataError(
                f"{images_path}: {HEADER_NAME} promises {count:,} images "
                f"({count * IMAGE_BYTES:,} bytes), found {found}. Import or render it anew"
            )
        shape = (count, *IMAGE_SHAPE)
        images = (
            np.memmap(images_path, dtype=np.uint8, mode="r", shape=shape)
            if count
            else np.empty(shape, dtype=np.uint8)
        )
        return cls(folder, images, blocks, _fingerprint(count, blocks))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, indices: int | slice | np.ndarray | list[int]) -> np.ndarray:
        """A contiguous copy: uint8 (n, 112, 112, 3) RGB, or (112, 112, 3) for a single int.

        Each block of 1,024 images is compared with its checksum when an image of it is first read
        (about 30 ms), once in each process that opens the store.

        Raises:
            IndexError: beyond the end.
            DataError: a block does not match its checksum.
        """
        chosen = np.asarray(self._images)[indices]
        for number in self._touched(indices) - self._whole:
            self._check(number)
        # Indexing by an array has copied already.
        return chosen.copy() if np.may_share_memory(chosen, self._images) else chosen

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return (type(self).open, (self.path,))

    def verify(self) -> None:
        """Read every byte and compare it with the checksums.

        Raises:
            DataError: names the first block of images that differs.
        """
        for number in range(len(self._blocks)):
            self._check(number)

    def _touched(self, indices: int | slice | np.ndarray | list[int]) -> set[int]:
        """The blocks that these images lie in."""
        rows: Any
        if isinstance(indices, slice):
            rows = np.arange(*indices.indices(len(self)))
        else:
            rows = np.asarray(indices)
            rows = np.flatnonzero(rows) if rows.dtype == bool else rows % max(len(self), 1)
        return set(np.unique(rows // BLOCK_IMAGES).tolist())

    def _check(self, number: int) -> None:
        first = number * BLOCK_IMAGES
        block = self._images[first : first + BLOCK_IMAGES]
        if hashlib.sha256(block.data).hexdigest() != self._blocks[number]:
            raise DataError(
                f"{self.path / IMAGES_NAME}: images {first:,} to {first + len(block) - 1:,} (block "
                f"{number}) do not match their checksum; the file was damaged. Import or render it "
                "anew"
            )
        self._whole.add(number)


class ImageStoreWriter:
    """Writes a store image by image in constant memory; a context manager.

    ``images.bin`` and ``store.json`` get their names when the block ends without an exception;
    otherwise nothing is left but what a killed process cannot tidy up, which the next writer
    overwrites.

    Args:
        folder: made where it does not exist.
        resume: continue after this many images of an interrupted writer. When given (0 at the
            first try), an exception leaves the images written so far for the next writer.

    Raises:
        DataError: on entry, when the folder holds a finished store already, or fewer images than
            ``resume``.
    """

    def __init__(self, folder: str | Path, *, resume: int | None = None) -> None:
        self.folder = Path(folder)
        self._resume = resume
        self._count = 0
        self._blocks: list[str] = []
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        if (self.folder / HEADER_NAME).exists():
            raise DataError(
                f"{self.folder}: holds a finished image store already. Choose another folder or "
                "delete this one"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / PARTIAL_NAME
        self._file = open(partial, "r+b" if self._resume and partial.exists() else "w+b")
        if self._resume:
            self._take_up(self._resume)
        return self

    def _take_up(self, count: int) -> None:
        for start in range(0, count, BLOCK_IMAGES):
            images = min(BLOCK_IMAGES, count - start)
            block = self._file.read(images * IMAGE_BYTES)
            if len(block) < images * IMAGE_BYTES:
                self._file.close()
                raise DataError(
                    f"{self.folder / PARTIAL_NAME}: fewer images than the {count:,} that were "
                    "written before the interruption. Delete the folder and start again"
                )
            self._note(block, images)
        self._file.truncate()

    def __len__(self) -> int:
        return self._count

    def append(self, images: np.ndarray) -> int:
        """Append images.

        Args:
            images: uint8 (n, 112, 112, 3) or (112, 112, 3), RGB.

        Returns:
            Index of the first of them.

        Raises:
            ValueError: another dtype or shape.
        """
        batch = images[None] if images.ndim == 3 else images
        if batch.dtype != np.uint8 or batch.shape[1:] != IMAGE_SHAPE:
            raise ValueError(
                f"expected uint8 images (n, 112, 112, 3), got {images.dtype} {images.shape}"
            )
        first = self._count
        for start in range(0, len(batch), BLOCK_IMAGES):
            self._append_some(np.ascontiguousarray(batch[start : start + BLOCK_IMAGES]))
        return first

    def _append_some(self, batch: np.ndarray) -> None:
        self._file.write(batch.data)
        room = BLOCK_IMAGES - self._count % BLOCK_IMAGES
        self._note(batch[:room].data, min(room, len(batch)))
        if len(batch) > room:
            self._note(batch[room:].data, len(batch) - room)

    def _note(self, data: bytes | memoryview, images: int) -> None:
        """Count and hash images that do not cross the end of a block."""
        self._hash.update(data)
        self._count += images
        if self._count % BLOCK_IMAGES == 0 and images:
            self._blocks.append(self._hash.hexdigest())
            self._hash = hashlib.sha256()

    def flush(self) -> None:
        """Return when all images appended so far are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        partial = self.folder / PARTIAL_NAME
        try:
            with self._file:
                if kind is None:
                    self.flush()
            if kind is None:
                self._finalise(partial)
        finally:
            if self._resume is None:
                partial.unlink(missing_ok=True)

    def _finalise(self, partial: Path) -> None:
        if self._count % BLOCK_IMAGES:
            self._blocks.append(self._hash.hexdigest())
        os.replace(partial, self.folder / IMAGES_NAME)
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "images": self._count,
            "shape": list(IMAGE_SHAPE),
            "dtype": "uint8",
            "colour": "RGB",
            "fingerprint": _fingerprint(self._count, self._blocks),
            "block_images": BLOCK_IMAGES,
            "block_sha256": self._blocks,
        }
        write_json(self.folder / HEADER_NAME, header)


def _fingerprint(count: int, blocks: list[str]) -> str:
    return fingerprint({"format": _FORMAT, "images": count, "blocks": blocks})


def register_store(format: str, opener: Callable[[Path, Mapping[str, Any]], ImageStore]) -> None:
    """Let another kind of store be opened wherever stores are; the last one of a name counts.

    Args:
        format: what the ``store.json`` of such a store has under "format".
        opener: from the folder and that file's content to the store.

    Raises:
        ValueError: the format is this module's own.
    """
    if format == _FORMAT:
        raise ValueError(f"the kind of store {format!r} cannot be replaced")
    _KINDS[format] = opener


_KINDS: dict[str, Callable[[Path, Mapping[str, Any]], ImageStore]] = {}


def _check_header(header: Any, path: Path) -> tuple[int, list[str]]:
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise DataError(f"{path}: not the header of an image store")
    if header.get("version") != _VERSION:
        raise DataError(
            f"{path}: image store version {header.get('version')!r}; this program reads "
            f"version {_VERSION}"
        )
    count, blocks = header.get("images"), header.get("block_sha256")
    if (
        not isinstance(count, int)
        or not isinstance(blocks, list)
        or len(blocks) != -(-count // BLOCK_IMAGES)
        or header.get("fingerprint") != _fingerprint(count, blocks)
    ):
        raise DataError(f"{path}: damaged (counts, checksums and fingerprint do not agree)")
    return count, blocks
