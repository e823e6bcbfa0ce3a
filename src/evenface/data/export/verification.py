"""Export as insightface's verification sets: ``<group>_test.bin``, one a group."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from evenface.data.export.base import Exporter, Job, file_name
from evenface.data.formats.verification_bin import SUFFIX, write_bin


def write(job: Job) -> list[str]:
    """The fold pairs of the job's protocol, fold by fold, as readers of ``.bin`` divide them.

    Raises:
        ValueError: no protocol.
    """
    protocol = job.protocol
    if protocol is None:
        raise ValueError("verification sets are written from a protocol")
    for number, group in enumerate(protocol.groups):
        pairs = protocol.fold_pairs.select(protocol.fold_pairs.group == number)
        rows = np.stack([pairs.a, pairs.b], axis=1).ravel()
        with closing(job.encoded(rows)) as images:
            write_bin(job.folder / f"{file_name(group)}_test{SUFFIX}", images, pairs.genuine)
    return [
        f"pairs lie fold by fold; read with {protocol.folds} folds they are those of the protocol",
        *([protocol.pairs_statement] if protocol.pairs else []),
        *protocol.notes,
    ]


EXPORTER = Exporter(
    "bin",
    "<group>_test.bin, a verification set a group (insightface)",
    write,
    loses=("identity", "origin", "dataset", "licence", "split", "notes"),
    uses=frozenset({"protocol"}),
    names_attributes=False,
)
