"""The audit of a compressed network: every group of a labelled set, on the same pairs each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from evenface.data.manifest import Manifest
from evenface.evaluate import Evaluation, Protocol, evaluate_model, protocol_from_manifest
from evenface.evaluate.seen import training_set
from evenface.teachers.base import Teacher

_ONE_VIEW = ("original",)  # what is shipped embeds an image once


def auditor(
    audit: Manifest,
    *,
    pairs: Protocol | None = None,
    group_by: str | Sequence[str] | None,
    replicates: int,
    seed: int,
    run: Path,
) -> Callable[[Teacher], Evaluation]:
    """A function that evaluates models on one protocol with the same resamples, so that their
    evaluations can be paired.

    Args:
        audit: labelled faces.
        pairs: of their rows; None: they are drawn.
        group_by: attributes that define the groups of drawn pairs; see :meth:`Manifest.groups`.
        replicates: of the bootstrap.
        seed: of drawn pairs and resamples.
        run: of the training; its people are looked for in the audit.
    """
    protocol = pairs or protocol_from_manifest(
        audit,
        group_by=group_by,
        seed=seed,
        name=", ".join(sorted(set(audit.column("dataset")))),
    )
    return partial(
        evaluate_model,
        manifest=audit,
        protocol=protocol,
        views=_ONE_VIEW,
        replicates=replicates,
        seed=seed,
        training=training_set(run),
    )
