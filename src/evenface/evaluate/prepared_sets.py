"""The protocol of a verification set that was prepared into a folder of aligned faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from evenface.data.verification_sets import PreparedSet
from evenface.evaluate.pair_lists import PairList, protocol_from_lists
from evenface.evaluate.protocols import PROTOCOL_NAME, Protocol


def write_protocol(prepared: PreparedSet, out: str | Path) -> Protocol:
    """Write ``protocol.parquet`` beside a prepared set's manifest.

    Its pairs are those of the set, in its own folds; those of a file without folds are cut in the
    order of the file.

    Raises:
        DataError: too few pairs of a kind are left in a group.
    """
    lists = []
    for number, group in enumerate(prepared.groups):
        mine = prepared.group == number
        fold = prepared.fold[mine]
        lists.append(
            PairList(
                group,
                prepared.a[mine],
                prepared.b[mine],
                prepared.genuine[mine],
                None if (fold < 0).any() else fold,
            )
        )
    report, manifest = prepared.report, prepared.manifest
    notes = [*report.remarks]
    if report.pairs_lost:
        notes.append(f"{report.pairs_lost:,} of {report.pairs:,} pairs are lost, see the report")
    protocol = protocol_from_lists(
        lists,
        rows=len(manifest),
        image_fingerprint=manifest.fingerprint,
        name=report.dataset,
        identity=manifest.labels() if prepared.identities_named else None,
        contiguous=True,
        simulated=bool(np.any(manifest.column("origin") == "synthetic")),
        notes=notes,
    )
    protocol = replace(protocol, group_by=manifest.attributes)
    protocol.write(Path(out) / PROTOCOL_NAME)
    return protocol
