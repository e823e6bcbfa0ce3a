"""SFHQ and SFHQ-T2I: generated portraits without identity, ``[images/]SFHQ_<part>_<number>.jpg``.

Each image shows a person of its own (Beniaguev, *Synthetic Faces High Quality*, 2022 and 2024).
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from evenface.data.formats.base import Format, ReadOptions
from evenface.data.formats.images import ImagesSource, open_images

LAYOUT = "[images/]SFHQ_<part>_<number>.jpg (SFHQ, SFHQ-T2I)"

_FOLDERS = ("", "images", "images/images")  # as the archives of the parts unpack
_LOOKED_AT = 100  # directory entries


def open_sfhq(path: Path, options: ReadOptions) -> ImagesSource:
    """List a part, or a folder that holds its images. Raises DataError as :func:`open_images`."""
    return open_images(_home(path) or path, format="sfhq", origin="synthetic")


def _home(path: Path) -> Path | None:
    """The folder that holds the images themselves."""
    for name in _FOLDERS:
        folder = path / name
        if folder.is_dir() and any(
            item.name.startswith("SFHQ_") and item.is_file()
            for item in islice(folder.iterdir(), _LOOKED_AT)
        ):
            return folder
    return None


FORMAT = Format(
    "sfhq",
    LAYOUT,
    recognises=lambda path: path.is_dir() and _home(path) is not None,
    open=open_sfhq,
    heeds=frozenset(),
)
