"""DigiFace-1M as its archives unpack: ``subjects_<first>-<last>_<n>_imgs/<subject>/<image>``.

1.22 million rendered images of 110,000 people (Bae et al., WACV 2023). Subjects are numbered over
all parts, so the parts are no groups.
"""

from __future__ import annotations

import re
from pathlib import Path

from evenface.data.formats.base import Format, ReadOptions
from evenface.data.formats.folder import FolderSource, open_folder

LAYOUT = "subjects_<first>-<last>_<n>_imgs/<subject>/<image> (DigiFace-1M)"

_PART = re.compile(r"subjects_[0-9]+-[0-9]+_[0-9]+_imgs")


def open_digiface(path: Path, options: ReadOptions) -> FolderSource:
    """List one part, or a folder of parts. Raises DataError as :func:`open_folder`."""
    source = open_folder(path, "part", format="digiface")
    source.attributes = ()
    source.origin = "synthetic"
    return source


def _recognises(path: Path) -> bool:
    if not path.is_dir():
        return False
    return bool(_PART.fullmatch(path.resolve().name)) or any(
        _PART.fullmatch(part.name) for part in path.glob("subjects_*_imgs")
    )


FORMAT = Format("digiface", LAYOUT, recognises=_recognises, open=open_digiface, heeds=frozenset())
