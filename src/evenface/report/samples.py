"""Sample sheets of the training sets as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from evenface.errors import DataError
from evenface.report.schema import Results

_WIDEST = 960
_QUALITY = 85


@dataclass(frozen=True)
class Sample:
    """A sheet of sample faces, or the reason why none is shown."""

    title: str
    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


def sample_sheets(results: Results, base: Path) -> list[Sample]:
    """The sheets that the results name, in the order of the training sets.

    A set that holds photographs of real people is never shown, whatever the results name.

    Args:
        results: the study.
        base: folder that the sheets' paths are relative to.

    Raises:
        DataError: a path leads out of ``base``, or a file is no image.
    """
    sheets = []
    for item in results.sets:
        if item.origins.get("real"):
            sheets.append(
                Sample(item.title, reason="Photographs of real people are not shown in reports.")
            )
        elif (path := results.samples.get(item.name)) is None:
            sheets.append(Sample(item.title, reason="The study made no sample sheet."))
        else:
            sheets.append(_sheet(item.title, base, path))
    return sheets


def _sheet(title: str, base: Path, path: str) -> Sample:
    file = (base / path).resolve()
    if not file.is_relative_to(base.resolve()):
        raise DataError(
            f"samples: {path} leads out of the study's folder {base}; "
            "a report shows only what lies in it"
        )
    if not file.is_file():
        return Sample(title, reason=f"The sample sheet {path} is missing.")
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file}: not a readable image ({error})") from None
    return sample(title, image)


def sample(title: str, image: Image.Image) -> Sample:
    """An image as part of the page, shrunk where it is wide."""
    image = image.copy()
    image.thumbnail((_WIDEST, 2 * _WIDEST))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Sample(title, uri, image.width, image.height)
