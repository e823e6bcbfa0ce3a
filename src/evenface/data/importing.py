"""Import: from a data set as it is published to a dataset folder of aligned faces.

A dataset folder holds the image store, ``manifest.parquet`` and ``import-report.json``. Files are
decoded, faces found and aligned on all cores in constant memory; the result does not depend on the
number of workers. An interrupted import continues where it stopped.
"""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import cv2
import numpy as np
from pydantic import BaseModel

from evenface.assets import asset_path
from evenface.console import note, progress
from evenface.data.detect import FaceDetector
from evenface.data.formats import Source, open_source
from evenface.data.formats.folder import printable
from evenface.data.journal import JOURNAL_NAME, Chunk, Journal
from evenface.data.manifest import MANIFEST_NAME, ORIGINS, Manifest
from evenface.data.prepare import NOTES, Align, Prepared, Preparer
from evenface.data.store import (
    HEADER_NAME,
    IMAGE_BYTES,
    IMAGES_NAME,
    PARTIAL_NAME,
    ImageStore,
    ImageStoreWriter,
)
from evenface.errors import DataError, UsageError
from evenface.files import read_json, write_json
from evenface.parallel import usable_cores

REPORT_NAME = "import-report.json"

_CHUNK = 256  # records between two entries of the journal
_BATCH = 8  # records a worker takes at a time
_NAMED = 10  # problems told in an error message; the report lists them all
_UNFINISHED = {JOURNAL_NAME, MANIFEST_NAME, REPORT_NAME, PARTIAL_NAME, IMAGES_NAME}

T = TypeVar("T")
R = TypeVar("R")


class Problem(BaseModel):
    """An image file that could not be used."""

    record: str
    problem: str


class GroupCount(BaseModel):
    """Size of one group."""

    images: int
    identities: int


class ImportReport(BaseModel):
    """What an import did (``import-report.json``)."""

    version: int = 1
    status: Literal["complete", "failed"]
    request: dict[str, Any]
    """Source and options that decide the result."""
    remarks: list[str]
    """How the source was read."""
    records: int
    """Image files of the source."""
    images: int
    """Faces written."""
    identities: int
    groups: dict[str, GroupCount]
    """By the first attribute; "all" where the source declares none."""
    noticed: dict[str, int]
    """Images taken with "many faces" (the largest was taken), "small face" or "resized"."""
    identities_lost: list[str]
    """Identities none of whose images could be used."""
    identities_with_one_image: list[str]
    problem_rate: float
    problems: list[Problem]


def import_folder(
    source: str | Path,
    out: str | Path,
    *,
    dataset: str,
    origin: str,
    licence: str,
    align: Align = "auto",
    group_attribute: str = "group",
    split: str = "",
    max_bad_rate: float = 0.0,
    workers: int | None = None,
    detector: str | Path | None = None,
) -> ImportReport:
    """Import the images at ``source``, laid out as ``[<group>/]<identity>/<image>``.

    The arguments are those of :func:`import_source`; ``group_attribute`` is the attribute that the
    group level becomes.

    Raises:
        DataError: also when ``source`` is not laid out so.
    """
    source, out = Path(source), Path(out)
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{out}: lies inside the source; choose a folder elsewhere")
    return import_source(
        open_source(source, group_attribute=group_attribute),
        out,
        dataset=dataset,
        origin=origin,
        licence=licence,
        align=align,
        split=split,
        max_bad_rate=max_bad_rate,
        workers=workers,
        detector=detector,
    )


def import_source(
    source: Source,
    out: str | Path,
    *,
    dataset: str,
    origin: str,
    licence: str,
    align: Align = "auto",
    split: str = "",
    max_bad_rate: float = 0.0,
    workers: int | None = None,
    detector: str | Path | None = None,
) -> ImportReport:
    """Import any source into the dataset folder ``out``.

    Args:
        source: what to import.
        out: a folder that does not exist, is empty, or holds this same import: a finished one is
            not repeated, an interrupted or failed one continues.
        dataset, licence, split: text for every row.
        origin: "real" or "synthetic".
        align: ``auto`` takes 112×112 images as aligned and aligns all others; ``always`` aligns
            all; ``never`` resizes the whole image, which suits only crops that are aligned already.
        max_bad_rate: share of image files that may be unusable; they are left out and listed.
        workers: threads; None: one for each core.
        detector: YuNet's ONNX file; None: the asset ``yunet``, needed only when a face must be
            found.

    Returns:
        The report, which is also written to ``import-report.json``.

    Raises:
        UsageError: options out of range.
        DataError: too many unusable images, or ``out`` holds something else.
        MissingAssetError: a face must be found and YuNet is not there.
    """
    out = Path(out)
    workers = usable_cores() if workers is None else workers
    _check_options(origin, align, max_bad_rate, workers)
    request = {
        "source": source.description,
        "dataset": dataset,
        "origin": origin,
        "licence": licence,
        "align": align,
        "split": split,
    }
    if finished := _finished(out, request):
        return finished
    _refuse_foreign(out)
    preparer = Preparer(align, lambda: FaceDetector(detector or asset_path("yunet")))
    journal = Journal(out, request)
    with _quiet_libraries():
        chunks = _resumable(out, source, preparer, journal, max_bad_rate, workers)
        out.mkdir(parents=True, exist_ok=True)
        journal.start(chunks)
        for remark in source.remarks:
            note(remark)
        with ImageStoreWriter(out, resume=chunks[-1].images if chunks else 0) as writer:
            for chunk in _import_chunks(source, preparer, writer, chunks, workers):
                journal.append(chunk)
                chunks.append(chunk)
            report = _conclude(source, out, request, chunks, max_bad_rate)
    journal.remove()
    return report


