"""Compression: real JPEG by OpenCV, on the CPU, before the images travel to the device."""

from __future__ import annotations

import cv2
import numpy as np

from evenface.train.augment.registry import Option, augmentation


@augmentation(
    "jpeg",
    place=20,
    draws=1,
    on_cpu=True,
    lowest=Option(30, 1, 100),
    highest=Option(95, 1, 100),
)
def jpeg(images: np.ndarray, draws: np.ndarray, *, lowest: float, highest: float) -> np.ndarray:
    """Compress and decode again at a quality drawn from [lowest, highest].

    Args:
        images: uint8 (b, H, W, 3), RGB.
        draws: (b, 1).
        lowest, highest: libjpeg's quality.
    """
    qualities = np.rint(lowest + (highest - lowest) * draws[:, 0]).astype(int)
    return np.stack(
        [_compressed(image, int(quality)) for image, quality in zip(images, qualities, strict=True)]
    )


def _compressed(image: np.ndarray, quality: int) -> np.ndarray:
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded a moment ago
    return decoded[:, :, ::-1]
