"""From a published verification set to aligned faces, ``.bin`` files and pairs of rows.

Every pair of the set's files ends up in the result or in the list of lost ones, with the reason.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenface.data.export.base import Encoding, encoded, file_name
from evenface.data.formats.folder import printable
from evenface.data.formats.verification_bin import SUFFIX, write_bin
from evenface.data.importing import ImportReport, import_source
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.pair_account import REPORT_NAME, Account, VerificationReport
from evenface.data.prepare import Align, FaceRule
from evenface.data.published_sets import (
    FoundImages,
    ImageKey,
    PairsSource,
    PublishedSet,
    locate,
    people_of,
)
from evenface.errors import DataError, UsageError
from evenface.files import read_json
from evenface.lock import LOCK_NAME, FolderLock
from evenface.parallel import usable_cores

FACES_NAME = "faces"

_JOINED = (
    "the folders of the images are not people: images that genuine pairs join were taken for one "
    "person"
)


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


def prepare_verification_set(
    published: PublishedSet,
    out: str | Path,
    *,
    dataset: str,
    licence: str,
    origin: str = "real",
    align: Align = "auto",
    face: FaceRule = "central",
    max_lost_rate: float = 0.0,
    workers: int | None = None,
) -> PreparedSet:
    """Align the images of a set and keep the pairs whose images could be used.

    Writes into ``out``: ``faces`` (a dataset folder of the images that pairs name) and
    ``manifest.parquet`` over it, ``<group>_test.bin`` (or ``<dataset>.bin``) with the pairs in the
    file's order as PNG, and ``verification-report.json``. An interrupted run continues.

    Args:
        published: what :func:`find_published_set` found.
        out: folder to write.
        dataset, licence, origin, align, face, workers: see
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
        raise UsageError(f"{out}: is inside the source; choose another folder")
    _refuse_foreign(out, published, dataset)
    with FolderLock(out, doing="is writing a set there. Wait for it, or choose another folder"):
        return _prepare(
            published, out, dataset, licence, origin, align, face, max_lost_rate, workers
        )


def _prepare(
    published: PublishedSet,
    out: Path,
    dataset: str,
    licence: str,
    origin: str,
    align: Align,
    face: FaceRule,
    max_lost_rate: float,
    workers: int | None,
) -> PreparedSet:
    """:func:`prepare_verification_set` in a folder that is held."""
    images = locate(published)
    people, named = people_of(published)
    remarks = [] if named else [_JOINED]
    account = Account(published, dataset, people, remarks, out)
    account.judge(images.problems, max_lost_rate)
    source = PairsSource(published, images.found, people)
    imported = import_source(
        source,
        out / FACES_NAME,
        dataset=dataset,
        origin=origin,
        licence=licence,
        align=align,
        face=face,
        max_bad_rate=1.0,  # what counts is the rate of lost pairs
        workers=workers,
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
    names.discard(LOCK_NAME)
    ours = names <= {FACES_NAME} or REPORT_NAME in names
    held = read_json(out / REPORT_NAME) if REPORT_NAME in names else {}
    same = {"source": printable(str(published.root.resolve())), "dataset": dataset}
    if not ours or (held and {key: held.get(key) for key in same} != same):
        raise DataError(f"{out}: holds something else already. Choose a new folder")


def _rows(source: PairsSource, report: ImportReport, images: FoundImages) -> dict[ImageKey, int]:
    """Image → its row in the manifest; what the import could not use joins the problems."""
    bad = {problem.record: problem.problem for problem in report.problems}
    rows: dict[ImageKey, int] = {}
    for number, (key, _) in enumerate(images.found):
        if reason := bad.get(source.record(number).name):
            images.problems[key] = reason
        else:
            rows[key] = len(rows)
    return rows


def _kept(
    published: PublishedSet,
    manifest: Manifest,
    rows: dict[ImageKey, int],
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
