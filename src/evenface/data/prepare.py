"""From one image file to aligned faces: decode, detect, align, and say what was noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np

from evenface.data.align import align, similarity_transform
from evenface.data.decode import ImageError, decode
from evenface.data.detect import Face, FaceDetector
from evenface.data.store import IMAGE_SHAPE, IMAGE_SIZE

Align = Literal["auto", "always", "never"]
FaceRule = Literal["largest", "central"]
"""Which of several faces is taken: the one with the largest box, or the central one
(:func:`central_face`)."""

SMALL_FACE = 40
"""A face whose box is narrower than this many pixels is marked: it is enlarged about twice."""
ENLARGED = 2.0
"""A face with given landmarks is marked as small when it is enlarged by more than this."""
SURE = 0.8
"""Score from which one face of many is taken; the backs of heads on sheets reach 0.79."""
UPRIGHT = 0.91
"""Score from which a face counts as upright without trying quarter turns. Of upright photographs of
ORL's people 5 % score lower; of photographs of openpeople's, no sideways one reaches it."""
MANY_FACES = "many faces"
NOT_LARGEST = "central face is not the largest"
TURNED = "turned"
SMALL = "small face"
RESIZED = "resized"
NO_FACE = "no face found"
OUTSIDE = "the landmarks are outside the image"
NOTES = (MANY_FACES, NOT_LARGEST, TURNED, SMALL, RESIZED)


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
    seconds: float = field(default=0.0, compare=False)
    """In which the face was found; 0 where no detector looked for one."""


class Preparer:
    """Turns the bytes of image files into aligned faces. Safe to call from several threads.

    Args:
        align: ``auto`` takes 112×112 images as aligned and detects faces in all others;
            ``always`` detects in every image; ``never`` resizes the whole image.
        new_detector: makes a detector; called once in each thread, and only when one is needed.
        face: which of several faces is taken.
    """

    def __init__(
        self,
        align: Align,
        new_detector: Callable[[], FaceDetector],
        *,
        face: FaceRule = "largest",
    ) -> None:
        self._align = align
        self._face = face
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
            every_face: take all faces rather than one (of a sheet that shows one person often).
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
        if every_face:
            sure = [face for face in self._detector().detect(image) if face.score >= SURE]
            return _aligned(image, [(face, _notes(face)) for face in sure])
        self._detector()  # made before the clock starts
        begun = time.perf_counter()
        faces, turned = self._find(image)
        seconds = time.perf_counter() - begun
        if not faces:
            return replace(_aligned(image, []), seconds=seconds)
        largest, central = faces[0], central_face(faces, image.shape[1], image.shape[0])
        taken = central if self._face == "central" else largest
        notes = [MANY_FACES] if len(faces) > 1 else []
        notes += [NOT_LARGEST] if central is not largest else []
        notes += [TURNED] if turned else []
        return replace(_aligned(image, [(taken, _notes(taken, notes))]), seconds=seconds)

    def _find(self, image: np.ndarray) -> tuple[list[Face], bool]:
        """Faces of an image, the largest first, and whether they do not stand upright in it.

        Quarter turns are tried where no face is surely upright; the surest face decides.
        """
        height, width = image.shape[:2]
        best, turned = self._detector().detect(image), False
        if _surest(best) >= UPRIGHT:
            return best, False
        for quarters in (1, 2, 3):
            faces = self._detector().detect(np.ascontiguousarray(np.rot90(image, quarters)))
            if _surest(faces) > max(_surest(best), SURE):
                best, turned = [face.turned(quarters, width, height) for face in faces], True
        return best, turned

    def _detector(self) -> FaceDetector:
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = self._new_detector()
        return self._of_thread.detector


def central_face(faces: Sequence[Face], width: int, height: int) -> Face:
    """The face of the largest box area − 2 · squared distance of its centre from the image's.

    Published sets of loose crops centre the person meant. This is the choice of insightface's
    scripts, in square pixels; at equal values the first is taken.

    Args:
        faces: at least one, in pixels of the image.
        width, height: of the image, in pixels.
    """

    def value(face: Face) -> float:
        x, y, w, h = face.box
        return face.area - 2 * ((x + w / 2 - width / 2) ** 2 + (y + h / 2 - height / 2) ** 2)

    return max(faces, key=value)


def _surest(faces: Sequence[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def _aligned(image: np.ndarray, taken: Sequence[tuple[Face, str]]) -> Prepared:
    if not taken:
        return Prepared([], [], NO_FACE)
    return Prepared(
        [align(image, face.landmarks) for face, _ in taken], [note for _, note in taken]
    )


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


def _notes(face: Face, notes: Sequence[str] = ()) -> str:
    return "; ".join([*notes, *([SMALL] if min(face.box[2:]) < SMALL_FACE else [])])
