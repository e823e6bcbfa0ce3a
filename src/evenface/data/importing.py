"""Import: from a data set as it is published to a dataset folder of aligned faces.

A dataset folder holds the image store, ``manifest.parquet`` and ``import-report.json``. Files are
decoded, faces found and aligned on all cores in constant memory; the result does not depend on the
number of workers. An interrupted import continues where it stopped.
"""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args

import cv2
import numpy as np

from evenface.console import note, progress
from evenface.data.detect import FaceDetector
from evenface.data.duplicates import (
    DIGESTS_NAME,
    UNREAD,
    DigestFile,
    Duplicates,
    SameFile,
    digest,
    find_duplicates,
    write_digests,
)
from evenface.data.finding_times import FINDING_TIMES_NAME, write_finding_times
from evenface.data.formats import ReadOptions, Source, choose_format, open_source
from evenface.data.formats.columns import Texts
from evenface.data.formats.folder import printable
from evenface.data.import_report import (
    REPORT_NAME,
    Duplicate,
    DuplicateReport,
    GroupCount,
    ImportReport,
    Problem,
    failure_message,
    source_sizes,
)
from evenface.data.journal import JOURNAL_NAME, Chunk, Journal
from evenface.data.manifest import MANIFEST_NAME, NOBODY, ORIGINS, Manifest
from evenface.data.prepare import MANY_FACES, NOTES, Align, FaceRule, Prepared, Preparer
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
from evenface.lock import LOCK_NAME, FolderLock
from evenface.parallel import usable_cores

_CHUNK = 256  # records between two entries of the journal
_BATCH = 8  # records a worker takes at a time
_AHEAD = 32  # batches that workers may be ahead, so that they need not wait for the disk
_UNFINISHED = {
    FINDING_TIMES_NAME,
    JOURNAL_NAME,
    DIGESTS_NAME,
    MANIFEST_NAME,
    REPORT_NAME,
    PARTIAL_NAME,
    IMAGES_NAME,
}
_NO_OPTIONS = ReadOptions()

T = TypeVar("T")
R = TypeVar("R")


def import_folder(
    source: str | Path, out: str | Path, *, group_attribute: str = "group", **options: Any
) -> ImportReport:
    """Import the folder ``source``, laid out as ``[<group>/]<identity>/<image>``.

    ``group_attribute`` is the attribute that the group level becomes; the other arguments are those
    of :func:`import_dataset`.
    """
    read = ReadOptions(group_attribute=group_attribute)
    return import_dataset(source, out, format="folder", read=read, **options)


def import_dataset(
    source: str | Path,
    out: str | Path,
    *,
    dataset: str,
    origin: str,
    licence: str,
    format: str = "",
    read: ReadOptions = _NO_OPTIONS,
    align: Align = "auto",
    face: FaceRule = "central",
    duplicates: Duplicates = "keep",
    split: str = "",
    max_bad_rate: float = 0.0,
    workers: int | None = None,
) -> ImportReport:
    """Import a data set as it is published, in any format of :data:`evenface.data.formats.FORMATS`.

    >>> import tempfile, evenface
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for person, colour in (("ann", "tan"), ("bob", "grey")):
    ...         Path(folder, "faces", "north", person).mkdir(parents=True)
    ...         Image.new("RGB", (112, 112), colour).save(f"{folder}/faces/north/{person}/1.png")
    ...     labels = {"dataset": "toy", "origin": "synthetic", "licence": "CC0"}
    ...     report = evenface.import_dataset(f"{folder}/faces", f"{folder}/data", **labels)
    ...     len(evenface.load_dataset(f"{folder}/data"))
    2

    Args:
        source: file, folder or pattern.
        format: its format; "": told from the path, and said.
        read: how to read it.
        out, dataset, origin, licence, align, face, duplicates, split, max_bad_rate, workers:
            see :func:`import_source`.

    Raises:
        DataError: also when ``source`` is of no known format or malformed.
        UsageError: also when an option means nothing in this format.
    """
    source, out = Path(source), Path(out)
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{out}: is inside the source; choose another folder")
    chosen = choose_format(source, format)
    note(f"{source}: read as '{chosen.name}' ({chosen.layout})")
    return import_source(
        open_source(source, read, format=chosen.name),
        out,
        dataset=dataset,
        origin=origin,
        licence=licence,
        align=align,
        face=face,
        duplicates=duplicates,
        split=split,
        max_bad_rate=max_bad_rate,
        workers=workers,
    )


