"""AgeDB as it is released: ``<number>_<Name>_<age>_<f|m>.jpg``, one person at many ages.

Name, age and gender are in the files' names (Moschoglou et al., *AgeDB: the first manually
collected, in-the-wild age database*, CVPRW 2017).
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.fhibe import AGE_BAND, AGE_BANDS
from evenface.data.formats.images import ImagesSource, open_images
from evenface.errors import DataError

LAYOUT = "<number>_<Name>_<age>_<f|m>.jpg (AgeDB)"

_NAME = re.compile(r"\d+_(?P<identity>[^/]+)_(?P<age>\d{1,3})_(?P<gender>[fm])\.jpg", re.IGNORECASE)
_FOLDERS = ("", "AgeDB")
_LOOKED_AT = 20  # directory entries
_MINORS = "[0,18)"


class AgeDBSource:
    """The images with what their names declare: ``age_band``, ``gender``."""

    attributes = (AGE_BAND, "gender")

    def __init__(self, root: Path, images: ImagesSource) -> None:
        self._images = images
        self.remarks = images.remarks
        self.read = images.read
        self._records = [_record(root, images.record(n).name) for n in range(len(images))]

    @property
    def description(self) -> dict[str, Any]:
        people = {record.identity for record in self._records}
        return {**self._images.description, "identities": len(people)}

    def __len__(self) -> int:
        return len(self._records)

    def record(self, number: int) -> Record:
        return self._records[number]


def _record(root: Path, path: str) -> Record:
    name = _NAME.fullmatch(PurePath(path).name)
    if name is None:
        raise DataError(f"{root}: {path!r} is not called as in AgeDB; expected {LAYOUT}")
    declared = (_band(int(name["age"])), name["gender"].lower())
    return Record(path, name["identity"], declared, origin="real")


def _band(age: int) -> str:
    """The band of an age in years; those of FHIBE, and one below."""
    return [_MINORS, *(band for band, lowest in AGE_BANDS.items() if age >= lowest)][-1]


def _home(path: Path) -> Path | None:
    """The folder that holds the images themselves."""
    for name in _FOLDERS:
        folder = path / name
        if folder.is_dir():
            some = [item.name for item in islice(folder.iterdir(), _LOOKED_AT)]
            if any(map(_NAME.fullmatch, some)):
                return folder
    return None


def open_agedb(path: Path, options: ReadOptions) -> AgeDBSource:
    """List the release. Raises DataError for a file whose name declares no person."""
    root = _home(path) or path
    return AgeDBSource(root, open_images(root, format="agedb", origin="real"))


FORMAT = Format(
    "agedb",
    LAYOUT,
    recognises=lambda path: path.is_dir() and _home(path) is not None,
    open=open_agedb,
    heeds=frozenset(),
)
