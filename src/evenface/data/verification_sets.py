"""Published verification sets: from folders of photographs and pairs files to aligned faces.

RFW (Wang et al., ICCV 2019) is a folder with ``images/<Race>/<id>/<id>_000k.jpg`` and
``txts/<Race>/<Race>_pairs.txt``; LFW and sets like it are ``<name>/<name>_000k.jpg`` with one pairs
file (:mod:`evenface.data.formats.pairs`). Every pair of the files ends up in the result or in the
list of lost ones, with the reason.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from evenface.data.decode import ImageError
from evenface.data.export.base import Encoding, encoded, file_name
from evenface.data.formats.base import Record
from evenface.data.formats.bupt import ATTRIBUTE as RACE_ATTRIBUTE
from evenface.data.formats.folder import printable, read_image_file
from evenface.data.formats.pairs import ImageName, Pair, PairImages, PairsFile, read_pairs
from evenface.data.formats.verification_bin import SUFFIX, write_bin
from evenface.data.importing import REPORT_NAME as IMPORT_REPORT_NAME
from evenface.data.importing import ImportReport, import_source
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.prepare import Align
from evenface.errors import DataError, UsageError
from evenface.files import read_json, write_json
from evenface.parallel import usable_cores

FACES_NAME = "faces"
REPORT_NAME = "verification-report.json"

_TEXTS, _IMAGES = "txts", ("images", "data")
_PAIRS_NAME = "pairs.txt"
_JOINED = (
    "the folders of the images are not people: images that genuine pairs join were taken for one "
    "person"
)
_NAMED = 10  # lost pairs told in an error message; the report lists them all


class LostPair(BaseModel):
    """A pair that the result does not hold."""

    file: str
    line: int
    group: str
    pair: str
    genuine: bool
    reason: str


class GroupAccount(BaseModel):
    """What became of the pairs of one group."""

    pairs: int
    """In the file."""
    genuine: int
    lost: int
    folds: int
    """That the file tells; 0 for none."""
    images: int
    """Distinct images of the file."""


class VerificationReport(BaseModel):
    """What became of a published set (``verification-report.json``)."""

    version: int = 1
    status: Literal["complete", "failed"]
    source: str
    dataset: str
    pairs: int
    pairs_lost: int
    groups: dict[str, GroupAccount]
    identities_in_several_groups: dict[str, list[str]]
    noticed: dict[str, int]
    """Images with "many faces" (the largest was taken), "small face" or "resized"."""
    remarks: list[str]
    lost: list[LostPair]


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


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Pairs over the rows of a manifest of aligned faces; every array is (P,)."""

    manifest: Manifest
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    genuine: NDArray[np.bool_]
    group: NDArray[np.int64]
    """Index into :attr:`groups`."""
    fold: NDArray[np.int64]
    """From 0; −1 where the file tells none."""
    groups: tuple[str, ...]
    identities_named: bool
    """Whether the set names its people; else they are told from the genuine pairs."""
    report: VerificationReport


def find_published_set(
    root: str | Path, pairs: str | Path | None = None, *, attribute: str = ""
) -> PublishedSet:
    """Find the images and pairs files of a set.

    Args:
        root: RFW's folder (with ``txts`` and ``images`` or ``data``, also below ``test``), or a
            folder of ``<name>/<name>_000k.jpg``.
        pairs: pairs file of the latter; None: ``pairs.txt`` in ``root``.
        attribute: what the groups are; "": ``ethnicity`` for RFW, else ``group``.

    Raises:
        DataError: nothing of the kind there, or a pairs file that cannot be read.
    """
    root = Path(root)
    if pairs is None and (home := _rfw_home(root)):
        return PublishedSet(root, attribute or RACE_ATTRIBUTE, tuple(_rfw_groups(home)))
    path = Path(pairs) if pairs is not None else root / _PAIRS_NAME
    if not root.is_dir() or not path.is_file():
        missing = path if root.is_dir() else root
        raise DataError(
            f"{missing}: not there. Expected RFW's folder with {_TEXTS}/<Race>/<Race>_pairs.txt "
            f"and images/<Race>/, or a folder <name>/<name>_0001.jpg with {_PAIRS_NAME} or --pairs "
            "FILE"
        )
    file = read_pairs(path)
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

_Key = tuple[int, ImageName]  # group and image


@dataclass
class _Images:
    """The distinct images of a set, sorted by group and name: those found, and what is wrong."""

    found: list[tuple[_Key, Path]] = field(default_factory=list)
    problems: dict[_Key, str] = field(default_factory=dict)