# --- the folder and what it holds ------------------------------------------------------------


def _check_options(origin: str, align: str, max_bad_rate: float, workers: int) -> None:
    if origin not in ORIGINS:
        raise UsageError(f"origin is one of {', '.join(ORIGINS)}; got {origin!r}")
    if align not in get_args(Align):
        raise UsageError(f"align is one of {', '.join(get_args(Align))}; got {align!r}")
    if not 0.0 <= max_bad_rate <= 1.0:
        raise UsageError(f"the highest rate of bad images is between 0 and 1, got {max_bad_rate}")
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")


def _finished(out: Path, request: dict[str, Any]) -> ImportReport | None:
    """The report of this import when ``out`` holds it, finished."""
    if not (out / HEADER_NAME).exists():
        return None
    report_path = out / REPORT_NAME
    held = read_json(report_path) if report_path.exists() else {}
    if held.get("request") != request:
        raise DataError(
            f"{out}: holds another data set already{_difference(held.get('request'), request)}. "
            "Choose another folder or delete this one"
        )
    ImageStore.open(out)
    (out / JOURNAL_NAME).unlink(missing_ok=True)  # killed in the very last step
    note(f"{out}: imported already; nothing to do")
    return ImportReport.model_validate(held)


def _difference(held: Any, request: dict[str, Any]) -> str:
    if not isinstance(held, dict):
        return ""
    differing = [key for key in request if held.get(key) != request[key]]
    return f" (an import with another {', '.join(differing)})" if differing else ""


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file; the import needs a folder")
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    foreign = names - _UNFINISHED if names & {JOURNAL_NAME, REPORT_NAME} else names
    if foreign:
        raise DataError(
            f"{out}: not empty; it holds {printable(min(foreign))!r}, which no import left there. "
            "Choose a new folder"
        )


def _resumable(
    out: Path,
    source: Source,
    preparer: Preparer,
    journal: Journal,
    max_bad_rate: float,
    workers: int,
) -> list[Chunk]:
    """The chunks of an interrupted or failed import that need not be done again."""
    chunks = journal.read()
    partial = out / PARTIAL_NAME
    written = partial.stat().st_size // IMAGE_BYTES if partial.is_file() else 0
    while chunks and chunks[-1].images > written:
        chunks.pop()
    problems = [number for chunk in chunks for number in chunk.problems]
    if len(problems) > max_bad_rate * len(source):
        # They may have been mended since; the order of the store must not tell.
        mended = _first_mended(source, preparer, problems, workers)
        while chunks and mended is not None and chunks[-1].records > mended:
            chunks.pop()
    if chunks:
        note(f"{out}: continues after {chunks[-1].records:,} of {len(source):,} files")
    return chunks


def _first_mended(
    source: Source, preparer: Preparer, problems: list[int], workers: int
) -> int | None:
    def fine(number: int) -> bool:
        return not _prepare(source, preparer, number).problem

    for number, works in zip(problems, _in_order(fine, problems, workers), strict=True):
        if works:
            return number
    return None


# --- the work --------------------------------------------------------------------------------


def _import_chunks(
    source: Source,
    preparer: Preparer,
    writer: ImageStoreWriter,
    done: list[Chunk],
    workers: int,
) -> Iterator[Chunk]:
    start = done[-1].records if done else 0
    batches = (
        range(first, min(first + _BATCH, len(source)))
        for first in range(start, len(source), _BATCH)
    )

    def prepare(batch: range) -> list[Prepared]:
        return [_prepare(source, preparer, number) for number in batch]

    chunk = Chunk(start, len(writer))
    with progress("import", len(source), unit="images", done=start) as bar:
        for batch in _in_order(prepare, batches, workers):
            for prepared in batch:
                _take(prepared, chunk, writer)
            bar.advance(len(batch))
            if chunk.records % _CHUNK == 0 or chunk.records == len(source):
                writer.flush()
                yield chunk
                chunk = Chunk(chunk.records, chunk.images)


def _prepare(source: Source, preparer: Preparer, number: int) -> Prepared:
    try:
        data = source.read(number)
    except OSError as error:
        return Prepared([], [], f"cannot be read: {error.strerror or error}")
    return preparer(data, every_face=source.record(number).every_face)