def import_source(
    source: Source,
    out: str | Path,
    *,
    dataset: str,
    origin: str,
    licence: str,
    align: Align = "auto",
    face: FaceRule = "central",
    duplicates: Duplicates = "keep",
    split: str = "",
    max_bad_rate: float = 0.0,
    workers: int | None = None,
) -> ImportReport:
    """Import any source into the dataset folder ``out``.

    Args:
        source: what to import.
        out: a folder that does not exist, is empty, or holds this same import: a finished one is
            not repeated, an interrupted or failed one continues.
        dataset, licence: text for every row.
        origin: "real" or "synthetic"; of rows whose source does not say it.
        align: ``auto`` takes 112×112 images as aligned and aligns all others, by the landmarks that
            the source gives or by those that YuNet finds; ``always`` aligns all; ``never`` resizes
            the whole image, which suits only crops that are aligned already.
        face: which of several faces an image gives: ``central``, the choice for sets of loose
            crops (:func:`evenface.data.prepare.central_face`), or ``largest``.
        duplicates: what becomes of files with the same bytes as an earlier one; all are listed.
            ``keep``: they stay, but those that stand under several identities count as bad.
            ``drop``: of each identity one stays; of those under several identities none.
        split: of rows whose source does not say it.
        max_bad_rate: share of image files that may be bad: those that cannot be used are left out.
        workers: threads; None: one for each core.

    Returns:
        The report, which is also written to ``import-report.json``.

    Raises:
        UsageError: options out of range.
        DataError: too many unusable images, or ``out`` holds something else.
    """
    out = Path(out)
    workers = usable_cores() if workers is None else workers
    _check_options(origin, align, face, duplicates, max_bad_rate, workers)
    request = {
        "source": source.description,
        "dataset": dataset,
        "origin": origin,
        "licence": licence,
        "align": align,
        "face": face,
        "duplicates": duplicates,
        "split": split,
    }
    if finished := _finished(out, request):
        return finished
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file; the import needs a folder")
    with FolderLock(out, doing="is importing there. Wait for it, or choose another folder"):
        return _finished(out, request) or _import(
            source, out, request, align, face, duplicates, max_bad_rate, workers
        )


def _import(
    source: Source,
    out: Path,
    request: dict[str, Any],
    align: Align,
    face: FaceRule,
    duplicates: Duplicates,
    max_bad_rate: float,
    workers: int,
) -> ImportReport:
    """:func:`import_source` in a folder that is held and not finished."""
    _refuse_foreign(out)
    preparer = Preparer(align, FaceDetector, face=face)
    journal, digests = Journal(out, request), DigestFile(out)
    seconds: dict[int, float] = {}
    with _quiet_libraries():
        chunks = _resumable(source, preparer, journal, digests, duplicates, max_bad_rate, workers)
        journal.start(chunks)
        for remark in source.remarks:
            note(remark)
        done = chunks[-1] if chunks else Chunk(0, 0)
        with ImageStoreWriter(out, resume=done.images) as writer:
            with digests.open(done.records) as digest_file:
                for chunk in _import_chunks(
                    source, preparer, writer, digest_file, done, workers, seconds
                ):
                    journal.append(chunk)
                    chunks.append(chunk)
            report = _conclude(source, out, request, chunks, digests.read(), max_bad_rate)
            write_finding_times(out, source, seconds, workers)
    digests.remove()
    journal.remove()
    return report


# --- the folder and what it holds ------------------------------------------------------------


