"""From the bytes of an image file to RGB pixels, or a reason why not."""

from __future__ import annotations

import io
import re

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

MAX_PIXELS = 89_478_485
"""Larger images are refused as decompression bombs (Pillow's own default limit)."""

# Raster formats only: no format that runs an interpreter or an external program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF", "JPEG2000", "AVIF", "HEIF")
_HEIC = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)

_SIXTEEN_BITS = ("PNG", "PPM", "JPEG2000")
"""Formats whose pixels of Pillow's mode I are 16-bit values; in others they have 32 bits."""
_JPEG = b"\xff\xd8\xff"
_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file", "Inconsistent progression sequence")
_PADDING = "extraneous bytes before marker 0xd9"  # behind the image's data, by some cameras
_METADATA = b"\xff\xe1"  # the marker before Exif and XMP; coded pixels never contain it


class ImageError(Exception):
    """An image cannot be used; the message is the reason, without the file's name."""


def decode(data: bytes) -> np.ndarray:
    """Decode an image file to uint8 (H, W, 3) RGB.

    The EXIF orientation is applied. Grey, palette, CMYK and 16-bit images are converted,
    transparency is laid over black (as beyond the border of an aligned face). Of an animation the
    first frame is taken. Colour profiles are ignored, as recognisers' training sets do.

    Raises:
        ImageError: empty, truncated, damaged, not an image, too large, or a pixel type without a
            defined range (floating point, 32-bit integers).
    """
    if not data:
        raise ImageError("the file is empty")
    pixels = _jpeg(data) if data.startswith(_JPEG) else None
    return _with_pillow(data) if pixels is None else pixels


def _jpeg(data: bytes) -> np.ndarray | None:
    """Pixels of an ordinary JPEG; None where Pillow must convert colours or turn the image.

    simplejpeg and Pillow are both libjpeg-turbo with its accurate transform and smooth upsampling,
    so the pixels are the same, in a third of the time. Only simplejpeg tells of lost image data,
    which Pillow and OpenCV fill with grey in silence: every JPEG is decoded by it.

    Raises:
        ImageError: image data are missing or garbled.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > MAX_PIXELS:
            return None
        if colours in ("YCbCr", "Gray") and _METADATA not in data:
            pixels: np.ndarray = simplejpeg.decode_jpeg(data, "RGB", strict=True)
            return pixels
        as_is = "CMYK" if colours in ("CMYK", "YCCK") else "RGB"
        simplejpeg.decode_jpeg(data, as_is, True, True, min_height=1, min_width=1, strict=True)
    except ValueError as error:
        message = str(error)
        if message.startswith(_DAMAGE) and not message.endswith(_PADDING):
            raise ImageError(f"unreadable image: {message}") from None
    return None


def pixels_of(image: Image.Image) -> np.ndarray:
    """uint8 (H, W, 3) RGB of a Pillow image, converted as :func:`decode` does.

    Raises:
        ImageError: too large, or a pixel type without a defined range.
    """
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_large(f"{image.width}×{image.height}"))
    wide = image.format in _SIXTEEN_BITS  # turning forgets the format
    return _to_rgb(ImageOps.exif_transpose(image), wide)


def _with_pillow(data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=_readable()) as image:
            return pixels_of(image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(_too_large(str(error))) from None
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        if _HEIC.match(data):
            raise ImageError(
                "HEIC, which this Pillow does not read; save it as JPEG or PNG"
            ) from None
        raise ImageError("not an image of a known format") from None
    except Exception as error:
        # Damaged files make Pillow's decoders raise nearly anything (OSError, SyntaxError,
        # struct.error, KeyError, …); all of it means the same here.
        raise ImageError(f"unreadable image: {error or type(error).__name__}") from None


def _readable() -> tuple[str, ...]:
    """The formats that Pillow reads here: AVIF since 11.3, HEIF where a plug-in is registered."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _too_large(what: str) -> str:
    return f"too large ({what}); at most {MAX_PIXELS / 1e6:.0f} megapixels are decoded"


def _to_rgb(image: Image.Image, wide: bool) -> np.ndarray:
    if image.mode.startswith("I;16") or (image.mode == "I" and wide):
        return _wide_grey(image)
    if image.mode in ("I", "F"):
        raise ImageError(f"pixel type {image.mode!r} has no defined range; convert it to 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.asarray(image.convert("RGB"))


def _wide_grey(image: Image.Image) -> np.ndarray:
    """16-bit grey, which Pillow keeps in modes I;16 or I, scaled to 8 bits."""
    values = np.asarray(image).clip(0, 0xFFFF)
    grey = np.round(values / 257.0).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