class _PairsSource:
    """The images that pairs files name, for the import."""

    def __init__(
        self, published: PublishedSet, images: list[tuple[_Key, Path]], people: dict[_Key, str]
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


def _locate(published: PublishedSet) -> _Images:
    images = _Images()
    for number, group in enumerate(published.groups):
        names = {name for pair in group.file.pairs for name in (pair.first, pair.second)}
        for name in sorted(names, key=lambda name: (str(name), name.identity, name.number)):
            try:
                images.found.append(((number, name), group.images.find(name)))
            except ImageError as error:
                images.problems[number, name] = str(error)
    return images


def _people(published: PublishedSet) -> tuple[dict[_Key, str], bool]:
    """The identity of each image, and whether the set names them.

    Paths do not say who is on them: their folders do where all pairs agree with that, and else the
    genuine pairs.
    """
    people: dict[_Key, str] = {}
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


# --- the set -------------------------------------------------------------------------------------


def prepare_verification_set(
    published: PublishedSet,
    out: str | Path,
    *,
    dataset: str,
    licence: str,
    origin: str = "real",
    align: Align = "auto",
    max_lost_rate: float = 0.0,
    workers: int | None = None,
    detector: str | Path | None = None,
) -> PreparedSet:
    """Align the images of a set and keep the pairs whose images could be used.

    Writes into ``out``: ``faces`` (a dataset folder of the images that pairs name) and
    ``manifest.parquet`` over it, ``<group>_test.bin`` (or ``<dataset>.bin``) with the pairs in the
    file's order as PNG, and ``verification-report.json``. An interrupted run continues.

    Args:
        published: what :func:`find_published_set` found.
        out: folder to write.
        dataset, licence, origin, align, workers, detector: see
            :func:`evenface.data.importing.import_source`.
        max_lost_rate: share of pairs that may be lost.

    Raises:
        UsageError: an option out of range.
        DataError: more pairs lost than allowed, no pairs left in a group, or what
            :func:`~evenface.data.importing.import_source` raises. The report is written all the
            same.
    """
    out = Path(out)
    if not 0.0 <= max_lost_rate <= 1.0:
        raise UsageError(f"the highest rate of lost pairs is between 0 and 1, got {max_lost_rate}")
    if out.resolve().is_relative_to(published.root.resolve()):
        raise UsageError(f"{out}: lies inside the source; choose a folder elsewhere")
    _refuse_foreign(out, published, dataset)
    images = _locate(published)
    people, named = _people(published)
    remarks = [] if named else [_JOINED]
    account = _Account(published, dataset, people, remarks, out)
    account.judge(images.problems, max_lost_rate)
    source = _PairsSource(published, images.found, people)
    imported = import_source(
        source,
        out / FACES_NAME,
        dataset=dataset,
        origin=origin,
        licence=licence,
        align=align,
        max_bad_rate=1.0,  # what counts is the rate of lost pairs
        workers=workers,
        detector=detector,
    )
    rows = _rows(source, imported, images)
    account.add(imported)
    report = account.judge(images.problems, max_lost_rate, finished=True)
    manifest = Manifest.read(out / FACES_NAME)
    manifest.write(out / MANIFEST_NAME)
    kept = _kept(published, manifest, rows, named, report)
    _write_bins(kept, out, dataset, workers)
    return kept


def _refuse_foreign(out: Path, published: PublishedSet, dataset: str) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file; a folder is needed")
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    ours = names <= {FACES_NAME} or REPORT_NAME in names
    held = read_json(out / REPORT_NAME) if REPORT_NAME in names else {}
    same = {"source": printable(str(published.root.resolve())), "dataset": dataset}
    if not ours or (held and {key: held.get(key) for key in same} != same):
        raise DataError(f"{out}: holds something else already. Choose a new folder")


def _rows(source: _PairsSource, report: ImportReport, images: _Images) -> dict[_Key, int]:
    """Image → its row in the manifest; what the import could not use joins the problems."""
    bad = {problem.record: problem.problem for problem in report.problems}
    rows: dict[_Key, int] = {}
    for number, (key, _) in enumerate(images.found):
        if reason := bad.get(source.record(number).name):
            images.problems[key] = reason
        else:
            rows[key] = len(rows)
    return rows


class _Account:
    """Tells which pairs are lost, writes that down, and stops where they are too many."""

    def __init__(
        self,
        published: PublishedSet,
        dataset: str,
        people: dict[_Key, str],
        remarks: list[str],
        out: Path,
    ) -> None:
        self._noticed: dict[str, int] = {}
        self._published = published
        self._dataset = dataset
        self._path = out / REPORT_NAME
        groups_of = defaultdict(set)
        for (number, _), person in people.items():
            groups_of[person].add(published.groups[number].name)
        self._crossing = {p: sorted(g) for p, g in sorted(groups_of.items()) if len(g) > 1}
        told = {f"{g.file.path.name}: {text}" for g in published.groups for text in g.file.remarks}
        self._remarks = [*sorted(told), *remarks]

    def add(self, imported: ImportReport) -> None:
        """Take up what the import noticed."""
        self._noticed = imported.noticed
        if across := imported.duplicates.across_identities:
            self._remarks.append(
                f"{across:,} images equal one of another identity byte for byte, so that a label "
                f"is wrong; they are listed in {FACES_NAME}/{IMPORT_REPORT_NAME}"
            )

    def judge(
        self, problems: dict[_Key, str], max_lost_rate: float, *, finished: bool = False
    ) -> VerificationReport:
        """The account with these images missing; written when it fails or is the last.

        Raises:
            DataError: too many pairs are lost, or all of a group.
        """
        lost = list(self._lost(problems))
        report = self._report(lost)
        empty = [name for name, group in report.groups.items() if group.lost == group.pairs]
        if failed := bool(empty) or len(lost) > max_lost_rate * report.pairs:
            report.status = "failed"
        if failed or finished:
            write_json(self._path, report.model_dump())
        if failed:
            raise DataError(self._failure(report, empty))
        return report

    def _lost(self, problems: dict[_Key, str]) -> Iterator[LostPair]:
        for number, group in enumerate(self._published.groups):
            for pair in group.file.pairs:
                names = dict.fromkeys((pair.first, pair.second))
                reasons = [
                    f"{name}: {problems[number, name]}"
                    for name in names
                    if (number, name) in problems
                ]
                if reasons:
                    yield LostPair(
                        file=str(group.file.path),
                        line=pair.line,
                        group=group.name,
                        pair=f"{pair.first} {pair.second}",
                        genuine=pair.genuine,
                        reason="; ".join(reasons),
                    )

    def _report(self, lost: list[LostPair]) -> VerificationReport:
        lost_of = Counter(pair.group for pair in lost)
        groups = {}
        for group in self._published.groups:
            pairs = group.file.pairs
            groups[group.name or "all"] = GroupAccount(
                pairs=len(pairs),
                genuine=sum(pair.genuine for pair in pairs),
                lost=lost_of[group.name],
                folds=group.file.folds,
                images=len({name for pair in pairs for name in (pair.first, pair.second)}),
            )
        return VerificationReport(
            status="complete",
            source=printable(str(self._published.root.resolve())),
            dataset=self._dataset,
            pairs=sum(group.pairs for group in groups.values()),
            pairs_lost=len(lost),
            groups=groups,
            identities_in_several_groups=self._crossing,
            noticed=self._noticed,
            remarks=self._remarks,
            lost=lost,
        )

    def _failure(self, report: VerificationReport, empty: list[str]) -> str:
        lines = [f"{report.pairs_lost:,} of {report.pairs:,} pairs are lost:"]
        for pair in report.lost[:_NAMED]:
            lines.append(f"  {Path(pair.file).name} line {pair.line}: {pair.reason}")
        if len(report.lost) > _NAMED:
            lines.append(f"  … and {len(report.lost) - _NAMED:,} more, all in {self._path}")
        if empty:
            lines.append(f"No pair is left of {', '.join(map(repr, empty))}")
        else:
            rate = -(-report.pairs_lost * 10_000 // report.pairs) / 10_000
            lines.append(
                f"Go on without them with --max-lost-rate {rate:g}, or mend the images and write "
                "into a new folder"
            )
        return "\n".join(lines)


def _kept(
    published: PublishedSet,
    manifest: Manifest,
    rows: dict[_Key, int],
    named: bool,
    report: VerificationReport,
) -> PreparedSet:
    """The pairs both of whose images have a row, in the order of the files."""
    table = [
        (rows[number, pair.first], rows[number, pair.second], pair.genuine, number, pair.fold)
        for number, group in enumerate(published.groups)
        for pair in group.file.pairs
        if (number, pair.first) in rows and (number, pair.second) in rows
    ]
    a, b, genuine, group, fold = np.array(table, dtype=np.int64).T
    names = tuple(group.name or "all" for group in published.groups)
    return PreparedSet(manifest, a, b, genuine.astype(bool), group, fold, names, named, report)


def _write_bins(kept: PreparedSet, out: Path, dataset: str, workers: int | None) -> None:
    workers = usable_cores() if workers is None else workers
    for number, group in enumerate(kept.groups):
        mine = kept.group == number
        rows = np.stack([kept.a[mine], kept.b[mine]], axis=1).ravel()
        name = f"{file_name(group)}_test" if kept.manifest.attributes else file_name(dataset)
        with closing(encoded(kept.manifest, rows, Encoding(), workers)) as images:
            write_bin(out / f"{name}{SUFFIX}", images, kept.genuine[mine])
