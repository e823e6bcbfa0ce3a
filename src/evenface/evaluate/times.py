"""Time per image by group on this machine: kept beside the results, never part of them.

Results are the same on every machine, times are not: they are in a file of their own, which no
fingerprint covers and no comparison reads.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from evenface.data.finding_times import GroupTime, read_finding_times
from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.evaluate.faces import Faces
from evenface.evaluate.protocols import Protocol
from evenface.evaluate.results import Record
from evenface.files import read_json, write_json
from evenface.machine import describe_machine
from evenface.teachers.base import Teacher

TIMES_FILE = "times.json"
IMAGES = 32
"""Most images of a group that are timed."""
LONGEST = 10.0
"""Seconds after which no further round over the groups begins."""


class Times(Record):
    """What a model took for single images of a protocol, on one machine."""

    model: str
    protocol: str
    machine: dict[str, Any]
    groups: dict[str, GroupTime]
    """Of embedding: all views of an aligned face, one image at a time."""
    finding: dict[str, GroupTime] = Field(default_factory=dict)
    """Of finding the face when the data set was imported; empty where that is not known."""
    found_on: dict[str, Any] | None = None
    """The machine of the import."""


def time_embedding(
    model: Teacher, faces: Faces, protocol: Protocol, *, name: str, views: Sequence[str]
) -> Times:
    """Embed up to :data:`IMAGES` images of each group one by one, the groups in turn.

    A drift of the machine's speed thus meets all groups alike. One image is embedded beforehand.

    Args:
        model: what embeds.
        faces: the protocol's images.
        protocol: whose groups.
        name: of the protocol.
        views: that each image is embedded in.
    """
    groups = {
        group: _spread(_images(protocol, place)) for place, group in enumerate(protocol.groups)
    }
    _embed(model, faces, next(iter(groups.values()))[0], views)
    found: dict[str, list[float]] = {group: [] for group in groups}
    begun = time.perf_counter()
    for turn in range(max(map(len, groups.values()))):
        if turn and time.perf_counter() - begun > LONGEST:
            break
        for group, rows in groups.items():
            if turn < len(rows):
                found[group].append(_embed(model, faces, rows[turn], views))
    imported = None
    if isinstance(faces, Manifest) and len(faces.stores) == 1:
        imported = read_finding_times(next(iter(faces.stores.values())).path)
    finding = imported.of_groups(protocol.group_by) if imported else {}
    return Times(
        model=model.name,
        protocol=name,
        machine=describe_machine(str(getattr(model, "device", "cpu"))),
        groups={group: GroupTime.of(seconds) for group, seconds in found.items()},
        finding={group: finding[group] for group in protocol.groups if group in finding},
        found_on=imported.machine if imported and finding else None,
    )


def _images(protocol: Protocol, group: int) -> NDArray[np.int64]:
    parts = (protocol.fold_pairs, protocol.score_pairs)
    return np.unique(np.concatenate([end[p.group == group] for p in parts for end in (p.a, p.b)]))


def _spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most :data:`IMAGES` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), IMAGES)).astype(np.int64)]


def _embed(model: Teacher, faces: Faces, row: int, views: Sequence[str]) -> float:
    """Seconds for one image, which is read before."""
    image = faces.images(np.array([row]))
    seen = [image, np.ascontiguousarray(image[:, :, ::-1])][: len(views)]
    begun = time.perf_counter()
    for view in seen:
        model.embed(view)
    return time.perf_counter() - begun


def write_times(folder: Path, times: Iterable[Times]) -> None:
    """Write :data:`TIMES_FILE`, or take away that of earlier results where there are none."""
    if records := [of.model_dump(mode="json") for of in times]:
        write_json(folder / TIMES_FILE, records)
    else:
        (folder / TIMES_FILE).unlink(missing_ok=True)


def read_times(folder: Path) -> list[Times]:
    """What :func:`write_times` wrote; nothing where there is no such file, or it is damaged."""
    try:
        return TypeAdapter(list[Times]).validate_python(read_json(folder / TIMES_FILE))
    except (DataError, ValidationError):  # times are no part of the results
        return []


def by_protocol(times: Iterable[Times], protocol: str) -> dict[str, Times]:
    """Model → its times on one protocol."""
    return {of.model: of for of in times if of.protocol == protocol}
