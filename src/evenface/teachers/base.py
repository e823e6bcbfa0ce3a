"""What a teacher is: anything that embeds aligned faces."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

Engine = Literal["onnxruntime", "openvino", "openvino-bf16"]
"""What runs an ONNX file."""

IMAGE_SHAPE = (112, 112, 3)


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
