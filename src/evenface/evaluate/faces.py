"""Where a protocol's images come from: decoded when they are needed, never all at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evenface.data.align import align
from evenface.data.decode import ImageError, decode
from evenface.data.store import IMAGE_SHAPE
from evenface.errors import DataError
from evenface.files import fingerprint
from evenface.parallel import usable_cores


class Faces(Protocol):
    """Aligned faces by number. A manifest is one; so are the classes here."""

    def __len__(self) -> int: ...

    @property
    def image_fingerprint(self) -> str:
        """SHA-256 (hex) over the images in their order: what embeddings depend on."""

    def images(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (n, 112, 112, 3) RGB of these rows (n,), in their order."""


@dataclass(frozen=True, eq=False)
class EncodedFaces:
    """Image files held in memory, as a verification ``.bin`` has them."""

    encoded: Sequence[bytes]
    names: tuple[str, ...]
    """One for each, for error messages."""

    def __len__(self) -> int:
        return len(self.encoded)

    @cached_property
    def image_fingerprint(self) -> str:
        return _fingerprint([hashlib.sha256(data).hexdigest() for data in self.encoded])

    def images(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Raises DataError naming an image that cannot be decoded, or is not 112×112."""
        return _decoded([(self.names[row], self.encoded[row]) for row in rows])


@dataclass(frozen=True, eq=False)
class FileFaces:
    """Image files on disk, read when they are needed.

    With landmarks (N, 5, 2), in pixels of each file's image, faces are aligned as they are read;
    without, they must be aligned already.
    """

    paths: tuple[Path, ...]
    landmarks: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def image_fingerprint(self) -> str:
        parts = [hashlib.sha256(_read(path)).hexdigest() for path in self.paths]
        if self.landmarks is not None:
            parts.append(hashlib.sha256(np.ascontiguousarray(self.landmarks).data).hexdigest())
        return _fingerprint(parts)

    def images(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Raises DataError naming a file that cannot be decoded, aligned, or is not 112×112."""
        files = [(str(self.paths[row]), _read(self.paths[row])) for row in rows]
        return _decoded(files, None if self.landmarks is None else self.landmarks[rows])


def _fingerprint(parts: Sequence[str]) -> str:
    return fingerprint({"images": list(parts)})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror})") from None


def _decoded(
    files: Sequence[tuple[str, bytes]], landmarks: NDArray[np.float64] | None = None
) -> NDArray[np.uint8]:
    images = np.empty((len(files), *IMAGE_SHAPE), dtype=np.uint8)

    def fill(place: int) -> None:
        name, data = files[place]
        try:
            image = decode(data)
            if landmarks is not None:
                image = align(image, landmarks[place])
        except (ImageError, ValueError) as error:
            raise DataError(f"{name}: {error}") from None
        if image.shape != IMAGE_SHAPE:
            raise DataError(
                f"{name}: {image.shape[1]}×{image.shape[0]} pixels; aligned faces of 112×112 are "
                "expected. Align the set first, e.g. by 'evenface data import'"
            )
        images[place] = image

    # Decoders let go of the interpreter lock.
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(fill, range(len(files))))
    return images
