"""Sample faces of the training sets as data URIs: whole sheets, and strips for the first screen."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from evenface.data.preview import GAP, IMAGE_SIZE
from evenface.errors import DataError
from evenface.study.record import Results, TrainingSet

_WIDEST = 960
_QUALITY = 85
_COLUMN = 2
"""Of a sheet, whose faces are in a strip; a row is a person."""
_STRIPS = 3
"""Training sets on the first screen."""
_SHEETS = 5
"""Training sets up to which whole sheets of all are shown."""


@dataclass(frozen=True)
class Sample:
    """A sheet of sample faces, or the reason why none is shown."""

    title: str
    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


def sample_sheets(results: Results, base: Path) -> list[Sample]:
    """The sheets that the results name, of :func:`shown_sets`.

    A set that holds photographs of real people is never shown, whatever the results name.

    Args:
        results: the study.
        base: folder that the sheets' paths are relative to.

    Raises:
        DataError: a path leads out of ``base``, or a file is no image.
    """
    return [_shown(results, item, base) for item in shown_sets(results)]


def face_strips(results: Results, base: Path) -> list[Sample]:
    """A row of faces of each of some training sets: one image of each person of its sheet."""
    strips = []
    for item in _few(results):
        sheet = _read(results, item, base)
        if isinstance(sheet, Image.Image) and (strip := strip_of(sheet)):
            strips.append(sample(item.name, strip))
    return strips


def shown_sets(results: Results) -> tuple[TrainingSet, ...]:
    """The sets whose sheets a page shows: all of a few, else those on the first screen."""
    return results.sets if len(results.sets) <= _SHEETS else tuple(_few(results))


def _few(results: Results) -> list[TrainingSet]:
    """Of more than three sets, those with the least, the middle and the largest share of real
    faces.
    """
    if len(results.sets) <= _STRIPS:
        return list(results.sets)
    ordered = sorted(results.sets, key=lambda item: item.real_fraction or 0.0)
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]


def strip_of(sheet: Image.Image, column: int = _COLUMN) -> Image.Image | None:
    """One face of each row of a contact sheet, side by side; None where it is no such sheet."""
    step = IMAGE_SIZE + GAP
    rows, columns = sheet.height // step, sheet.width // step
    if sheet.size != (columns * step + GAP, rows * step + GAP) or not rows * columns:
        return None
    left = min(column, columns - 1) * step + GAP
    strip = Image.new("RGB", (rows * step - GAP, IMAGE_SIZE), "white")
    for row in range(rows):
        top = row * step + GAP
        face = sheet.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE))
        strip.paste(face, (row * step, 0))
    return strip


def _shown(results: Results, item: TrainingSet, base: Path) -> Sample:
    found = _read(results, item, base)
    return Sample(item.name, reason=found) if isinstance(found, str) else sample(item.name, found)


def _read(results: Results, item: TrainingSet, base: Path) -> Image.Image | str:
    """A set's sheet, or the reason why there is none."""
    if item.origins.get("real"):
        return "Photographs of real people are not shown in reports."
    path = results.samples.get(item.name)
    if path is None:
        return "The study made no sample sheet."
    file = (base / path).resolve()
    if not file.is_relative_to(base.resolve()):
        raise DataError(
            f"samples: {path} leads out of the study's folder {base}; "
            "a report shows only what lies in it"
        )
    if not file.is_file():
        file = file.with_suffix(".jpg")  # as kept beside results, where space is dear
    if not file.is_file():
        return f"The sample sheet {path} is missing."
    try:
        with Image.open(file) as opened:
            return opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file}: not a readable image ({error})") from None


def sample(title: str, image: Image.Image) -> Sample:
    """An image as part of the page, shrunk where it is wide."""
    image = image.copy()
    image.thumbnail((_WIDEST, 2 * _WIDEST))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Sample(title, uri, image.width, image.height)
