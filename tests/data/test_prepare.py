"""From bytes to aligned faces, with a detector that finds what it is told to."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evenface.data.align import ARCFACE_TEMPLATE, align
from evenface.data.detect import Face, FaceDetector
from evenface.data.prepare import Align, Preparer, central_face

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


def test_the_central_of_many_faces() -> None:
    # The image is 240 wide: the small face is near its centre, the large one at its border.
    detector = Told(face(150, 90), face(90, 70))
    central = Preparer("auto", detector, face="central")(png(LARGE))
    np.testing.assert_array_equal(central.images, [LARGE[:112, 90:202]])
    assert central.notes == ["many faces; central face is not the largest"]
    largest = Preparer("auto", detector)(png(LARGE))
    assert largest.notes == central.notes  # counted under either rule
    assert not np.array_equal(largest.images, central.images)


boxes = st.tuples(*[st.integers(-50, 300)] * 2, *[st.integers(1, 300)] * 2)


@given(st.lists(boxes, min_size=1, max_size=6), st.integers(1, 400), st.integers(1, 400))
def test_the_central_face_is_that_of_the_published_rule(
    found: list[tuple[int, ...]], width: int, height: int
) -> None:
    # As insightface's alignment scripts compute it on rows x1, y1, x2, y2.
    det = np.array([(x, y, x + w, y + h) for x, y, w, h in found], dtype=float)
    size = (det[:, 2] - det[:, 0]) * (det[:, 3] - det[:, 1])
    offsets = np.vstack(
        [(det[:, 0] + det[:, 2]) / 2 - width / 2, (det[:, 1] + det[:, 3]) / 2 - height / 2]
    )
    wanted = int(np.argmax(size - np.sum(np.power(offsets, 2.0), 0) * 2.0))
    faces = [Face(cast("tuple[float, float, float, float]", box), 0.9, LARGE) for box in found]
    assert central_face(faces, width, height) is faces[wanted]


class Standing:
    """A detector that finds the face where the image, turned, has its corner pixel on the left."""

    def __init__(self, image: np.ndarray, scores: dict[int, float]) -> None:
        self.seen = [np.rot90(image, quarters) for quarters in range(4)]
        self.scores = scores

    def __call__(self) -> FaceDetector:
        return cast(FaceDetector, self)

    def detect(self, image: np.ndarray) -> list[Face]:
        quarters = next(k for k, seen in enumerate(self.seen) if np.array_equal(seen, image))
        return [face(50, 80, self.scores[quarters])] if quarters in self.scores else []


@pytest.mark.parametrize("upright", [1, 2, 3])
@pytest.mark.parametrize("as_it_is", [{}, {0: 0.85}])
def test_a_face_on_its_side_is_turned_upright(upright: int, as_it_is: dict[int, float]) -> None:
    detector = Standing(LARGE, as_it_is | {upright: 0.93})
    prepared = Preparer("auto", detector)(png(LARGE))
    assert prepared.notes == ["turned"]
    wanted = align(np.ascontiguousarray(np.rot90(LARGE, upright)), face(50, 80).landmarks)
    # Warped from the image as it is: the same pixels but for rounding of the interpolation.
    assert np.abs(prepared.images[0].astype(int) - wanted).max() <= 1
    assert prepared.size == (240, 300)


@pytest.mark.parametrize(
    "scores",
    [
        {0: 0.95, 1: 0.99},  # sure as it is: no turn is tried
        {0: 0.85, 1: 0.85, 2: 0.7},  # no better when turned
    ],
)
def test_a_face_that_stands_upright_stays(scores: dict[int, float]) -> None:
    prepared = Preparer("auto", Standing(LARGE, scores))(png(LARGE))
    assert prepared.notes == [""]
    np.testing.assert_array_equal(prepared.images, [LARGE[:112, 50:162]])


def test_a_weak_find_in_a_turned_image_is_no_face() -> None:
    prepared = Preparer("auto", Standing(LARGE, {1: 0.79}))(png(LARGE))
    assert prepared.problem == "no face found"


@given(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.data())
def test_landmarks_are_turned_back_to_their_pixels(
    quarters: int, width: int, height: int, data: st.DataObject
) -> None:
    image = np.arange(width * height).reshape(height, width)
    turned = np.rot90(image, quarters)
    x = data.draw(st.integers(0, turned.shape[1] - 1))
    y = data.draw(st.integers(0, turned.shape[0] - 1))
    found = Face((x, y, 1.0, 2.0), 0.9, np.full((5, 2), (x, y)))
    back = found.turned(quarters, width, height)
    assert {image[int(v), int(u)] for u, v in back.landmarks} == {turned[y, x]}
    assert sorted(back.box[2:]) == [1.0, 2.0]


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
