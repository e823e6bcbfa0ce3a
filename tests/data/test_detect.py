"""Detection, on faces that a generator made."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from evenface.data.align import align
from evenface.data.decode import decode
from evenface.data.detect import YUNET, FaceDetector
from evenface.errors import DataError
from evenface.files import sha256_file

PORTRAIT = "openpeople/data/curated/P001/assets/studio_portrait.jpg"
SHEET = "openpeople/data/curated/P001/assets/emotions_sheet.jpg"


def test_it_comes_with_the_package_and_its_licence() -> None:
    assert sha256_file(YUNET) == "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    licence = YUNET.with_name("LICENSE").read_text("utf-8")
    assert licence.startswith("MIT License")
    assert "Shiqi Yu" in licence


@pytest.fixture
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.mark.assets
def test_landmarks_are_in_the_order_of_the_template(
    detector: FaceDetector, openpeople_wheel: Path
) -> None:
    with zipfile.ZipFile(openpeople_wheel) as wheel:
        image = decode(wheel.read(PORTRAIT))
    (face,) = detector.detect(image)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    x, y, width, height = face.box
    assert ((face.landmarks > (x, y)) & (face.landmarks < (x + width, y + height))).all()
    assert 0.6 <= face.score <= 1.0
    assert face.area == width * height


@pytest.mark.assets
def test_an_aligned_face_has_its_landmarks_on_the_template(
    detector: FaceDetector, openpeople_wheel: Path
) -> None:
    from evenface.data.align import ARCFACE_TEMPLATE

    with zipfile.ZipFile(openpeople_wheel) as wheel:
        image = decode(wheel.read(PORTRAIT))
    aligned = align(image, detector.detect(image)[0].landmarks)
    (again,) = detector.detect(aligned)
    assert np.abs(again.landmarks - ARCFACE_TEMPLATE).max() < 5


@pytest.mark.assets
def test_the_largest_face_comes_first(detector: FaceDetector, openpeople_wheel: Path) -> None:
    with zipfile.ZipFile(openpeople_wheel) as wheel:
        faces = detector.detect(decode(wheel.read(SHEET)))
    areas = [face.area for face in faces]
    assert len(faces) == 16
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("shape", [(112, 112), (1, 1), (3, 2000)])
def test_no_face(detector: FaceDetector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detector.detect(noise) == []


def test_wrong_image(detector: FaceDetector) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        detector.detect(np.zeros((9, 9)))


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_wrong_model(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"model\.onnx: not a YuNet"):
        FaceDetector(path)
