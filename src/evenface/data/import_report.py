"""What an import did, as it is kept beside the images (``import-report.json``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from evenface.data.duplicates import Duplicates

REPORT_NAME = "import-report.json"

_NAMED = 10  # problems told in an error message; the report lists them all
_COMMON_SIZES = 10  # sizes told in the report


class Problem(BaseModel):
    """An image file that could not be used."""

    record: str
    problem: str
    identity: str = ""
    attributes: dict[str, str] = {}
    """That the source declares of it, so that failures can be counted by group."""


class Duplicate(BaseModel):
    """An image file whose bytes equal those of an earlier one."""

    record: str
    equals: str
    across_identities: bool
    """Files with these bytes stand under several identities: a label at least is wrong."""


class DuplicateReport(BaseModel):
    """Image files with the same bytes as an earlier one."""

    policy: Duplicates = "keep"
    within_identities: int = 0
    across_identities: int = 0
    images_dropped: int = 0
    """Images in the store that the manifest leaves out. Within an identity the first of its files
    stays; across identities none, because no label is sure."""
    listed: list[Duplicate] = []


class SourceSizes(BaseModel):
    """Widths and heights of the image files, in pixels."""

    shorter_side: dict[str, float] = {}
    """``min``, ``median`` and ``max``."""
    distinct: int = 0
    common: dict[str, int] = {}
    """"width×height" → files, the ten most frequent."""


class GroupCount(BaseModel):
    """Size of one group."""

    images: int
    identities: int


class ImportReport(BaseModel):
    """What an import did (``import-report.json``)."""

    version: int = 2
    status: Literal["complete", "failed"]
    request: dict[str, Any]
    """Source and options that decide the result."""
    remarks: list[str]
    """How the source was read."""
    records: int
    """Image files of the source."""
    images: int
    """Faces in the manifest."""
    identities: int
    without_identity: int = 0
    """Faces that nobody says who they are of."""
    groups: dict[str, GroupCount]
    """By the first attribute; "all" where the source declares none."""
    noticed: dict[str, int]
    """Images taken with "many faces", "central face is not the largest" (whichever was taken),
    "turned" (the face did not stand upright), "small face" or "resized"."""
    identities_lost: list[str]
    """Identities none of whose images could be used."""
    identities_with_one_image: list[str]
    problem_rate: float
    """Share of image files that cannot be used, or equal one of another identity."""
    problems: list[Problem]
    duplicates: DuplicateReport = DuplicateReport()
    source_sizes: SourceSizes = SourceSizes()


def source_sizes(parts: Iterable[dict[str, int]]) -> SourceSizes:
    """Summary of several counts "width×height" → files."""
    sizes: Counter[str] = Counter()
    for part in parts:
        sizes.update(part)
    if not sizes:
        return SourceSizes()
    sides = np.array([min(map(int, size.split("×"))) for size in sizes])
    order = np.argsort(sides, kind="stable")
    below = np.cumsum(np.array(list(sizes.values()))[order])
    median = sides[order][np.searchsorted(below, below[-1] / 2)]
    common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_COMMON_SIZES]
    return SourceSizes(
        shorter_side={"min": int(sides.min()), "median": int(median), "max": int(sides.max())},
        distinct=len(sizes),
        common=dict(common),
    )


def failure_message(out: Path, report: ImportReport) -> str:
    """Why the import into ``out`` failed, and what to do."""
    bad = [f"{item.record}: {item.problem}" for item in report.problems]
    across = report.duplicates.across_identities if report.duplicates.policy == "keep" else 0
    lines = []
    if bad:
        lines += [f"{len(bad):,} of {report.records:,} images cannot be used:", *_told(bad, out)]
    if across:
        listed = report.duplicates.listed
        same = [f"{d.record}: equals {d.equals}" for d in listed if d.across_identities]
        lines += [
            f"{across:,} of {report.records:,} images are identical to one of another identity, so "
            "one of the labels is wrong:",
            *_told(same, out),
        ]
    if not report.images:
        lines.append(
            "No image is left. Is this a set of faces? Crops that are aligned already can be "
            "imported with --align never"
        )
        return "\n".join(lines)
    rate = -(-(len(bad) + across) * 10_000 // report.records) / 10_000
    skip = (
        "leave identical images out with --duplicates drop, or accept them"
        if across
        else "or skip them"
    )
    lines.append(
        f"Mend them and run the same command again, {skip} with --max-bad-rate {rate:g}; "
        "what is done is kept"
    )
    return "\n".join(lines)


def _told(items: list[str], out: Path) -> list[str]:
    lines = [f"  {item}" for item in items[:_NAMED]]
    if len(items) > _NAMED:
        lines.append(f"  … and {len(items) - _NAMED:,} more, all in {out / REPORT_NAME}")
    return lines
