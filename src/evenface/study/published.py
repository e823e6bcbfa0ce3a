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
from evenface.evaluate.protocols import PROTOCOL_NAME, GroupCounts, Pairs, Protocol
from evenface.evaluate.tasks import Task

FOLDS_OF_FEW = 2
"""Folds of the few pairs that a rehearsal takes."""
_FEW = 2
"""Pairs of each group, fold and kind among them."""
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
    few: bool = False,
) -> Protocol:
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
        few: a few pairs of each group, for a rehearsal.

    Returns:
        The whole protocol, over the rows of the set itself.

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
    whole = task.protocol
    if whole is None or len(whole.identity) != len(task.faces):
        raise UsageError(
            f"{spec}: a study compares single images in pairs, and this is another kind"
        )
    kept = _few_rows(whole) if few else np.arange(len(task.faces))
    protocol, count = (_few_of(whole, kept) if few else whole), len(kept)
    with ImageStoreWriter(folder) as writer, progress(name, count, unit="images") as bar:
        for start in range(0, count, _BATCH):
            rows = kept[start : start + _BATCH]
            writer.append(task.faces.images(rows))
            bar.advance(len(rows))
    several, people = len(protocol.groups) > 1, _people(task, name)
    manifest = Manifest.from_columns(
        folder,
        index=range(count),
        identity=[people[row] for row in kept],
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
    return whole


def _few(pairs: Pairs) -> Pairs:
    """The first few of each group, fold and kind, of the first folds."""
    kind = (pairs.group * (pairs.fold.max(initial=0) + 2) + pairs.fold + 1) * 2 + pairs.genuine
    order = np.argsort(kind, kind="stable")
    first = np.flatnonzero(np.diff(kind[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    chosen = np.sort(order[place < _FEW])
    return pairs.select(chosen[pairs.fold[chosen] < FOLDS_OF_FEW])


def _few_rows(protocol: Protocol) -> np.ndarray:
    """Sorted rows of the few pairs."""
    parts = [_few(protocol.fold_pairs), _few(protocol.score_pairs)]
    return np.unique(np.concatenate([side for part in parts for side in (part.a, part.b)]))


def _few_of(protocol: Protocol, rows: np.ndarray) -> Protocol:
    """The few pairs of a protocol, over these rows alone."""

    def over(pairs: Pairs) -> Pairs:
        few = _few(pairs)
        return replace(few, a=np.searchsorted(rows, few.a), b=np.searchsorted(rows, few.b))

    identity = np.unique(protocol.identity[rows], return_inverse=True)[1].astype(np.int64)
    scored = over(protocol.score_pairs)
    counts = []
    for group in range(len(protocol.groups)):
        of_group = scored.group == group
        used = np.unique(np.concatenate([scored.a[of_group], scored.b[of_group]]))
        sizes = np.unique(identity[used], return_counts=True)[1]
        counts.append(GroupCounts(len(used), len(sizes), int((sizes == 1).sum())))
    return replace(
        protocol,
        fold_pairs=over(protocol.fold_pairs),
        score_pairs=scored,
        identity=identity,
        counts=tuple(counts),
        folds=min(protocol.folds, FOLDS_OF_FEW),
    )


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
