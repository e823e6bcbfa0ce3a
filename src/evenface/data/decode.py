"""From the bytes of an image file to RGB pixels, or a reason why not."""

from __future__ import annotations

import io
import re
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 89_478_485
"""Larger images are refused as decompression bombs (Pillow's own default limit)."""

# Raster formats only: no format that runs an interpreter or an external program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF", "JPEG2000", "AVIF", "HEIF")
_HEIC = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)

_JPEG = b"\xff\xd8\xff"
_METADATA = b"\xff\xe1"  # the marker before Exif and XMP; coded pixels never contain it


class ImageError(Exception):
    """An image cannot be used; the message is the reason, without the file's name."""


def decode(data: bytes) -> np.ndarray:
    """Decode an image file to uint8 (H, W, 3) RGB.

    The EXIF orientation is applied. Grey, palette, CMYK and 16-bit images are converted,
    transparency is laid over black (as beyond the border of an aligned face). Of an animation the
    first frame is taken. Colour profiles are ignored, as recognisers' training sets do.

    Raises:
        ImageError: empty, truncated, not an image, too large, or a pixel type without a defined
            range (floating point, 32 bits beyond 16-bit values).
    """
    if not data:
        raise ImageError("the file is empty")
    pixels = _plain_jpeg(data)
    return _with_pillow(data) if pixels is None else pixels


def _plain_jpeg(data: bytes) -> np.ndarray | None:
    """A whole, ordinary JPEG by the package simplejpeg; None for all else, and without the package.

    Both are libjpeg-turbo with its accurate transform and smooth upsampling, so the pixels are
    those of Pillow, in a third of its time. Pillow judges everything out of the ordinary: another
    colour space, metadata that may hold an orientation, or the least damage, which OpenCV's decoder
    (as fast) would pass over in silence.
    """
    library = _simplejpeg()
    if library is None or not data.startswith(_JPEG) or _METADATA in data:
        return None
    try:
        height, width, colours, _ = library.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or height * width > MAX_PIXELS:
            return None
        pixels: np.ndarray = library.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None
    return pixels


@cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def pixels_of(image: Image.Image) -> np.ndarray:
    """uint8 (H, W, 3) RGB of a Pillow image, converted as :func:`decode` does.

    Raises:
        ImageError: too large, or a pixel type without a defined range.
    """
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_large(f"{image.width}×{image.height}"))
    return _to_rgb(ImageOps.exif_transpose(image))


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


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        return _wide_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.asarray(image.convert("RGB"))


def _wide_grey(image: Image.Image) -> np.ndarray:
    """16-bit grey, which Pillow keeps in modes I;16 or I, scaled to 8 bits."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
        raise ImageError(f"pixel type {image.mode!r} has no defined range; convert it to 8 bits")
    grey = np.round(values / 257.0).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
