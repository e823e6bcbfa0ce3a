"""A published verification set as a study keeps it: decoded once, with its own pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from evenface.console import progress
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.store import ImageStoreWriter
from evenface.errors import UsageError
from evenface.evaluate.protocol_specs import DRAW, ProtocolOptions, tasks_of
from evenface.evaluate.protocols import PROTOCOL_NAME, Protocol
from evenface.evaluate.tasks import Task

_BATCH = 256


def keep_verification_set(
    spec: str,
    name: str,
    folder: Path,
    *,
    simulated: bool,
    folds: int,
    seed: int,
    group_by: str | None = None,
    pairs_per_group: int | None = None,
) -> None:
    """Write images, manifest and protocol of one verification set into ``folder``.

    Many models are evaluated on it: its images are decoded once.

    Args:
        spec: see :func:`evenface.evaluate.protocol_specs.tasks_of`.
        name: of the data set in the manifest.
        folder: where to.
        simulated: whether images of files that do not say so are synthetic.
        folds: of sets that bring none.
        seed: of folds and pairs that are drawn.
        group_by, pairs_per_group: of pairs that are drawn (``draw:DATASET``).

    Raises:
        UsageError: not one verification set of single images.
        DataError: files that cannot be used.
    """
    options = ProtocolOptions(folds=folds, seed=seed, simulated=simulated)
    if spec.startswith(DRAW):
        by = None if group_by is None else (group_by,)
        options = replace(options, group_by=by, pairs_per_group=pairs_per_group)
    tasks = tasks_of(spec, options)
    if len(tasks) != 1:
        raise UsageError(
            f"{spec}: holds {len(tasks)} verification sets ({', '.join(t.name for t in tasks)}); "
            "name each by its file"
        )
    (task,) = tasks
    protocol, count = task.protocol, len(task.faces)
    if protocol is None or len(protocol.identity) != count:
        raise UsageError(
            f"{spec}: a study compares single images in pairs, and this is another kind"
        )
    with ImageStoreWriter(folder) as writer, progress(name, count, unit="images") as bar:
        for start in range(0, count, _BATCH):
            rows = np.arange(start, min(start + _BATCH, count))
            writer.append(task.faces.images(rows))
            bar.advance(len(rows))
    several = len(protocol.groups) > 1
    manifest = Manifest.from_columns(
        folder,
        index=range(count),
        identity=_people(task, name),
        origin="synthetic" if protocol.simulated else "real",
        dataset=name,
        licence="as declared by its owner",
        attributes={"group": _groups(protocol)} if several else {},
    )
    manifest.write(folder / MANIFEST_NAME)
    replace(
        protocol,
        manifest_fingerprint=manifest.fingerprint,
        group_by=("group",) if several else (),
    ).write(folder / PROTOCOL_NAME)


def _people(task: Task, name: str) -> list[str]:
    """(N,) identity of each row: as the set names it, or a number, which equals nobody's name."""
    protocol = task.protocol
    assert protocol is not None
    if isinstance(task.faces, Manifest):
        return [str(person) for person in task.faces.column("identity")]
    named = task.names if protocol.cross_table else None  # else people are inferred
    if named is not None:
        return [f"{name}:{Path(image).parent.name}" for image in named]
    return [f"{name}:#{person}" for person in protocol.identity]


def _groups(protocol: Protocol) -> list[str | None]:
    """(N,) group of each row that occurs in a pair."""
    found: list[str | None] = [None] * len(protocol.identity)
    for pairs in (protocol.fold_pairs, protocol.score_pairs):
        for side in (pairs.a, pairs.b):
            for row, group in zip(side.tolist(), pairs.group.tolist(), strict=True):
                found[row] = protocol.groups[group]
    return found
