"""FHIBE's face verification: pairs within each crossing of the people's own statements.

As in the benchmark (Xiang et al., Nature, 2025): images with several people are left out; a person
who names several ancestries is in the group of each; people with at least two images in a group
count; at most 3,000 genuine and 3,000 impostor pairs of each group are drawn. Its two figures are
the 10-fold accuracy and VAL, the share of genuine pairs accepted at the group's own threshold for
FAR 1e-3 that the other folds choose: 1 − ``own.fnmr@1e-3`` of the operating points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from evenface.columns import CROSSED
from evenface.data.formats.fhibe import ALONE, values_of
from evenface.data.import_report import REPORT_NAME
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate.pair_lists import FOLDS, PairList, protocol_from_lists
from evenface.evaluate.pairs import genuine_pairs, impostor_pairs
from evenface.evaluate.protocols import Protocol
from evenface.files import read_json
from evenface.seeds import generator

GROUP_BY = ("pronoun", "ancestry")
MAX_PAIRS = 3000
"""Most genuine, and most impostor, pairs of a group."""


def fhibe_protocol(
    dataset: str | Path,
    *,
    group_by: Sequence[str] | None = None,
    seed: int = 0,
    folds: int = FOLDS,
    name: str = "FHIBE",
) -> tuple[Manifest, Protocol]:
    """The manifest of an imported release, and FHIBE's pairs over its rows.

    Groups without two pairs of each kind are left out and noted.

    Args:
        dataset: dataset folder that ``evenface data import`` made of FHIBE.
        group_by: attributes to cross; None for :data:`GROUP_BY`, () for one group.
        seed: of the drawing.
        folds: number of folds.
        name: what results call the protocol.

    Raises:
        UsageError: an unknown attribute, or a dataset that is not FHIBE.
        DataError: no group has pairs, or what :meth:`Manifest.read` raises.
    """
    manifest = Manifest.read(dataset)
    if ALONE not in manifest.attributes:
        raise UsageError(
            f"{dataset}: no attribute {ALONE!r}. Import FHIBE's release with "
            "'evenface data import fhibe.<version>_…/ FOLDER'"
        )
    by = GROUP_BY if group_by is None else tuple(group_by)
    manifest.groups(by)  # refuses an unknown attribute
    columns = [manifest.column(attribute) for attribute in by]
    people = manifest.labels()
    alone = np.array([str(value).lower() != "true" for value in manifest.column(ALONE)])
    members: dict[str, list[int]] = {}
    for row in np.flatnonzero(alone).tolist():
        for values in product(*(values_of(column[row]) for column in columns)):
            members.setdefault(CROSSED.join(values) or "all", []).append(row)
    lists, small = [], []
    for group, rows in sorted(members.items()):
        pairs = _pairs(group, np.array(rows, dtype=np.int64), people, seed)
        genuine = int(pairs.genuine.sum())
        if min(genuine, len(pairs.genuine) - genuine) < 2:
            small.append(group)
        else:
            lists.append(pairs)
    if not lists:
        raise DataError(
            f"{dataset}: no group by {' and '.join(by) or 'none'} has two genuine and two impostor "
            "pairs. Cross fewer attributes with --group-by"
        )
    protocol = protocol_from_lists(
        lists,
        rows=len(manifest),
        image_fingerprint=manifest.fingerprint,
        name=name,
        identity=people,
        folds=folds,
        seed=seed,
        notes=_notes(Path(dataset), int((~alone).sum()), small),
    )
    # Several groups may hold one image, so that nothing is compared across groups.
    protocol = replace(
        protocol,
        group_by=by,
        cross_table=False,
        pairs="drawn",
        pairs_per_group=2 * MAX_PAIRS,
    )
    return manifest, protocol


def _pairs(group: str, rows: np.ndarray, people: np.ndarray, seed: int) -> PairList:
    """Pairs of the people with at least two images in the group."""
    _, person, images = np.unique(people[rows], return_inverse=True, return_counts=True)
    rows = rows[images[person] > 1]
    rng = generator(seed, "fhibe", group)
    genuine = genuine_pairs(rows, people[rows], MAX_PAIRS, rng)
    impostor = impostor_pairs(rows, people[rows], MAX_PAIRS, rng)
    a, b = (np.concatenate(side) for side in zip(genuine, impostor, strict=True))
    return PairList(group, a, b, np.arange(len(a)) < len(genuine[0]))


def _notes(dataset: Path, several: int, small: Sequence[str]) -> list[str]:
    report = (dataset if dataset.is_dir() else dataset.parent) / REPORT_NAME
    release = "unknown"
    if report.is_file():
        release = read_json(report).get("request", {}).get("source", {}).get("release", release)
    notes = [
        f"FHIBE release {release}. Its people may withdraw: compare results of one release only"
    ]
    if several:
        notes.append(f"{several:,} images with several people are left out")
    if small:
        notes.append(
            f"{len(small):,} groups without two genuine and two impostor pairs are left out: "
            f"{', '.join(small[:5])}{', …' if len(small) > 5 else ''}"
        )
    return notes