def _take(prepared: Prepared, chunk: Chunk, writer: ImageStoreWriter) -> None:
    if prepared.problem:
        chunk.problems[chunk.records] = prepared.problem
    elif len(prepared.images) != 1:
        chunk.counts[chunk.records] = len(prepared.images)
    for image, remark in zip(prepared.images, prepared.notes, strict=True):
        place = writer.append(image)
        if remark:
            chunk.notes[place] = remark
    chunk.records += 1
    chunk.images = len(writer)


def _in_order(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``map`` over threads: results in the order of ``items``, few of them in memory."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """One thread for OpenCV in each of ours, and none of Pillow's warnings about odd files."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        cv2.setNumThreads(threads)


# --- the result ------------------------------------------------------------------------------


def _conclude(
    source: Source, out: Path, request: dict[str, Any], chunks: list[Chunk], max_bad_rate: float
) -> ImportReport:
    """Write manifest and report, or the report alone and raise DataError."""
    problems = {number: text for chunk in chunks for number, text in chunk.problems.items()}
    notes = {place: text for chunk in chunks for place, text in chunk.notes.items()}
    owners = _owners(chunks)
    manifest = _manifest(source, out, request, owners, notes)
    failed = len(problems) > max_bad_rate * len(source) or not len(owners)
    report = _report(source, request, manifest, problems, notes, failed)
    if not failed:
        manifest.write(out / MANIFEST_NAME)
    write_json(out / REPORT_NAME, report.model_dump())
    if failed:
        raise DataError(_failure(out, report))
    return report


def _owners(chunks: list[Chunk]) -> np.ndarray:
    """int64 (images,): the record that each image comes from."""
    counts = np.ones(chunks[-1].records if chunks else 0, dtype=np.int64)
    for chunk in chunks:
        counts[list(chunk.problems)] = 0
        counts[list(chunk.counts)] = list(chunk.counts.values())
    return np.repeat(np.arange(len(counts)), counts)


def _manifest(
    source: Source,
    out: Path,
    request: dict[str, Any],
    owners: np.ndarray,
    notes: dict[int, str],
) -> Manifest:
    identities = np.empty(len(owners), dtype=object)
    values = {name: np.empty(len(owners), dtype=object) for name in source.attributes}
    for place, number in enumerate(owners.tolist()):
        record = source.record(number)
        identities[place] = record.identity
        for name, value in zip(source.attributes, record.attributes, strict=True):
            values[name][place] = value
    return Manifest.from_columns(
        out,
        index=np.arange(len(owners)),
        identity=identities,
        origin=request["origin"],
        dataset=request["dataset"],
        licence=request["licence"],
        split=request["split"],
        notes=[notes.get(place, "") for place in range(len(owners))],
        attributes=values,
    )


def _report(
    source: Source,
    request: dict[str, Any],
    manifest: Manifest,
    problems: dict[int, str],
    notes: dict[int, str],
    failed: bool,
) -> ImportReport:
    identities, labels = manifest.identities(), manifest.labels()
    images_each = np.bincount(labels, minlength=len(identities))
    lost = {source.record(number).identity for number in problems} - set(identities)
    groups = manifest.groups()
    noticed = Counter(part for text in notes.values() for part in text.split("; "))
    return ImportReport(
        status="failed" if failed else "complete",
        request=request,
        remarks=list(source.remarks),
        records=len(source),
        images=len(manifest),
        identities=len(identities),
        groups={
            str(group): GroupCount(
                images=int((groups == group).sum()),
                identities=len(np.unique(labels[groups == group])),
            )
            for group in np.unique(groups)
        },
        noticed={name: noticed[name] for name in NOTES},
        identities_lost=sorted(lost),
        identities_with_one_image=[
            name for name, images in zip(identities, images_each, strict=True) if images == 1
        ],
        problem_rate=len(problems) / len(source),
        problems=[
            Problem(record=source.record(number).name, problem=text)
            for number, text in sorted(problems.items())
        ],
    )


def _failure(out: Path, report: ImportReport) -> str:
    bad = report.problems
    lines = [f"  {item.record}: {item.problem}" for item in bad[:_NAMED]]
    if len(bad) > _NAMED:
        lines.append(f"  … and {len(bad) - _NAMED:,} more, all in {out / REPORT_NAME}")
    rate = -(-len(bad) * 10_000 // report.records) / 10_000
    remedy = (
        f"Mend them and run the same command again, or skip them with --max-bad-rate {rate:g}; "
        "what is done is kept"
        if report.images
        else "No image is left. Is this a folder of faces? Crops that are aligned already can be "
        "imported with --align never"
    )
    return (
        f"{len(bad):,} of {report.records:,} images cannot be used:\n"
        + "\n".join(lines)
        + f"\n{remedy}"
    )
