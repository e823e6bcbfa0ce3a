"""Published verification sets: ``.bin`` files, bcolz arrays, and pairs files with images."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evenface.data.decode import ImageError
from evenface.data.formats.pairs import ImageName, Pair, PairImages, PairsFile, read_pairs
from evenface.data.formats.verification_bcolz import is_carray, read_carray
from evenface.data.formats.verification_bin import SUFFIX, read_bin
from evenface.errors import DataError
from evenface.evaluate.faces import EncodedFaces, FileFaces
from evenface.evaluate.pair_lists import FOLDS, PairList, VerificationSet, protocol_from_lists

ONE_GROUP = "all"

_OF_GROUP = re.compile(r"(.+)_test", re.IGNORECASE)


def bin_set(
    bins: Path | Mapping[str, Path],
    *,
    name: str | None = None,
    folds: int = FOLDS,
    simulated: bool = False,
) -> VerificationSet:
    """One ``.bin`` file, or one for each group (RFW's ``African_test.bin``, …) as one protocol.

    The folder of a bcolz array takes the place of a file (:func:`read_carray`).

    Folds are contiguous in file order, as the field has them. Images that are equal byte for byte
    are one row: each is embedded once. Such files name no people; see ``Protocol.notes``.

    Args:
        bins: a file or folder, or group → file or folder.
        name: what results call this protocol; None for the stem of the (first) file.
        folds: number of folds.
        simulated: whether the images are synthetic.

    Raises:
        DataError: a file that is no verification set (see :func:`read_bin`), or a group without
            pairs of both kinds. Images are decoded, and complained of, later.
        MissingDependencyError: a bcolz array, and numcodecs is not installed.
    """
    files = {ONE_GROUP: bins} if isinstance(bins, Path) else dict(bins)
    rows: dict[bytes, int] = {}
    encoded: list[bytes] = []
    names: list[str] = []
    lists, orders = [], []
    for group, path in files.items():
        content = read_carray(path) if path.is_dir() else read_bin(path)
        order = np.empty(len(content.images), dtype=np.int64)
        for place, image in enumerate(content.images):
            row = rows.setdefault(hashlib.sha256(image).digest(), len(encoded))
            if row == len(encoded):
                encoded.append(image)
                names.append(f"{path}: image {place}")
            order[place] = row
        lists.append(PairList(group, order[::2], order[1::2], content.genuine))
        orders.append(order)
    faces = EncodedFaces(encoded, tuple(names))
    order = np.concatenate(orders)
    repeats = len(order) - len(encoded)
    protocol = protocol_from_lists(
        lists,
        rows=len(faces),
        image_fingerprint=faces.image_fingerprint,
        name=name or next(iter(files.values())).stem,
        folds=folds,
        contiguous=True,
        simulated=simulated,
        notes=[f"{repeats:,} of {len(order):,} images are repeats"] if repeats else [],
    )
    return VerificationSet(protocol, faces, order)


def pairs_set(
    pairs: Path | Mapping[str, Path],
    images: Path | Mapping[str, Path] | None = None,
    *,
    name: str | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    simulated: bool = False,
) -> VerificationSet:
    """A pairs file (LFW's form, or a table of paths), or one for each group, and its images.

    Args:
        pairs: a file, or group → file. A table's column ``group`` makes groups of one file.
        images: folder that the names are relative to, or one for each group; None for the folder
            of the pairs file. Images are aligned faces, 112×112.
        name: what results call this protocol; None for the stem of the (first) file.
        folds: number of folds where the file tells none.
        seed: of dealing pairs to folds, where neither the file nor its order gives any.
        simulated: whether the images are synthetic.

    Raises:
        DataError: a file that cannot be read, pairs that name absent images (the first is named,
            with its line), rows without a group among others with one, or a group without pairs of
            both kinds.
    """
    files = {None: pairs} if isinstance(pairs, Path) else dict(pairs)
    table = _ImageRows()
    lists: list[PairList] = []
    remarks: list[str] = []
    named = True
    for label, path in files.items():
        file = read_pairs(path)
        root = images[label] if isinstance(images, Mapping) and label else images
        finder = PairImages(root if isinstance(root, Path) else path.parent)
        remarks += [f"{path.name}: {remark}" for remark in file.remarks]
        named &= file.names_people
        absent: list[str] = []
        for group, chosen in _by_group(file, label).items():
            ends = np.empty((len(chosen), 2), dtype=np.int64)
            for place, pair in enumerate(chosen):
                try:
                    ends[place] = [
                        table.row(finder, image, group) for image in (pair.first, pair.second)
                    ]
                except ImageError as error:
                    absent.append(f"line {pair.line}: {error}")
            fold = np.array([pair.fold for pair in chosen]) if file.folds else None
            genuine = np.array([pair.genuine for pair in chosen])
            lists.append(PairList(group, ends[:, 0], ends[:, 1], genuine, fold))
        if absent:
            more = f" ({len(absent):,} pairs name absent images)" if len(absent) > 1 else ""
            raise DataError(f"{path}: {absent[0]}{more}")
    faces = FileFaces(tuple(table.rows))
    protocol = protocol_from_lists(
        lists,
        rows=len(faces),
        image_fingerprint=faces.image_fingerprint,
        name=name or next(iter(files.values())).stem,
        identity=np.array(table.person, dtype=np.int64) if named else None,
        folds=folds,
        seed=seed,
        simulated=simulated,
        notes=remarks,
    )
    order = np.arange(len(faces), dtype=np.int64)
    return VerificationSet(protocol, faces, order, tuple(table.names))


class _ImageRows:
    """Numbers images and the people they show, by first appearance."""

    def __init__(self) -> None:
        self.rows: dict[Path, int] = {}
        self.names: list[str] = []
        self.person: list[int] = []
        self._people: dict[tuple[str, str], int] = {}

    def row(self, finder: PairImages, image: ImageName, group: str) -> int:
        """Row of an image; ImageError where there is none."""
        path = finder.find(image)
        row = self.rows.setdefault(path, len(self.rows))
        if row == len(self.names):
            self.names.append(path.relative_to(finder.root).as_posix())
            self.person.append(self._people.setdefault((group, image.identity), len(self._people)))
        return row


def bins_of(folder: Path) -> dict[str, dict[str, Path]]:
    """The ``.bin`` files and bcolz arrays of a folder as protocols: name → group → path.

    Two or more named ``<group>_test`` are one protocol, called as the folder; each other is one of
    its own. Where a set is there in both forms, its ``.bin`` counts.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):  # lfw comes before lfw.bin
        if is_carray(path) or (path.suffix.lower() == SUFFIX and path.is_file()):
            found[path.stem] = path
    groups = {match[1]: found[stem] for stem in found if (match := _OF_GROUP.fullmatch(stem))}
    if len(groups) < 2:
        groups = {}
    grouped = set(groups.values())
    single = {stem: {ONE_GROUP: path} for stem, path in found.items() if path not in grouped}
    return ({folder.resolve().name: groups} if groups else {}) | single


def rfw_of(folder: Path) -> tuple[dict[str, Path], dict[str, Path]] | None:
    """RFW as published, ``txts/<Race>/<Race>_pairs.txt`` beside an aligned ``images/<Race>/``.

    Returns:
        (group → pairs file, group → folder of images), or None where the folder is no such set.
    """
    texts = folder / "txts"
    pairs = {
        race.name: race / f"{race.name}_pairs.txt"
        for race in (sorted(texts.iterdir()) if texts.is_dir() else [])
        if (race / f"{race.name}_pairs.txt").is_file()
    }
    if not pairs:
        return None
    return pairs, {race: folder / "images" / race for race in pairs}


def _by_group(file: PairsFile, label: str | None) -> dict[str, list[Pair]]:
    if label is not None:
        return {label: list(file.pairs)}
    found: dict[str, list[Pair]] = {}
    labelled = any(pair.group for pair in file.pairs)
    for pair in file.pairs:
        if labelled and not pair.group:
            raise DataError(f"{file.path}: line {pair.line} has no group, other lines have one")
        found.setdefault(pair.group or ONE_GROUP, []).append(pair)
    return dict(sorted(found.items()))
