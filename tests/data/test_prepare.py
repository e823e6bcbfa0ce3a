"""From bytes to aligned faces, with a detector that finds what it is told to."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
import pytest
from PIL import Image

from evenface.data.align import ARCFACE_TEMPLATE
from evenface.data.detect import Face, FaceDetector
from evenface.data.prepare import Align, Preparer

SQUARE = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
LARGE = np.random.default_rng(1).integers(0, 256, (300, 240, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def face(left: float, width: float, score: float = 0.9) -> Face:
    return Face((left, 0.0, width, width * 1.2), score, np.add(ARCFACE_TEMPLATE, (left, 0.0)))


class Told:
    """A detector that finds given faces."""

    def __init__(self, *faces: Face) -> None:
        self.faces = sorted(faces, key=lambda face: -face.area)
        self.made = 0

    def __call__(self) -> FaceDetector:
        self.made += 1
        return cast(FaceDetector, self)

    def detect(self, image: np.ndarray) -> list[Face]:
        return self.faces


def test_auto_takes_aligned_images_as_they_are() -> None:
    detector = Told(face(0, 80))
    prepared = Preparer("auto", detector)(png(SQUARE))
    np.testing.assert_array_equal(prepared.images, [SQUARE])
    assert prepared.notes == [""]
    assert not detector.made


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_other_images_are_aligned(mode: Align) -> None:
    prepared = Preparer(mode, Told(face(100, 80)))(png(LARGE))
    # The landmarks are the template's, shifted by 100 pixels.
    np.testing.assert_array_equal(prepared.images, [LARGE[:112, 100:212]])


def test_always_detects_in_aligned_images_too() -> None:
    detector = Told(face(0, 80))
    assert Preparer("always", detector)(png(SQUARE)).problem == ""
    assert detector.made == 1


def test_the_detector_is_made_once() -> None:
    detector = Told(face(0, 80))
    preparer = Preparer("auto", detector)
    preparer(png(LARGE))
    preparer(png(LARGE))
    assert detector.made == 1


def test_never_resizes_the_whole_image() -> None:
    detector = Told()
    flat = np.full((300, 200, 3), (9, 99, 199), dtype=np.uint8)
    prepared = Preparer("never", detector)(png(flat))
    assert prepared.notes == ["resized"]
    np.testing.assert_array_equal(prepared.images[0], np.full((112, 112, 3), (9, 99, 199)))
    tiny = Preparer("never", detector)(png(flat[:50, :60]))
    assert tiny.images[0].shape == (112, 112, 3)
    assert Preparer("never", detector)(png(SQUARE)).notes == [""]
    assert not detector.made


def test_the_largest_of_many_faces() -> None:
    prepared = Preparer("auto", Told(face(10, 60), face(100, 90)))(png(LARGE))
    np.testing.assert_array_equal(prepared.images, [LARGE[:112, 100:212]])
    assert prepared.notes == ["many faces"]


def test_every_face_that_is_sure() -> None:
    detector = Told(face(10, 60), face(100, 90), face(50, 80, score=0.79))
    prepared = Preparer("auto", detector)(png(LARGE), every_face=True)
    np.testing.assert_array_equal(prepared.images, [LARGE[:112, 100:212], LARGE[:112, 10:122]])
    assert prepared.notes == ["", ""]


def test_small_faces_are_marked() -> None:
    assert Preparer("auto", Told(face(10, 39)))(png(LARGE)).notes == ["small face"]
    both = Preparer("auto", Told(face(10, 30), face(100, 39)))(png(LARGE))
    assert both.notes == ["many faces; small face"]


def test_problems() -> None:
    preparer = Preparer("auto", Told())
    assert preparer(png(LARGE)).problem == "no face found"
    assert preparer(b"").problem == "the file is empty"
    assert preparer(b"").images == []
