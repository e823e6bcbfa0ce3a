"""Little image files, and what a source lists."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from evenface.data.formats import Source


def picture(seed: int, *, side: int = 112, kind: str = "PNG") -> bytes:
    """The file of a noise image; another seed, another image."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def listed(source: Source) -> list[tuple[Any, ...]]:
    """(name, identity, attributes) of every record."""
    records = [source.record(number) for number in range(len(source))]
    return [(record.name, record.identity, record.attributes) for record in records]
