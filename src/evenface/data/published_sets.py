"""Published verification sets as they lie on the disk: RFW, LFW and those of their layout.

RFW (Wang et al., ICCV 2019) is a folder with ``images/<Race>/<id>/<id>_000k.jpg`` and
``txts/<Race>/<Race>_pairs.txt``; LFW and sets like it are ``<name>/<name>_000k.jpg`` with one pairs
file (:mod:`evenface.data.formats.pairs`); CFP (Sengupta et al., WACV 2016) has its pairs in
``Protocol/Split/FF`` and ``FP`` (:mod:`evenface.data.formats.cfp`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from evenface.data.decode import ImageError
from evenface.data.formats.base import Record
from evenface.data.formats.bupt import ATTRIBUTE as RACE_ATTRIBUTE
from evenface.data.formats.cfp import SPLITS, read_cfp
from evenface.data.formats.folder import printable, read_image_file
from evenface.data.formats.pairs import ImageName, Pair, PairImages, PairsFile, read_pairs
from evenface.errors import DataError

_TEXTS, _IMAGES = "txts", ("images", "data")
_PAIRS_NAME = "pairs.txt"


@dataclass(frozen=True)
class PublishedGroup:
    """The pairs of one group and where their images lie."""

    name: str
    """"" where the set has no groups."""
    images: PairImages
    file: PairsFile


@dataclass(frozen=True)
class PublishedSet:
    """A verification set as it was found on the disk."""

    root: Path
    attribute: str
    """What the groups are; "" where there are none."""
    groups: tuple[PublishedGroup, ...]


def find_published_set(
    root: str | Path, pairs: str | Path | None = None, *, attribute: str = ""
) -> PublishedSet:
    """Find the images and pairs files of a set.

    Args:
        root: RFW's folder (with ``txts`` and ``images`` or ``data``, also below ``test``), CFP's,
            or the folder that a pairs file's images lie in.
        pairs: pairs file of the latter, or CFP's folder ``Protocol/Split/FF`` or ``FP``; None:
            ``pairs.txt`` in ``root``.
        attribute: what the groups are; "": ``ethnicity`` for RFW, else ``group``.

    Raises:
        DataError: nothing of the kind there, or a pairs file that cannot be read.
    """
    root = Path(root)
    if pairs is None and (home := _rfw_home(root)):
        return PublishedSet(root, attribute or RACE_ATTRIBUTE, tuple(_rfw_groups(home)))
    path = Path(pairs) if pairs is not None else root / _PAIRS_NAME
    if pairs is None and (root / SPLITS).is_dir():
        raise DataError(
            f"{root}: CFP has two protocols; say which with --pairs {root / SPLITS / 'FP'} or "
            f"{root / SPLITS / 'FF'}"
        )
    if not root.is_dir() or not path.exists():
        missing = path if root.is_dir() else root
        raise DataError(
            f"{missing}: not there. Expected RFW's folder with {_TEXTS}/<Race>/<Race>_pairs.txt "
            f"and images/<Race>/, or a folder <name>/<name>_0001.jpg with {_PAIRS_NAME} or --pairs "
            "FILE"
        )
    file = read_cfp(path) if path.is_dir() else read_pairs(path)
    names = sorted({pair.group or "" for pair in file.pairs})
    if len(names) > 1 and "" in names:
        line = next(pair.line for pair in file.pairs if not pair.group)
        raise DataError(f"{path}: line {line} has no group, other lines have one")
    groups = []
    for name in names:
        mine = tuple(pair for pair in file.pairs if (pair.group or "") == name)
        part = PairsFile(file.path, file.kind, mine, file.folds, file.remarks)
        groups.append(PublishedGroup(name, PairImages(root), part))
    return PublishedSet(root, (attribute or "group") if names != [""] else "", tuple(groups))


def _rfw_home(root: Path) -> Path | None:
    return next((path for path in (root, root / "test") if (path / _TEXTS).is_dir()), None)


def _rfw_groups(home: Path) -> Iterator[PublishedGroup]:
    found = sorted((home / _TEXTS).glob("*/*_pairs.txt"))
    if not found:
        raise DataError(f"{home / _TEXTS}: no <Race>/<Race>_pairs.txt here")
    for path in found:
        race = path.parent.name
        folders = [home / name / race for name in _IMAGES if (home / name / race).is_dir()]
        if not folders:
            raise DataError(f"{home}: no folder images/{race}, which {path.name} needs")
        yield PublishedGroup(race, PairImages(folders[0]), read_pairs(path))


# --- images --------------------------------------------------------------------------------------

ImageKey = tuple[int, ImageName]
"""An image of a set: the number of its group, and its name there."""


@dataclass
class FoundImages:
    """The distinct images of a set, sorted by group and name: those found, and what is wrong."""

    found: list[tuple[ImageKey, Path]] = field(default_factory=list)
    problems: dict[ImageKey, str] = field(default_factory=dict)


class PairsSource:
    """The images that pairs files name, for the import."""

    def __init__(
        self,
        published: PublishedSet,
        images: list[tuple[ImageKey, Path]],
        people: dict[ImageKey, str],
    ) -> None:
        self.attributes = (published.attribute,) if published.attribute else ()
        self.remarks: tuple[str, ...] = ()
        self._published = published
        self._images = images
        self._people = people

    @property
    def description(self) -> dict[str, Any]:
        listing = hashlib.sha256()
        for number in range(len(self)):
            listing.update(repr(self.record(number)).encode("utf-8", "backslashreplace"))
        return {
            "format": "verification set",
            "path": printable(str(self._published.root.resolve())),
            "attributes": list(self.attributes),
            "images": len(self),
            "listing": listing.hexdigest(),
        }

    def __len__(self) -> int:
        return len(self._images)

    def record(self, number: int) -> Record:
        key, _ = self._images[number]
        group = self._published.groups[key[0]].name
        name = f"{group}/{key[1]}" if group else str(key[1])
        return Record(name, self._people[key], (group,) if self.attributes else ())

    def read(self, number: int) -> bytes:
        return read_image_file(self._images[number][1])


def locate(published: PublishedSet) -> FoundImages:
    """Look for every image that a pair names."""
    images = FoundImages()
    for number, group in enumerate(published.groups):
        names = {name for pair in group.file.pairs for name in (pair.first, pair.second)}
        for name in sorted(names, key=lambda name: (str(name), name.identity, name.number)):
            try:
                images.found.append(((number, name), group.images.find(name)))
            except ImageError as error:
                images.problems[number, name] = str(error)
    return images


def people_of(published: PublishedSet) -> tuple[dict[ImageKey, str], bool]:
    """The identity of each image, and whether the set names them.

    Paths do not say who is on them: their folders do where all pairs agree with that, and else the
    genuine pairs.
    """
    people: dict[ImageKey, str] = {}
    all_named = True
    for number, group in enumerate(published.groups):
        pairs = group.file.pairs
        names = {name for pair in pairs for name in (pair.first, pair.second)}
        owner = {name: name.identity or str(PurePosixPath(name.path).parent) for name in names}
        named = group.file.kind == "lfw" or all(
            (owner[pair.first] == owner[pair.second]) is pair.genuine for pair in pairs
        )
        people |= {
            (number, name): person for name, person in (owner if named else _joined(pairs)).items()
        }
        all_named &= named
    return people, all_named


def _joined(pairs: tuple[Pair, ...]) -> dict[ImageName, str]:
    """Image → the first image of those that genuine pairs join it with."""
    parent: dict[ImageName, ImageName] = {}

    def root(name: ImageName) -> ImageName:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for pair in pairs:
        first, second = sorted((root(pair.first), root(pair.second)), key=str)
        if pair.genuine:
            parent[second] = first
    return {name: str(root(name)) for name in list(parent)}
