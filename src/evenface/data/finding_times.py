"""How long an import took to find faces, by group: a fact of its machine, beside the data set.

Only images that a detector looked at count; no fingerprint and no comparison covers the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from evenface.data.formats import Source
from evenface.data.manifest import ALL
from evenface.errors import DataError
from evenface.files import read_json, write_json
from evenface.machine import describe_machine

FINDING_TIMES_NAME = "finding-times.json"


class GroupTime(BaseModel, frozen=True, extra="forbid"):
    """Milliseconds for one image of a group."""

    images: int
    """That were timed."""
    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> GroupTime:
        """Of at least one image."""
        median, p95 = 1e3 * np.percentile(seconds, [50, 95])
        return cls(images=len(seconds), median=round(median, 3), p95=round(p95, 3))


class FindingTimes(BaseModel, frozen=True, extra="forbid"):
    """What an import took to find the faces of single images."""

    machine: dict[str, Any]
    workers: int
    """Threads that looked for faces at once."""
    everyone: GroupTime
    by: dict[str, dict[str, GroupTime]]
    """Attribute → value → time."""

    def of_groups(self, group_by: Sequence[str]) -> dict[str, GroupTime]:
        """Group → time; nothing where the groups cross attributes or are of another one."""
        if not group_by:
            return {ALL: self.everyone}
        return self.by.get(group_by[0], {}) if len(group_by) == 1 else {}


def write_finding_times(
    folder: Path, source: Source, seconds: Mapping[int, float], workers: int
) -> None:
    """Write :data:`FINDING_TIMES_NAME` of an import; nothing where no detector ran.

    Args:
        folder: the data set's.
        source: what was imported.
        seconds: record → time in which its faces were found.
        workers: threads of the import.
    """
    if not seconds:
        return
    found: dict[str, dict[str, list[float]]] = {name: {} for name in source.attributes}
    for number, took in seconds.items():
        for name, value in zip(source.attributes, source.record(number).attributes, strict=True):
            if value is not None:
                found[name].setdefault(value, []).append(took)
    times = FindingTimes(
        machine=describe_machine("cpu"),
        workers=workers,
        everyone=GroupTime.of(list(seconds.values())),
        by={
            name: {value: GroupTime.of(of) for value, of in sorted(values.items())}
            for name, values in found.items()
        },
    )
    write_json(folder / FINDING_TIMES_NAME, times.model_dump(mode="json"))


def read_finding_times(folder: Path) -> FindingTimes | None:
    """What an import wrote; None where there is no such file, or it is damaged."""
    try:
        return FindingTimes.model_validate(read_json(folder / FINDING_TIMES_NAME))
    except (DataError, ValidationError):  # times are no part of the data
        return None
