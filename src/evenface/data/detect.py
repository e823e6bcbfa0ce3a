"""Face detection with YuNet (Wu et al., Machine Intelligence Research 2023) through OpenCV."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evenface.errors import DataError

MAX_SIDE = 1000
"""Larger images are shrunk to this many pixels before detection."""


YUNET = Path(str(resources.files("evenface.data") / "yunet/face_detection_yunet_2023mar.onnx"))
"""The detector that comes with the package (MIT; its licence is beside it)."""

_LOADING = threading.Lock()  # OpenCV's log level is one for all threads


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the image as given to the detector."""

    box: tuple[float, float, float, float]
    """x, y, width, height."""
    score: float
    """Confidence in [0, 1]."""
    landmarks: np.ndarray
    """float64 (5, 2): (x, y) in the order of :data:`evenface.data.align.ARCFACE_TEMPLATE`."""

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return self.box[2] * self.box[3]

    def turned(self, quarters: int, width: int, height: int) -> Face:
        """This face in the image of ``width`` × ``height`` that ``np.rot90(…, quarters)`` turned.

        The face was found in the turned image. The landmarks keep their order, so that aligning
        the image as it is by them gives an upright face.
        """
        x, y, w, h = self.box
        box = _turned_back(np.array([(x, y), (x + w, y + h)]), quarters, width, height)
        low, high = box.min(axis=0), box.max(axis=0)
        return Face(
            (*low.tolist(), *(high - low).tolist()),
            self.score,
            _turned_back(self.landmarks, quarters, width, height),
        )


class FaceDetector:
    """YuNet. Not to be shared between threads: make one for each.

    Args:
        path: an ONNX file of YuNet; by default the one that comes with the package.
        min_score: detections below it are dropped.

    Raises:
        DataError: the file is no detector that OpenCV can load.
    """

    def __init__(self, path: str | Path = YUNET, *, min_score: float = 0.6) -> None:
        with _LOADING:
            self._net = _load(str(path), min_score)

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find faces, the largest box first.

        Args:
            image: uint8 (H, W, 3) RGB.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
        height, width = image.shape[:2]
        scale = min(1.0, MAX_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if scale < 1.0:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        self._net.setInputSize(size)
        _, found = self._net.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if found is None:
            return []
        # The two directions are rounded to whole pixels, each in its own way.
        unscale = np.array([width / size[0], height / size[1]])
        faces = [_face(row.astype(np.float64), unscale) for row in found]
        return sorted(faces, key=lambda face: (-face.area, face.box))


def _turned_back(points: np.ndarray, quarters: int, width: int, height: int) -> np.ndarray:
    """(n, 2) points of an image that was turned counter-clockwise, in pixels before the turn."""
    x, y = points.T
    backward = {
        0: (x, y),
        1: (width - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, height - 1 - x),
    }
    return np.stack(backward[quarters % 4], axis=1)


def _load(path: str, min_score: float) -> Any:
    # OpenCV 5 warns at every load that its new engine ignores a setting nobody made.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        # 0.3 is the overlap at which two boxes count as one face, 5000 the most candidates: the
        # values of OpenCV's own example.
        return cv2.FaceDetectorYN.create(path, "", (320, 320), min_score, 0.3, 5000)
    except cv2.error as error:
        raise DataError(f"{path}: not a YuNet face detector ({error.err})") from None
    finally:
        cv2.utils.logging.setLogLevel(level)


def _face(row: np.ndarray, unscale: np.ndarray) -> Face:
    x, y, w, h = (row[:4].reshape(2, 2) * unscale).ravel().tolist()
    # YuNet names the sides from the person's view, so its first eye is the left one in the image.
    return Face((x, y, w, h), float(row[14]), row[4:14].reshape(5, 2) * unscale)