def _check_options(
    origin: str, align: str, face: str, duplicates: str, max_bad_rate: float, workers: int
) -> None:
    if origin not in ORIGINS:
        raise UsageError(f"origin is one of {', '.join(ORIGINS)}; got {origin!r}")
    if align not in get_args(Align):
        raise UsageError(f"align is one of {', '.join(get_args(Align))}; got {align!r}")
    if face not in get_args(FaceRule):
        raise UsageError(f"face is one of {', '.join(get_args(FaceRule))}; got {face!r}")
    if duplicates not in get_args(Duplicates):
        raise UsageError(f"duplicates is one of keep, drop; got {duplicates!r}")
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
    asked = held.get("request")
    if isinstance(asked, dict):
        asked = _before(held, request) | asked
    if asked != request:
        raise DataError(
            f"{out}: holds another data set already{_difference(asked, request)}. "
            "Choose another folder or delete this one"
        )
    ImageStore.open(out)
    for name in (JOURNAL_NAME, DIGESTS_NAME):  # killed in the very last step
        (out / name).unlink(missing_ok=True)
    note(f"{out}: imported already; nothing to do")
    return ImportReport.model_validate(held)


def _before(held: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """How imports went before there was an option for it."""
    # Where no image had several faces, every rule takes the same one.
    crowded = held.get("noticed", {}).get(MANY_FACES, 0)
    return {"duplicates": "keep", "face": "largest" if crowded else request["face"]}


def _difference(held: Any, request: dict[str, Any]) -> str:
    if not isinstance(held, dict):
        return ""
    differing = [key for key in request if held.get(key) != request[key]]
    return f" (an import with another {', '.join(differing)})" if differing else ""


def _refuse_foreign(out: Path) -> None:
    names = {path.name for path in out.iterdir()} - {LOCK_NAME}
    foreign = names - _UNFINISHED if names & {JOURNAL_NAME, REPORT_NAME} else names
    if foreign:
        raise DataError(
            f"{out}: not empty; it holds {printable(min(foreign))!r}, which no import left there. "
            "Choose a new folder"
        )


def _resumable(
    source: Source,
    preparer: Preparer,
    journal: Journal,
    digests: DigestFile,
    duplicates: Duplicates,
    max_bad_rate: float,
    workers: int,
) -> list[Chunk]:
    """The chunks of an interrupted or failed import that need not be done again."""
    out = digests.path.parent
    chunks = journal.read()
    partial = out / PARTIAL_NAME
    written = partial.stat().st_size // IMAGE_BYTES if partial.is_file() else 0
    while chunks and (chunks[-1].images > written or chunks[-1].records > len(digests)):
        chunks.pop()
    known = digests.read()[: chunks[-1].records if chunks else 0]
    problems = {number for chunk in chunks for number in chunk.problems}
    same = _same_files(source, known, problems)
    if _bad(problems, same, duplicates) > max_bad_rate * len(source):
        # They may have been mended since; the order of the store must not tell.
        suspects = {n for item in same if item.across for n in (item.record, item.equals)}

        def mended(number: int) -> bool:
            prepared, now = _prepare(source, preparer, number)
            return now != known[number].tobytes() or (number in problems and not prepared.problem)

        first = _first(mended, sorted(problems | suspects), workers)
        while chunks and first is not None and chunks[-1].records > first:
            chunks.pop()
    if chunks:
        note(f"{out}: continues after {chunks[-1].records:,} of {len(source):,} files")
    return chunks


def _first(true_of: Callable[[int], bool], numbers: list[int], workers: int) -> int | None:
    for number, true in zip(numbers, _in_order(true_of, numbers, workers), strict=True):
        if true:
            return number
    return None


def _same_files(source: Source, digests: np.ndarray, problems: Iterable[int]) -> list[SameFile]:
    usable = np.ones(len(digests), dtype=bool)
    usable[list(problems)] = False
    return find_duplicates(digests, usable, lambda number: source.record(number).identity)


# --- the work --------------------------------------------------------------------------------


def _import_chunks(
    source: Source,
    preparer: Preparer,
    writer: ImageStoreWriter,
    digest_file: BinaryIO,
    done: Chunk,
    workers: int,
    seconds: dict[int, float],
) -> Iterator[Chunk]:
    """Yield each chunk when its images and digests are on the disk; times go to ``seconds``."""
    batches = (
        range(first, min(first + _BATCH, len(source)))
        for first in range(done.records, len(source), _BATCH)
    )

    def prepare(batch: range) -> list[tuple[Prepared, bytes]]:
        return [_prepare(source, preparer, number) for number in batch]

    chunk, digests = Chunk(done.records, len(writer)), []
    with progress("import", len(source), unit="images", done=done.records) as bar:
        for batch in _in_order(prepare, batches, workers):
            for prepared, content in batch:
                if prepared.seconds:
                    seconds[chunk.records] = prepared.seconds
                _take(prepared, chunk, writer)
                digests.append(content)
            bar.advance(len(batch))
            if chunk.records % _CHUNK == 0 or chunk.records == len(source):
                writer.flush()
                write_digests(digest_file, digests)
                yield chunk
                chunk, digests = Chunk(chunk.records, chunk.images), []


def _prepare(source: Source, preparer: Preparer, number: int) -> tuple[Prepared, bytes]:
    """The faces of a record and the digest of its file."""
    try:
        data = source.read(number)
    except OSError as error:
        return Prepared([], [], f"cannot be read: {error.strerror or error}"), UNREAD
    record = source.record(number)
    prepared = preparer(data, every_face=record.every_face, landmarks=record.landmarks)
    return prepared, digest(data)


def _take(prepared: Prepared, chunk: Chunk, writer: ImageStoreWriter) -> None:
    if prepared.problem:
        chunk.problems[chunk.records] = prepared.problem
    elif len(prepared.images) != 1:
        chunk.counts[chunk.records] = len(prepared.images)
    for image, remark in zip(prepared.images, prepared.notes, strict=True):
        place = writer.append(image)
        if remark:
            chunk.notes[place] = remark
    if prepared.size[0]:
        size = "{}×{}".format(*prepared.size)
        chunk.sizes[size] = chunk.sizes.get(size, 0) + 1
    chunk.records += 1
    chunk.images = len(writer)


def _in_order(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``map`` over threads: results in the order of ``items``, few of them in memory."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 4 * workers + _AHEAD:
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
    source: Source,
    out: Path,
    request: dict[str, Any],
    chunks: list[Chunk],
    digests: np.ndarray,
    max_bad_rate: float,
) -> ImportReport:
    """Write manifest and report, or the report alone and raise DataError."""
    problems = {number: text for chunk in chunks for number, text in chunk.problems.items()}
    notes = {place: text for chunk in chunks for place, text in chunk.notes.items()}
    same = _same_files(source, digests, problems)
    owners = _owners(chunks)
    dropped = _dropped(same) if request["duplicates"] == "drop" else []
    kept = np.flatnonzero(~np.isin(owners, dropped))
    bad = _bad(problems, same, request["duplicates"])
    failed = bad > max_bad_rate * len(source) or not len(kept)
    manifest = _manifest(source, out, request, owners, kept, notes)
    report = _report(source, request, manifest, problems, notes).model_copy(
        update={
            "status": "failed" if failed else "complete",
            "problem_rate": bad / len(source),
            "duplicates": _duplicates(source, request, same, len(owners) - len(kept)),
            "source_sizes": source_sizes(chunk.sizes for chunk in chunks),
        }
    )
    if not failed:
        manifest.write(out / MANIFEST_NAME)
    write_json(out / REPORT_NAME, report.model_dump())
    if failed:
        raise DataError(failure_message(out, report))
    return report


def _owners(chunks: list[Chunk]) -> np.ndarray:
    """int64 (images,): the record that each image comes from."""
    counts = np.ones(chunks[-1].records if chunks else 0, dtype=np.int64)
    for chunk in chunks:
        counts[list(chunk.problems)] = 0
        counts[list(chunk.counts)] = list(chunk.counts.values())
    return np.repeat(np.arange(len(counts)), counts)


def _bad(problems: Collection[int], same: list[SameFile], duplicates: Duplicates) -> int:
    """Number of records that count against the rate of bad ones."""
    return len(problems) + (sum(item.across for item in same) if duplicates == "keep" else 0)


def _dropped(same: list[SameFile]) -> list[int]:
    """Records to leave out: all but the first of an identity, and all of several identities."""
    return [item.record for item in same] + [item.equals for item in same if item.across]


def _manifest(
    source: Source,
    out: Path,
    request: dict[str, Any],
    owners: np.ndarray,
    kept: np.ndarray,
    notes: dict[int, str],
) -> Manifest:
    """A row for each image of ``kept``; ``owners`` tells the record of every image."""
    identities, origins, splits = Texts(), Texts(), Texts()
    values = {name: Texts() for name in source.attributes}
    for number in owners[kept].tolist():
        record = source.record(number)
        identities.append(record.identity or f"{NOBODY}{request['dataset']}/{number}")
        origins.append(record.origin or request["origin"])
        splits.append(record.split or request["split"])
        for column, value in zip(values.values(), record.attributes, strict=True):
            column.append(value)
    return Manifest.from_columns(
        out,
        index=kept,
        identity=identities.to_arrow(),
        origin=origins.to_arrow(),
        dataset=request["dataset"],
        licence=request["licence"],
        split=splits.to_arrow(),
        notes=[notes.get(place, "") for place in kept.tolist()] if notes else "",
        attributes={name: column.to_arrow() for name, column in values.items()},
    )


def _report(
    source: Source,
    request: dict[str, Any],
    manifest: Manifest,
    problems: dict[int, str],
    notes: dict[int, str],
) -> ImportReport:
    """The report of a complete import, but for duplicates and sizes."""
    identities, labels, named = manifest.identities(), manifest.labels(), manifest.named()
    images_each = np.bincount(labels, minlength=len(identities))
    lost = {source.record(number).identity for number in problems} - {"", *identities}
    groups = manifest.groups()
    noticed = Counter(part for text in notes.values() for part in text.split("; "))
    return ImportReport(
        status="complete",
        request=request,
        remarks=list(source.remarks),
        records=len(source),
        images=len(manifest),
        identities=len(np.unique(labels[named])),
        without_identity=int((~named).sum()),
        groups={
            str(group): GroupCount(
                images=int((groups == group).sum()),
                identities=len(np.unique(labels[named & (groups == group)])),
            )
            for group in np.unique(groups)
        },
        noticed={name: noticed[name] for name in NOTES},
        identities_lost=sorted(lost),
        identities_with_one_image=[
            name
            for name, images in zip(identities, images_each, strict=True)
            if images == 1 and not name.startswith(NOBODY)
        ],
        problem_rate=len(problems) / len(source),
        problems=[_problem(source, number, text) for number, text in sorted(problems.items())],
    )


def _problem(source: Source, number: int, text: str) -> Problem:
    record = source.record(number)
    declared = zip(source.attributes, record.attributes, strict=True)
    return Problem(
        record=record.name,
        problem=text,
        identity=record.identity,
        attributes={name: value for name, value in declared if value},
    )


def _duplicates(
    source: Source, request: dict[str, Any], same: list[SameFile], dropped: int
) -> DuplicateReport:
    across = sum(item.across for item in same)
    return DuplicateReport(
        policy=request["duplicates"],
        within_identities=len(same) - across,
        across_identities=across,
        images_dropped=dropped,
        listed=[
            Duplicate(
                record=source.record(item.record).name,
                equals=source.record(item.equals).name,
                across_identities=item.across,
            )
            for item in same
        ],
    )
