"""How aligned uint8 faces become a network's input."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenface.errors import DataError

Order = Literal["RGB", "BGR", "grey"]
Layout = Literal["NCHW", "NHWC"]
Fit = Literal["crop", "resize"]
Size = tuple[int, int]
"""Height and width in pixels."""

FACE: Size = (112, 112)
"""Of the aligned faces."""
_SIDES = (16, 1024)
"""Smallest and largest height or width."""
_LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in grey (ITU-R BT.601), as in OpenCV and Pillow."""


@dataclass(frozen=True)
class Preprocessing:
    """Size and colours of uint8 faces, then (x − mean) / std on values 0–255, then memory layout.

    The default is the field's convention (x/255 − 0.5)/0.5, RGB, of arcface_torch and its
    descendants.

    Attributes:
        mean, std: one number or three, for red, green and blue.
        order: of the channels; "grey" for one channel.
        layout: in memory.
        size: height and width of the network's input.
        fit: how faces get this size. "crop" cuts out the centre: for 112×96 these are exactly the
            faces of the SphereFace template, which the 112×112 template widens by 8 pixels on
            either side. "resize" scales, bilinear, averaging where it shrinks, as Pillow does.
            None where they have it.
    """

    mean: float | tuple[float, float, float] = 127.5
    std: float | tuple[float, float, float] = 127.5
    order: Order = "RGB"
    layout: Layout = "NCHW"
    size: Size = FACE
    fit: Fit | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape not in ((), (3,)) or not np.isfinite(value).all():
                raise ValueError(f"{name} must be one finite number or three, got {value}")
        if not np.all(np.asarray(self.std) > 0):
            raise ValueError(f"std must be positive, got {self.std}")
        if self.order not in ("RGB", "BGR", "grey"):
            raise ValueError(f"order must be 'RGB', 'BGR' or 'grey', got {self.order!r}")
        if self.order == "grey" and np.ndim(self.mean) + np.ndim(self.std):
            raise ValueError("mean and std of grey faces are one number each")
        if self.layout not in ("NCHW", "NHWC"):
            raise ValueError(f"layout must be 'NCHW' or 'NHWC', got {self.layout!r}")
        low, high = _SIDES
        if len(self.size) != 2 or not all(
            isinstance(side, int) and low <= side <= high for side in self.size
        ):
            raise ValueError(f"size must be height and width, {low} to {high}, got {self.size}")
        if self.fit not in (None, "crop", "resize"):
            raise ValueError(f"fit must be 'crop' or 'resize', got {self.fit!r}")
        if self.fit is None and self.size != FACE:
            raise ValueError(
                f"faces are {_times(FACE)}, the input is {_times(self.size)}. Declare fit: crop "
                "(the centre is cut out) or resize (scaled)"
            )
        if self.fit == "crop" and (self.size[0] > FACE[0] or self.size[1] > FACE[1]):
            raise ValueError(f"{_times(self.size)} cannot be cropped from {_times(FACE)}")

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return 1 if self.order == "grey" else 3

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """float32 (N,C,H,W) or (N,H,W,C), C-contiguous, of uint8 RGB images (N,112,112,3).

        H and W are ``size`` (those of the images where ``fit`` is None), C is ``channels``.
        """
        values = self._fitted(images).astype(np.float32)
        if self.order == "grey":
            values = np.rint(values @ np.asarray(_LUMA, dtype=np.float32))[..., None]
        values -= np.asarray(self.mean, dtype=np.float32)
        values /= np.asarray(self.std, dtype=np.float32)
        if self.order == "BGR":
            values = values[..., ::-1]
        if self.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values)

    def _fitted(self, images: np.ndarray) -> np.ndarray:
        """The images with ``size``, whole numbers."""
        if self.size == images.shape[1:3] or self.fit is None:
            return images
        height, width = self.size
        if self.fit == "crop":
            top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
            return images[:, top : top + height, left : left + width]
        down, across = _bilinear(images.shape[1], height), _bilinear(images.shape[2], width)
        # (H', H) · (N, H, W·C), then (W', W) · (N·H', W, C)
        count, rows, columns, channels = images.shape
        scaled = down @ images.reshape(count, rows, columns * channels).astype(np.float32)
        scaled = across @ scaled.reshape(count * height, columns, channels)
        return np.rint(scaled).reshape(count, height, width, channels)

    def __str__(self) -> str:
        size = f", {self.fit} to {_times(self.size)}" if self.fit else ""
        return f"{self.order}, (x − {self.mean}) / {self.std}, {self.layout}{size}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for fingerprints: numbers as floats, three of each; size where faces are
        changed to it."""
        found = asdict(self) | {
            name: np.broadcast_to(np.asarray(getattr(self, name), float), 3).tolist()
            for name in ("mean", "std")
        }
        if self.size == FACE:
            del found["size"], found["fit"]
        return found


@cache
def _bilinear(length: int, target: int) -> np.ndarray:
    """float32 (target, length): weights by which samples of a line become another number of them.

    Centres are at half pixels; a triangle as wide as a sample of the coarser line.
    """
    scale = length / target
    width = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / width
    weights = np.maximum(1.0 - distance, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _times(size: Size) -> str:
    return f"{size[0]}×{size[1]}"


_NAMES = tuple(field.name for field in fields(Preprocessing))
SIDECAR = ".json"
"""Suffix of the file beside a model that declares its preprocessing: ``model.onnx.json``."""
METADATA_KEY = "preprocessing"
"""Under which an ONNX file may declare it in its metadata, as the same JSON."""


def declared(
    path: Path, metadata: Mapping[str, str] | None = None, *, more: Collection[str] = ()
) -> dict[str, Any]:
    """What a model file's sidecar, else its metadata, says of its preprocessing.

    Args:
        path: the model file.
        metadata: of an ONNX file.
        more: names beside those of :class:`Preprocessing` that may be declared.

    Returns:
        any of the attributes of :class:`Preprocessing` and of ``more``; empty where nothing is
        declared.

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
            raise TypeError(f"expected an object with {', '.join((*_NAMES, *more))}")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
        }
        if unknown := sorted(set(given) - {*_NAMES, *more}):
            raise TypeError(f"'{unknown[0]}' is not known; known: {', '.join((*_NAMES, *more))}")
        checked = {name: value for name, value in given.items() if name in _NAMES}
        Preprocessing(**checked)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: declares no preprocessing ({error})") from None
    return given
