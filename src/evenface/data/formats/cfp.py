"""CFP's protocol: ``Protocol/Split/<FF|FP>/<fold>/same.txt`` and ``diff.txt``.

Lines are ``i,j``: numbers in ``Protocol/Pair_list_F.txt`` (frontal), and for FP the second in
``Pair_list_P.txt`` (profile), whose lines are ``number path`` with paths like
``../Data/Images/001/frontal/01.jpg`` (Sengupta et al., WACV 2016).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from evenface.data.formats.pairs import ImageName, Pair, PairsFile
from evenface.errors import DataError

SPLITS = Path("Protocol", "Split")
KINDS = ("FF", "FP")

_LISTED = re.compile(r"([0-9]{1,6})\s+(\S.*)")
_PAIR = re.compile(r"([0-9]{1,6})\s*,\s*([0-9]{1,6})")


def read_cfp(split: Path) -> PairsFile:
    """Read the folder ``FF`` or ``FP`` with its ten folds; paths are relative to CFP's folder.

    Raises:
        DataError: another folder, a list that is missing, or a line that is no pair; the message
            names the line.
    """
    kind = split.resolve().name
    if kind not in KINDS:
        raise DataError(f"{split}: expected CFP's folder {SPLITS / 'FF'} or {SPLITS / 'FP'}")
    protocol = split.resolve().parent.parent
    frontal = _images(protocol / "Pair_list_F.txt")
    others = _images(protocol / "Pair_list_P.txt") if kind == "FP" else frontal
    folds = sorted(path for path in split.iterdir() if path.is_dir())
    pairs: list[Pair] = []
    for fold, folder in enumerate(folds):
        for name, genuine in (("same.txt", True), ("diff.txt", False)):
            file = folder / name
            for number, line in _lines(file):
                match = _PAIR.fullmatch(line)
                if not match or match[1] not in frontal or match[2] not in others:
                    raise DataError(
                        f"{file}: line {number} is no pair of listed images: {line!r:.60}"
                    )
                sides = frontal[match[1]], others[match[2]]
                pairs.append(Pair(len(pairs) + 1, *sides, genuine, fold))
    if not pairs:
        raise DataError(f"{split}: no folds 01, 02, … with same.txt and diff.txt")
    return PairsFile(split, "paths", tuple(pairs), len(folds))


def _images(file: Path) -> dict[str, ImageName]:
    """Number → image of a list."""
    images = {}
    for number, line in _lines(file):
        match = _LISTED.fullmatch(line)
        path = os.path.normpath(f"Protocol/{match[2]}").replace(os.sep, "/") if match else ".."
        parts = PurePosixPath(path).parts
        if not match or ".." in parts or len(parts) < 3:
            raise DataError(
                f"{file}: line {number} is {line!r:.80}, expected number and path, e.g. "
                "1 ../Data/Images/001/frontal/01.jpg"
            )
        images[match[1]] = ImageName(parts[-3], path=path)
    return images


def _lines(file: Path) -> list[tuple[int, str]]:
    if not file.is_file():
        raise DataError(f"{file}: no such file of CFP's protocol")
    text = file.read_text("utf-8", errors="backslashreplace").replace("\\", "/")
    return [(n, line.strip()) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
