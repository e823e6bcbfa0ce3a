"""Faces, and a recogniser whose embeddings NumPy can compute as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toy_onnx import ToyRecogniser, write_recogniser


@pytest.fixture
def recogniser(tmp_path: Path) -> ToyRecogniser:
    """The toy recogniser that takes any batch."""
    return write_recogniser(tmp_path / "toy.onnx")


@pytest.fixture
def faces() -> np.ndarray:
    """Eleven random images, uint8 (11,112,112,3)."""
    return np.random.default_rng(7).integers(0, 256, (11, 112, 112, 3), dtype=np.uint8)
