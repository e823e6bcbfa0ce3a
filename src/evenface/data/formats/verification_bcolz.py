"""Verification sets as face.evoLVe and InsightFace_Pytorch publish them: the bcolz array ``lfw/``
with ``lfw_list.npy`` beside it.

The array is float32 (2N, 3, 112, 112), BGR, (v − 127.5) / 127.5 of 8-bit pixels v. Its folder holds
``meta/sizes`` and ``meta/storage`` (JSON) and the chunks ``data/__0.blp``, ``__1.blp``, …: 16 bytes
of Bloscpack header, then one Blosc buffer. The list has one flag per pair; pair i is images 2i and
2i + 1. Chunks are decoded by numcodecs (extra ``bcolz``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evenface.data.formats.verification_bin import VerificationBin
from evenface.data.store import IMAGE_SHAPE
from evenface.errors import DataError, asking_for
from evenface.files import read_json
from evenface.parallel import usable_cores

_SIZES = Path("meta", "sizes")
_STORAGE = Path("meta", "storage")
_ROW_SHAPE = (IMAGE_SHAPE[2], *IMAGE_SHAPE[:2])
_DTYPE = np.dtype("<f4")
_ROW_BYTES = int(np.prod(_ROW_SHAPE)) * _DTYPE.itemsize
_MAGIC = b"blpk"
_PACK_HEADER = 16
_BLOSC_HEADER = 16
_MOST_BYTES = 2**31 - 1
"""Uncompressed bytes of a Blosc buffer."""
_TOLERANCE = 0.01
"""How far a value may be from an 8-bit pixel: float32 rounds by less than 0.0001."""


def is_carray(folder: Path) -> bool:
    """Whether a folder is laid out as a bcolz array."""
    return any(os.path.isfile(folder / name) for name in (_SIZES, _STORAGE))


def flags_path(folder: Path) -> Path:
    """The list of flags beside the array: ``lfw_list.npy`` for ``lfw/``."""
    folder = folder.absolute()
    return folder.with_name(f"{folder.name}_list.npy")


def read_carray(folder: str | Path) -> VerificationBin:
    """Read a verification set from a bcolz array; its images become PNG files in memory.

    Chunks are read one by one: the float array is never in memory as a whole.

    Raises:
        DataError: no such array or list, an array of another dtype or shape, a list that does not
            have one flag per pair, a chunk that is missing or damaged, or values that are not
            8-bit pixels in this scale; the message names the file.
        MissingDependencyError: numcodecs is not installed.
    """
    folder = Path(folder)
    images = _images(folder / _SIZES)
    rows = _chunk_rows(folder / _STORAGE)
    genuine = _genuine(flags_path(folder), folder, images)
    with asking_for("bcolz", f"{folder}: reading a bcolz array"):
        from numcodecs import Blosc
    starts = range(0, images, rows)
    read = partial(_chunk, folder, images, rows, Blosc().decode)
    with ThreadPoolExecutor(usable_cores()) as pool:
        chunks = pool.map(read, range(len(starts)))
        encoded = [image for chunk in chunks for image in chunk]
    return VerificationBin(encoded, genuine)


def _images(path: Path) -> int:
    """Number of images in the array."""
    shape = _member(path, "shape")
    if (
        not isinstance(shape, list)
        or tuple(shape[1:]) != _ROW_SHAPE
        or not _is_positive(shape[0])
        or shape[0] % 2
    ):
        expected = ", ".join(map(str, _ROW_SHAPE))
        raise DataError(f"{path}: the array's shape is {shape!s:.60}; expected [2N, {expected}]")
    return int(shape[0])


def _chunk_rows(path: Path) -> int:
    """Number of images in a chunk; the last may have fewer."""
    dtype, rows = _member(path, "dtype"), _member(path, "chunklen")
    if dtype not in (_DTYPE.name, _DTYPE.str):
        raise DataError(f"{path}: the array's dtype is {dtype!s:.60}; expected {_DTYPE.name}")
    if not _is_positive(rows) or rows * _ROW_BYTES > _MOST_BYTES:
        raise DataError(f"{path}: chunklen is {rows!s:.60}; expected a number of images")
    return int(rows)


def _member(path: Path, name: str) -> Any:
    content = read_json(path)
    if not isinstance(content, dict) or name not in content:
        raise DataError(f"{path}: no '{name}'; expected the JSON that bcolz writes")
    return content[name]


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _genuine(path: Path, folder: Path, images: int) -> NDArray[np.bool_]:
    """The flags (N,) of the pairs."""
    try:
        # Mapped: a damaged header may announce more than the file has. Objects are refused.
        flags = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file. It belongs beside {folder} and says which pairs are genuine"
        ) from None
    except Exception as error:
        # Damaged headers raise nearly anything (ValueError, TokenError, MemoryError, …).
        raise DataError(f"{path}: not a NumPy file of plain values ({error})") from None
    if flags.ndim != 1 or flags.dtype.kind not in "biu":
        raise DataError(
            f"{path}: holds {flags.dtype} {flags.shape}; expected one True or False per pair"
        )
    if 2 * len(flags) != images:
        raise DataError(
            f"{path}: {len(flags):,} flags for the {images:,} images in {folder}; expected one per "
            f"pair, {images // 2:,}"
        )
    wrong = np.flatnonzero((flags != 0) & (flags != 1))
    if wrong.size:
        raise DataError(
            f"{path}: pair {wrong[0]} is marked {flags[wrong[0]]}, expected True or False"
        )
    return np.array(flags, dtype=bool)


def _chunk(
    folder: Path, images: int, rows: int, decode: Callable[[bytes], bytes], number: int
) -> list[bytes]:
    """The images of one chunk as PNG files."""
    path = folder / "data" / f"__{number}.blp"
    first = number * rows
    count = min(rows, images - first)
    buffer = _blosc_buffer(path, count)
    try:
        content = decode(buffer)
    except RuntimeError as error:
        raise DataError(f"{path}: damaged ({error})") from None
    scaled = np.frombuffer(content, _DTYPE).reshape(count, *_ROW_SHAPE)
    encoded = []
    for place, image in enumerate(scaled):
        pixels = image * np.float32(127.5) + np.float32(127.5)
        levels = np.rint(pixels)
        # Comparisons with NaN are false.
        if not (levels.min() >= 0 and levels.max() <= 255 and _close(pixels, levels)):
            raise DataError(
                f"{path}: image {first + place} is not made of 8-bit pixels v as "
                "(v − 127.5) / 127.5, the scale of published sets"
            )
        bgr = np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))
        _, png = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        encoded.append(png.tobytes())
    return encoded


def _close(pixels: NDArray[np.float32], levels: NDArray[np.float32]) -> bool:
    return bool(np.abs(pixels - levels).max() <= _TOLERANCE)


def _blosc_buffer(path: Path, count: int) -> bytes:
    """The compressed bytes of a chunk that holds ``count`` images."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; a chunk of the array is missing") from None
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror})") from None
    if not content.startswith(_MAGIC):
        raise DataError(f"{path}: no chunk of a bcolz array: it does not begin with {_MAGIC!r}")
    buffer = content[_PACK_HEADER:]
    # Blosc's header: version, versionlz, flags, typesize; then uint32 nbytes, blocksize, cbytes.
    sizes = np.frombuffer(buffer[4:_BLOSC_HEADER].ljust(12, b"\0"), "<u4")
    if len(buffer) < _BLOSC_HEADER or sizes[2] != len(buffer):
        raise DataError(
            f"{path}: truncated or damaged: {len(buffer):,} bytes after its header, which "
            f"announces {sizes[2]:,}"
        )
    expected = count * _ROW_BYTES
    if sizes[0] != expected:
        raise DataError(
            f"{path}: {sizes[0]:,} bytes of images; expected {expected:,} ({count} images)"
        )
    return buffer
