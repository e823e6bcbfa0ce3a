"""Five-point alignment of faces to the ArcFace template."""

from __future__ import annotations

import cv2
import numpy as np

from evenface.data.store import IMAGE_SIZE

ARCFACE_TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ],
    dtype=np.float64,
)
"""Where the five landmarks lie in an aligned 112×112 image, (x, y) in pixels: the eye that is left
in the image, the other eye, nose tip, mouth corner left in the image, other mouth corner. Published
with ArcFace (Deng et al., CVPR 2019) and used by every recogniser of that family."""
ARCFACE_TEMPLATE.setflags(write=False)


def similarity_transform(source: np.ndarray, target: np.ndarray = ARCFACE_TEMPLATE) -> np.ndarray:
    """The similarity (rotation, uniform scale, shift; no reflection) closest to source → target.

    With points as complex numbers it is w = a·z + b, so the least-squares solution is ordinary
    complex regression. In the plane this equals Umeyama's estimate (PAMI 1991, eq. 40–43).

    Args:
        source: (n, 2) points, n ≥ 2, (x, y) in pixels.
        target: (n, 2) where they should go.

    Returns:
        float64 (2, 3) matrix for ``cv2.warpAffine``.

    Raises:
        ValueError: wrong shapes, values that are not finite, or all source points in one place.
    """
    source = np.asarray(source, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(f"expected two (n, 2) arrays, got {source.shape} and {target.shape}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("landmarks must be finite")
    z = source[:, 0] + 1j * source[:, 1]
    w = target[:, 0] + 1j * target[:, 1]
    centred = z - z.mean()
    spread = float(np.vdot(centred, centred).real)
    if spread == 0.0:
        raise ValueError("all landmarks are the same point")
    a = np.vdot(centred, w - w.mean()) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Warp a face onto the ArcFace template.

    Bilinear interpolation and black outside the image, as in insightface's ``norm_crop``, so that
    what other programs aligned and what this one aligns look the same to a recogniser.

    Args:
        image: uint8 (H, W, 3).
        landmarks: (5, 2) in pixels of ``image``, in the order of :data:`ARCFACE_TEMPLATE`.

    Returns:
        uint8 (112, 112, 3), colour order unchanged.

    Raises:
        ValueError: wrong shapes or degenerate landmarks.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    matrix = similarity_transform(landmarks)
    warped = cv2.warpAffine(image, matrix, (IMAGE_SIZE, IMAGE_SIZE), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.uint8)
