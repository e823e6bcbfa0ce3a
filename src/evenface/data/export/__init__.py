"""Export: from a manifest to the formats that other programs read. One module a format."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from evenface.console import note, warn
from evenface.data.export import folder, parquet, recordio, verification, webdataset
from evenface.data.export.base import (
    Encoding,
    Exporter,
    Job,
    PairProtocol,
    has_predicted,
    written_name,
)
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.files import abandoned, atomic_folder, read_json, write_json
from evenface.lock import FolderLock
from evenface.parallel import usable_cores
from evenface.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

REPORT_NAME = "export-report.json"
SHARD_IMAGES = 10_000

EXPORTERS: Registry[Exporter] = Registry("export format")
EXPORTERS.register("bin")(verification.EXPORTER)
EXPORTERS.register("folder")(folder.EXPORTER)
EXPORTERS.register("parquet")(parquet.EXPORTER)
EXPORTERS.register("recordio")(recordio.EXPORTER)
EXPORTERS.register("webdataset")(webdataset.EXPORTER)


class ExportReport(BaseModel):
    """What an export did (``export-report.json``)."""

    version: int = 1
    request: dict[str, Any]
    """Format, options and fingerprint of what was exported."""
    images: int
    """Rows of the manifest."""
    identities: int
    origins: dict[str, int]
    licences: dict[str, int]
    remarks: list[str]
    """What the format could not carry, and what else a person should know."""


def export(
    manifest: Manifest,
    out: str | Path,
    format: str,
    *,
    encoding: Encoding | None = None,
    group_by: Sequence[str] | None = None,
    shard_images: int | None = None,
    protocol: PairProtocol | None = None,
    workers: int | None = None,
) -> ExportReport:
    """Write a manifest's images in another format, in constant memory.

    Args:
        manifest: what to export, e.g. a mix.
        out: folder to write; it appears when all is written. One that holds this same export is
            left as it is; one that holds anything else is refused.
        format: a name of :data:`EXPORTERS`.
        encoding: PNG unless given.
        group_by: attributes of the level of groups (``folder``); None: the first one there is.
        shard_images: images a shard (``parquet``, ``webdataset``); None: 10,000.
        protocol: pairs (``bin``); of this manifest.
        workers: threads; None: one for each core.

    Raises:
        UsageError: no such format, an option that means nothing in it, or out of range.
        DataError: ``out`` holds something else, or content that the format cannot hold.
    """
    out = Path(out)
    if format not in EXPORTERS:
        raise UsageError(f"unknown format {format!r}; known: {', '.join(EXPORTERS)}")
    exporter = EXPORTERS[format]
    workers = usable_cores() if workers is None else workers
    given = {"group_by": group_by, "shard_images": shard_images, "protocol": protocol}
    _check_options(exporter, manifest, given, workers)
    job = Job(
        manifest,
        out,
        encoding or Encoding(),
        workers,
        manifest.attributes[:1] if group_by is None else tuple(group_by),
        SHARD_IMAGES if shard_images is None else shard_images,
        protocol,
    )
    request = _request(exporter, job)
    if finished := _finished(out, request):
        return finished
    doing = "is exporting there. Wait for it, or choose another folder"
    with FolderLock(out, doing=doing, beside=True):
        return _finished(out, request) or _export(exporter, job, request)


def _export(exporter: Exporter, job: Job, request: dict[str, Any]) -> ExportReport:
    """:func:`export` into a folder that is held and not finished."""
    out, manifest = job.folder, job.manifest
    for remains in abandoned(out):
        warn(f"{remains}: left by an export that was killed; delete it")
    with atomic_folder(out) as folder:
        remarks = [
            *_losses(exporter, manifest),
            *_predicted(exporter, job),
            *exporter.write(replace(job, folder=folder)),
        ]
        report = ExportReport(
            request=request,
            images=len(manifest),
            identities=len(manifest.identities()),
            origins=_counts(manifest, "origin"),
            licences=_counts(manifest, "licence"),
            remarks=remarks,
        )
        write_json(folder / REPORT_NAME, report.model_dump())
        _refuse_foreign(out)
    return report


def _check_options(
    exporter: Exporter, manifest: Manifest, given: dict[str, Any], workers: int
) -> None:
    for name, value in given.items():
        if value is not None and name not in exporter.uses:
            raise UsageError(f"{name} means nothing for the format '{exporter.name}'")
    protocol = given["protocol"]
    if protocol is None and "protocol" in exporter.uses:
        raise UsageError(f"the format '{exporter.name}' needs pairs: give a protocol")
    if protocol is not None and protocol.manifest_fingerprint != manifest.fingerprint:
        raise DataError("the protocol's pairs are of another manifest: draw them anew")
    if given["shard_images"] is not None and given["shard_images"] < 1:
        raise UsageError(f"a shard has at least one image, got {given['shard_images']}")
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")


def _request(exporter: Exporter, job: Job) -> dict[str, Any]:
    options = {
        "group_by": list(job.group_by),
        "shard_images": job.shard_images,
        "protocol": job.protocol and job.protocol.fingerprint,
    }
    return {
        "format": exporter.name,
        "images": job.encoding.description,
        "manifest": job.manifest.fingerprint,
        **{name: options[name] for name in sorted(exporter.uses)},
    }


def _finished(out: Path, request: dict[str, Any]) -> ExportReport | None:
    """The report of this export when ``out`` holds it."""
    if not (out / REPORT_NAME).is_file():
        _refuse_foreign(out)
        return None
    held = read_json(out / REPORT_NAME)
    if not isinstance(held, dict) or held.get("request") != request:
        raise DataError(
            f"{out}: holds another export already. Choose another folder or delete this one"
        )
    note(f"{out}: exported already; nothing to do")
    return ExportReport.model_validate(held)


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file; the export needs a folder")
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: not empty, and no export. Choose a new folder")


def _losses(exporter: Exporter, manifest: Manifest) -> list[str]:
    lost = [name for name in exporter.loses if any(manifest.column(name))]
    return [f"the format carries no {', '.join(lost)}"] if lost else []


def _predicted(exporter: Exporter, job: Job) -> list[str]:
    manifest = job.manifest
    if exporter.names_attributes:
        return [
            f"{name!r} is predicted, in part or whole, and so written as "
            f"{written_name(manifest, name)!r}"
            for name in manifest.attributes
            if has_predicted(manifest, name)
        ]
    groups = job.protocol.group_by if job.protocol else job.group_by
    return [
        f"the groups by {name!r} are predicted, in part or whole, which the format cannot say"
        for name in groups
        if has_predicted(manifest, name)
    ]


def _counts(manifest: Manifest, name: str) -> dict[str, int]:
    return dict(sorted(Counter(map(str, manifest.column(name))).items()))


__all__ = ["EXPORTERS", "Encoding", "ExportReport", "export"]
