"""What a teacher is: anything that embeds aligned faces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from evenface.errors import DataError

Engine = Literal["onnxruntime", "openvino", "openvino-bf16"]
"""What runs an ONNX file."""

IMAGE_SHAPE = (112, 112, 3)


ALIKE = 1e-6
"""Relative distance between the embeddings of two unlike pictures that is none."""


class Teacher(Protocol):
    """Embeds aligned faces.

    The embedding of an image does not depend on the other images of the call beyond the
    rounding of floating-point sums (relative differences of about 1e-6).
    """

    @property
    def name(self) -> str:
        """Short name for tables and logs."""

    @property
    def embedding_size(self) -> int:
        """Number of dimensions D."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over weights and preprocessing: equal fingerprints, equal embeddings."""

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N,D), not normalised, of uint8 RGB images (N,112,112,3), N ≥ 0.

        Raises ValueError for images of another shape or type, DataError for outputs that are
        NaN or infinite.
        """


class LoadedTeacher(Teacher, Protocol):
    """A teacher that can also tell where it comes from."""

    @property
    def details(self) -> dict[str, str]:
        """For the reader: file, preprocessing, how it is run."""


def check_images(images: np.ndarray) -> None:
    """ValueError unless ``images`` is uint8 of shape (N,112,112,3)."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(
            f"images must be uint8 of shape (N, 112, 112, 3), "
            f"got {images.dtype} of shape {images.shape}"
        )


def check_network(teacher: Teacher, where: str | Path) -> None:
    """DataError, naming ``where`` it is from, where two unlike pictures have one embedding."""
    ramp = np.linspace(0, 255, 112).astype(np.uint8)
    board = (np.indices((112, 112)).sum(axis=0) // 14 % 2 * 255).astype(np.uint8)
    pictures = np.stack([np.broadcast_to(ramp[:, None], (112, 112)), board])
    first, second = teacher.embed(np.repeat(pictures[..., None], 3, axis=3)).astype(np.float64)
    if np.linalg.norm(first - second) <= ALIKE * np.linalg.norm(first):
        raise DataError(
            f"{where}: a gradient and a chequerboard have the same embedding, so this is not a "
            "trained network"
        )
