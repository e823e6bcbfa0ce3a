"""Decoding: every pixel type becomes RGB, and damaged files become reasons."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evenface.data import decode as decoding
from evenface.data.decode import ImageError, decode

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats(kind: str) -> None:
    np.testing.assert_array_equal(decode(encode(Image.fromarray(RGB), kind)), RGB)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats(kind: str) -> None:
    flat = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    decoded = decode(encode(Image.fromarray(flat), kind))
    assert np.abs(decoded.astype(int) - flat).max() <= 12


def test_grey_and_black_and_white() -> None:
    grey = RGB[:, :, 0]
    decoded = decode(encode(Image.fromarray(grey)))
    np.testing.assert_array_equal(decoded, np.stack([grey] * 3, axis=2))
    bits = Image.fromarray(grey > 128)
    assert set(np.unique(decode(encode(bits)))) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    wide = np.array([[0, 257, 257 * 128, 65535]], dtype=np.uint16)
    decoded = decode(encode(Image.fromarray(wide), kind))
    assert decoded[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparency_is_laid_over_black() -> None:
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0] = [(200, 100, 50, 255), (200, 100, 50, 0), (200, 100, 50, 128)]
    decoded = decode(encode(Image.fromarray(rgba)))
    assert decoded[0, 0].tolist() == [200, 100, 50]
    assert decoded[0, 1].tolist() == [0, 0, 0]
    np.testing.assert_allclose(decoded[0, 2], [100, 50, 25], atol=1)


def test_transparent_palette() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    decoded = decode(encode(image, transparency=0))
    assert decoded[0].tolist() == [[0, 0, 0], [200, 100, 50]]


def test_cmyk() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red = decode(encode(image, "JPEG", quality=95)).reshape(-1, 3).mean(0)
    np.testing.assert_allclose(red, [255, 0, 0], atol=12)


def test_exif_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to see it upright
    decoded = decode(encode(Image.fromarray(RGB), "PNG", exif=exif))
    np.testing.assert_array_equal(decoded, np.rot90(RGB, k=-1))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("side", [1, 9, 33, 112])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_simplejpeg_gives_pillows_pixels(
    mode: str, side: int, subsampling: int, options: dict
) -> None:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side + 3, 3), dtype=np.uint8)
    data = encode(Image.fromarray(pixels).convert(mode), "JPEG", subsampling=subsampling, **options)
    np.testing.assert_array_equal(decoding._jpeg(data), decoding._with_pillow(data))


def turned() -> dict[str, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


@pytest.mark.parametrize(
    ("mode", "options"), [("RGB", {}), ("L", {}), ("RGB", turned()), ("CMYK", {})]
)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_all_image_data_is_refused(
    mode: str, options: dict, progressive: bool
) -> None:
    """Pillow decodes it without a remark."""
    picture = Image.fromarray(np.repeat(np.repeat(RGB, 8, 0), 8, 1)).convert(mode)
    whole = encode(picture, "JPEG", progressive=progressive, **options)
    assert decode(whole).shape[2] == 3
    scan = whole.index(b"\xff\xda") + 20
    end = whole.find(b"\xff\xc4", scan) if progressive else len(whole) - 2
    for kept in (0.1, 0.8):
        damaged = whole[: scan + int(kept * (end - scan))] + b"\xff\xd9"
        assert decoding._with_pillow(damaged).ndim == 3
        with pytest.raises(ImageError, match="unreadable image: Corrupt JPEG data: premature end"):
            decode(damaged)
    with pytest.raises(ImageError, match="unreadable"):
        decode(whole[:-40])


def test_what_cameras_leave_behind_the_image_data_is_no_damage() -> None:
    whole = encode(Image.fromarray(np.repeat(np.repeat(RGB, 8, 0), 8, 1)), "JPEG")
    padded = whole[:-2] + bytes(100) + whole[-2:]
    np.testing.assert_array_equal(decode(padded), decode(whole))
    np.testing.assert_array_equal(decode(whole + b"trailing"), decode(whole))


def test_sixteen_bits_may_come_as_thirty_two() -> None:
    wide = b"P5 4 1 65535\n" + np.array([0, 257, 257 * 128, 65535], ">u2").tobytes()
    assert decode(wide)[0, :, 0].tolist() == [0, 1, 128, 255]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [10_000, 14_000, 60_000])
def test_decompression_bombs_are_refused_by_their_header(side: int) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="too large"):
        decode(bomb)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
        (encode(Image.fromarray(RGB), "JPEG")[:-40], "unreadable"),
        (encode(Image.fromarray(RGB))[:60], "unreadable"),
        (encode(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "no defined range"),
        (encode(Image.fromarray(np.full((2, 2), 70_000, np.int32)), "TIFF"), "no defined range"),
        (encode(Image.fromarray(np.full((2, 2), 200, np.int32)), "TIFF"), "no defined range"),
    ],
)
def test_reasons(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode(data)


@given(st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"]), st.data())
def test_damage_never_surprises(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encode(Image.fromarray(RGB), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except ImageError:
        return
    assert decoded.dtype == np.uint8
    assert decoded.ndim == 3


def test_avif() -> None:
    from PIL import features

    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    pixels = np.full((40, 30, 3), (200, 100, 50), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", quality=100)
    found = decode(buffer.getvalue())
    assert found.shape == (40, 30, 3)
    assert np.abs(found.astype(int) - pixels).max() < 4


def test_heic_without_a_plug_in_says_what_to_do() -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    if "HEIF" in Image.OPEN:
        pytest.skip("a plug-in reads HEIC")
    with pytest.raises(ImageError, match="HEIC, which this Pillow does not read; save it as JPEG"):
        decode(heic)
