"""A recogniser in use: photographs of every kind in, decisions and clear errors out."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

import evenface
from evenface.errors import DataError, UsageError
from evenface.recogniser import Recogniser, default_model
from evenface.teachers import load_teacher
from toy_onnx import write_recogniser

PORTRAIT = "openpeople/data/curated/P001/assets/studio_portrait.jpg"
SHEET = "openpeople/data/curated/P001/assets/emotions_sheet.jpg"


def encoded(pixels: np.ndarray, suffix: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, suffix, **options)
    return stream.getvalue()


def pattern(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return coarse.repeat(28, axis=0).repeat(28, axis=1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_recogniser(tmp_path_factory.mktemp("toy") / "toy.onnx")


@pytest.fixture(scope="module")
def recogniser(toy) -> Recogniser:
    return Recogniser.load(toy.path, threshold=0.5)


def test_it_is_what_the_package_offers_at_its_top(toy):
    assert evenface.Recogniser is Recogniser
    with pytest.raises(AttributeError, match="no attribute 'Recognizer'"):
        _ = evenface.Recognizer


def test_embeddings_have_length_one_and_are_the_model_s(recogniser, toy):
    faces = np.stack([pattern(seed) for seed in range(3)])
    found = recogniser.embed(faces)
    expected = toy.expected((faces.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32
    assert recogniser.embed(faces[:0]).shape == (0, 6)


def test_the_score_is_the_cosine_and_the_threshold_decides(recogniser):
    a, b = encoded(pattern(0)), encoded(pattern(1))
    same = recogniser.verify(a, a)
    assert same.score == pytest.approx(1.0)
    assert same.match is True
    vectors = recogniser.embed(np.stack([pattern(0), pattern(1)]))
    other = recogniser.verify(a, b)
    assert other.score == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)
    assert other.match is (other.score >= 0.5)


def test_the_mirror_image_is_added_where_the_thresholds_were_measured_so(toy):
    model = load_teacher(toy.path)
    faces = np.stack([pattern(seed) for seed in range(3)])
    both = Recogniser(model, views=("original", "flip"))
    inputs = (faces.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
    expected = toy.expected(inputs) + toy.expected(inputs[..., ::-1])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(both.embed(faces), expected, atol=1e-5)
    np.testing.assert_allclose(both.embed(faces), both.embed(faces[:, :, ::-1]), atol=1e-6)
    assert both.embed(faces[:0]).shape == (0, 6)


@pytest.mark.assets
def test_sface_embeds_image_plus_mirror_image(sface_path):
    recogniser = Recogniser.load("sface")
    faces = np.stack([pattern(seed) for seed in range(2)])
    total = recogniser.model.embed(faces) + recogniser.model.embed(faces[:, :, ::-1].copy())
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(recogniser.embed(faces), expected, atol=1e-6)
    assert recogniser.threshold == 0.361
    assert Recogniser.load(sface_path, fmr=1e-4).threshold == 0.418


@pytest.mark.assets
def test_the_default_is_sface_where_it_was_fetched(sface_path, monkeypatch, tmp_path):
    assert default_model() == "sface"
    assert Recogniser.load().about.better == ""
    assert Recogniser.load("small").about.better == "--model sface"
    cached = tmp_path / "assets" / "sface" / sface_path.name
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(tmp_path))
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half of it")
    assert default_model() == "small"


def test_the_default_is_small_where_nothing_was_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(tmp_path))
    about = Recogniser.load().about
    assert about.name == "small"
    assert list(tmp_path.iterdir()) == []
    line = str(about)
    assert line.startswith("model: small (evenface, distilled on renders). On photographs: 1 in ")
    assert (
        "45 % of genuine pairs rejected, at a threshold set on them (LFW, our measurement)" in line
    )
    assert line.endswith("More accurate: evenface assets get sface")


def test_what_was_not_measured_is_said(toy):
    assert str(Recogniser.load("small-int8").about).startswith(
        "model: small-int8 (evenface, distilled on renders, int8). Error on photographs: not "
    )
    assert str(Recogniser.load(toy.path).about) == (
        "model: toy. Error on photographs: not measured."
    )


def test_without_a_threshold_there_is_no_decision(toy):
    found = Recogniser.load(toy.path).verify(encoded(pattern(0)), encoded(pattern(1)))
    assert (found.threshold, found.match) == (None, None)
    with pytest.raises(UsageError, match="between −1 and 1"):
        Recogniser.load(toy.path, threshold=1.5)


@pytest.mark.parametrize(
    "content",
    [
        encoded(pattern(0)),
        encoded(pattern(0), "JPEG", quality=100, subsampling=0),
        encoded(np.dstack([pattern(0), np.full((112, 112), 255, np.uint8)])),
    ],
    ids=["png", "jpeg", "alpha"],
)
def test_one_picture_in_several_formats_is_one_face(recogniser, content):
    assert recogniser.verify(content, encoded(pattern(0))).score > 0.99


def test_cmyk_and_sixteen_bits_are_read(recogniser):
    stream = io.BytesIO()
    Image.fromarray(pattern(0)).convert("CMYK").save(stream, "TIFF")
    assert recogniser.face(stream.getvalue()).pixels.shape == (112, 112, 3)
    wide = encoded((pattern(0)[:, :, 0].astype(np.uint16)) * 257)
    np.testing.assert_array_equal(recogniser.face(wide).pixels[:, :, 1], pattern(0)[:, :, 0])


def test_exif_rotation_is_applied(recogniser):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = encoded(pattern(0)[::-1, ::-1], "JPEG", quality=100, subsampling=0, exif=exif)
    assert recogniser.verify(turned, encoded(pattern(0))).score > 0.99


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "image: the file is empty"),
        (b"GIF89a nonsense", "image: "),
        (encoded(pattern(0), "JPEG")[:400], "image: unreadable image"),
    ],
)
def test_what_is_no_picture_is_said(recogniser, content, expected):
    with pytest.raises(DataError, match=expected):
        recogniser.face(content)


def test_huge_pictures_are_refused_before_they_are_decoded(recogniser):
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    with pytest.raises(DataError, match="too large"):
        recogniser.face(stream.getvalue())


def test_a_missing_file_is_named(recogniser, tmp_path):
    with pytest.raises(DataError, match=r"nobody\.jpg: no such file"):
        recogniser.face(tmp_path / "nobody.jpg")


@pytest.mark.assets
def test_a_face_is_found_and_several_or_none_are_said(toy, openpeople_wheel):
    recogniser = Recogniser.load(toy.path)
    with zipfile.ZipFile(openpeople_wheel) as wheel:
        portrait, sheet = wheel.read(PORTRAIT), wheel.read(SHEET)
    one = recogniser.face(portrait)
    assert one.pixels.shape == (112, 112, 3)
    assert one.remarks == ()
    assert recogniser.face(sheet).remarks == ("several faces; the largest is taken",)
    small = Image.open(io.BytesIO(portrait)).resize((96, 96))
    tiny = recogniser.face(encoded(np.asarray(small)))
    assert any("tiny" in remark for remark in tiny.remarks)
    with pytest.raises(DataError, match="no face found"):
        recogniser.face(encoded(np.zeros((200, 200, 3), np.uint8)))


@pytest.mark.assets
def test_threads_share_a_recogniser(toy, openpeople_wheel):
    from concurrent.futures import ThreadPoolExecutor

    recogniser = Recogniser.load(toy.path)
    with zipfile.ZipFile(openpeople_wheel) as wheel:
        portrait = wheel.read(PORTRAIT)
    with ThreadPoolExecutor(4) as pool:
        faces = list(pool.map(recogniser.face, [portrait] * 8))
    assert all(np.array_equal(face.pixels, faces[0].pixels) for face in faces)


def test_photographs_of_every_kind_give_the_same_embedding(recogniser, tmp_path):
    pixels = pattern(3)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(pixels))
    wanted = recogniser.embed(pixels[None])[0]
    for one in (path, str(path), path.read_bytes(), pixels, Image.fromarray(pixels)):
        np.testing.assert_array_equal(recogniser.embed(one), wanted)
        assert recogniser.verify(one, pixels).score == pytest.approx(1.0)
    found = recogniser.embed([path, Image.fromarray(pattern(4))])
    np.testing.assert_array_equal(found, recogniser.embed(np.stack([pixels, pattern(4)])))
    assert recogniser.embed(iter([])).shape == (0, 6)
    np.testing.assert_array_equal(evenface.embed([path], recogniser)[0], wanted)
    assert evenface.verify(path, pixels, recogniser).match is True


@pytest.mark.parametrize(
    ("photograph", "message"),
    [
        (np.zeros((112, 112, 3)), "expected uint8 pixels .*got float64"),
        (np.zeros((112, 112, 4), np.uint8), r"got uint8 of shape \(112, 112, 4\)"),
        (Image.new("F", (112, 112)), "image: "),
        (7, "expected a path, bytes, an array or a Pillow image, got a int"),
    ],
)
def test_pixels_of_another_kind_are_refused(recogniser, photograph, message):
    with pytest.raises(DataError, match=message):
        recogniser.verify(photograph, pattern(0))


def test_a_hub_folder_is_a_model(toy, tmp_path):
    (tmp_path / "config.json").write_text('{"library": "evenface"}', encoding="utf-8")
    with pytest.raises(DataError, match="holds no ONNX file"):
        evenface.load_model(tmp_path)
    (tmp_path / "student-int8.onnx").write_bytes(b"not taken")
    (tmp_path / "student-fp32.onnx").write_bytes(toy.path.read_bytes())
    wanted = evenface.load_model(toy.path).embed(pattern(0)[None])
    np.testing.assert_array_equal(evenface.load_model(tmp_path).embed(pattern(0)[None]), wanted)


def test_a_function_is_a_model():
    def mean(images):
        return images.mean(axis=(1, 2)) - 127

    model = evenface.load_model(mean, threshold=0.9)
    assert model.embed(pattern(0)).shape == (3,)
    assert model.verify(pattern(0), pattern(0)).match is True
