"""BUPT-BalancedFace as folders: ``race_per_7000/<Race>/<identity>/<image>``.

1,251,430 images of 28,000 people, 7,000 of each race that the set declares (Wang & Deng, CVPR
2020). The images are loose crops of many sizes and must be aligned.
"""

from __future__ import annotations

from pathlib import Path

from evenface.data.formats.base import Format, ReadOptions
from evenface.data.formats.folder import FolderSource, open_folder
from evenface.errors import DataError

FOLDER = "race_per_7000"
LAYOUT = f"{FOLDER}/<Race>/<identity>/<image>"
ATTRIBUTE = "ethnicity"


def open_bupt(path: Path, options: ReadOptions) -> FolderSource:
    """List the folder ``race_per_7000``, or the one of that name in ``path``.

    Raises:
        DataError: as :func:`open_folder`, and where the level of races is missing.
    """
    inner = path / FOLDER
    root = inner if inner.is_dir() else path
    source = open_folder(root, options.group_attribute or ATTRIBUTE, format="bupt")
    if not source.attributes:
        raise DataError(f"{root}: images lie one level below; expected {LAYOUT}")
    return source


def _recognises(path: Path) -> bool:
    return path.is_dir() and (path.resolve().name == FOLDER or (path / FOLDER).is_dir())


FORMAT = Format("bupt", LAYOUT, recognises=_recognises, open=open_bupt)
