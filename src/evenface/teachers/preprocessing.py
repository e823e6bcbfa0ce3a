"""How aligned uint8 faces become a network's input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenface.errors import DataError

Order = Literal["RGB", "BGR"]
Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True)
class Preprocessing:
    """(x − mean) / std on values 0–255, then channel order and memory layout.

    ``mean`` and ``std`` are one number or three, for red, green and blue. The default is the
    field's convention (x/255 − 0.5)/0.5, RGB, of arcface_torch and its descendants.
    """

    mean: float | tuple[float, float, float] = 127.5
    std: float | tuple[float, float, float] = 127.5
    order: Order = "RGB"
    layout: Layout = "NCHW"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape not in ((), (3,)) or not np.isfinite(value).all():
                raise ValueError(f"{name} must be one finite number or three, got {value}")
        if not np.all(np.asarray(self.std) > 0):
            raise ValueError(f"std must be positive, got {self.std}")
        if self.order not in ("RGB", "BGR"):
            raise ValueError(f"order must be 'RGB' or 'BGR', got {self.order!r}")
        if self.layout not in ("NCHW", "NHWC"):
            raise ValueError(f"layout must be 'NCHW' or 'NHWC', got {self.layout!r}")

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """float32 (N,3,H,W) or (N,H,W,3), C-contiguous, of uint8 RGB images (N,H,W,3)."""
        values = images.astype(np.float32)
        values -= np.asarray(self.mean, dtype=np.float32)
        values /= np.asarray(self.std, dtype=np.float32)
        if self.order == "BGR":
            values = values[..., ::-1]
        if self.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values)

    def __str__(self) -> str:
        return f"{self.order}, (x − {self.mean}) / {self.std}, {self.layout}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for fingerprints: numbers as floats, three of each."""
        return asdict(self) | {
            name: np.broadcast_to(np.asarray(getattr(self, name), float), 3).tolist()
            for name in ("mean", "std")
        }


SIDECAR = ".json"
"""Suffix of the file beside a model that declares its preprocessing: ``model.onnx.json``."""
METADATA_KEY = "preprocessing"
"""Under which an ONNX file may declare it in its metadata, as the same JSON."""


def declared(path: Path, metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a model file's sidecar, else its metadata, says of its preprocessing.

    Args:
        path: the model file.
        metadata: of an ONNX file.

    Returns:
        any of ``mean``, ``std``, ``order`` and ``layout``; empty where nothing is declared.

    Raises:
        DataError: no JSON object, an unknown name, or a value that is not allowed.
    """
    sidecar = path.with_name(path.name + SIDECAR)
    if sidecar.is_file():
        where, text = str(sidecar), sidecar.read_text(encoding="utf-8", errors="replace")
    elif METADATA_KEY in (metadata or {}):
        where, text = f"{path}: metadata {METADATA_KEY!r}", (metadata or {})[METADATA_KEY]
    else:
        return {}
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError("expected an object with mean, std, order, layout")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
        }
        Preprocessing(**given)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: declares no preprocessing ({error})") from None
    return given
