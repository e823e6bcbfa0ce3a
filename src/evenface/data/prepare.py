"""From one image file to aligned faces: decode, detect, align, and say what was noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from evenface.data.align import align, similarity_transform
from evenface.data.decode import ImageError, decode
from evenface.data.detect import Face, FaceDetector
from evenface.data.store import IMAGE_SHAPE, IMAGE_SIZE

Align = Literal["auto", "always", "never"]

SMALL_FACE = 40
"""A face whose box is narrower than this many pixels is marked: it is enlarged about twice."""
ENLARGED = 2.0
"""A face with given landmarks is marked as small when it is enlarged by more than this."""
SURE = 0.8
"""Score from which one face of many is taken; the backs of heads on sheets reach 0.79."""
MANY_FACES = "many faces"
SMALL = "small face"
RESIZED = "resized"
NO_FACE = "no face found"
OUTSIDE = "the landmarks lie outside the image"
NOTES = (MANY_FACES, SMALL, RESIZED)


@dataclass(frozen=True)
class Prepared:
    """What became of one image file: either images, or a problem."""

    images: list[np.ndarray]
    """Each uint8 (112, 112, 3) RGB."""
    notes: list[str]
    """For each image, what was noticed (joined by "; "), or ""."""
    problem: str = ""
    size: tuple[int, int] = (0, 0)
    """Width and height of the image file in pixels; zeros where it could not be decoded."""


class Preparer:
    """Turns the bytes of image files into aligned faces. Safe to call from several threads.

    Args:
        align: ``auto`` takes 112×112 images as aligned and detects faces in all others;
            ``always`` detects in every image; ``never`` resizes the whole image.
        new_detector: makes a detector; called once in each thread, and only when one is needed.
        every_face: take all faces of an image (of a sheet that shows one person many times)
            rather than the largest.
    """

    def __init__(self, align: Align, new_detector: Callable[[], FaceDetector]) -> None:
        self._align = align
        self._new_detector = new_detector
        self._of_thread = threading.local()

    def __call__(
        self,
        data: bytes | np.ndarray,
        *,
        every_face: bool = False,
        landmarks: np.ndarray | None = None,
    ) -> Prepared:
        """Prepare one file. Damaged files and images without a face become a ``problem``.

        Args:
            data: content of the file; or its pixels, uint8 (H, W, 3) RGB.
            every_face: take all faces rather than the largest.
            landmarks: (5, 2) where the face is; None: find it.

        Raises what ``new_detector`` raises.
        """
        try:
            image = data if isinstance(data, np.ndarray) else decode(data)
        except ImageError as error:
            return Prepared([], [], str(error))
        prepared = self._faces(image, every_face, landmarks)
        return replace(prepared, size=(image.shape[1], image.shape[0]))

    def _faces(self, image: np.ndarray, every_face: bool, landmarks: np.ndarray | None) -> Prepared:
        as_it_is = image.shape == IMAGE_SHAPE and self._align == "auto"
        if as_it_is or self._align == "never":
            return _whole(image)
        if landmarks is not None:
            return _by_landmarks(image, landmarks)
        faces = self._detector().detect(image)
        taken = [f for f in faces if f.score >= SURE] if every_face else faces[:1]
        if not taken:
            return Prepared([], [], NO_FACE)
        crowded = len(faces) > 1 and not every_face
        return Prepared(
            [align(image, face.landmarks) for face in taken],
            [_notes(face, crowded) for face in taken],
        )

    def _detector(self) -> FaceDetector:
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = self._new_detector()
        return self._of_thread.detector


def _whole(image: np.ndarray) -> Prepared:
    if image.shape == IMAGE_SHAPE:
        return Prepared([image], [""])
    shrinks = min(image.shape[:2]) >= IMAGE_SIZE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=how)
    return Prepared([np.asarray(resized, dtype=np.uint8)], [RESIZED])


def _by_landmarks(image: np.ndarray, landmarks: np.ndarray) -> Prepared:
    x, y = landmarks.mean(axis=0)
    if not (0 <= x < image.shape[1] and 0 <= y < image.shape[0]):
        return Prepared([], [], OUTSIDE)
    matrix = similarity_transform(landmarks)
    small = np.linalg.det(matrix[:, :2]) > ENLARGED**2
    return Prepared([align(image, landmarks)], [SMALL if small else ""])


def _notes(face: Face, crowded: bool) -> str:
    notes = [MANY_FACES] if crowded else []
    if min(face.box[2:]) < SMALL_FACE:
        notes.append(SMALL)
    return "; ".join(notes)
