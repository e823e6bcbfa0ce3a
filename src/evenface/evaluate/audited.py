"""The threshold that an audit gives a model, with the error rates that it had."""

from __future__ import annotations

from evenface.evaluate.results import Evaluation, seen_notes
from evenface.teachers.record import AuditedThreshold


def audited_threshold(evaluation: Evaluation, target_fmr: float) -> AuditedThreshold | None:
    """The operating point of an evaluation at a target FMR.

    Where the impostor pairs do not support the target, the strictest one that they support is
    taken, with a note. None where they support none.
    """
    supported = [p for p in evaluation.operating_points if p.threshold is not None]
    loose = [p for p in supported if p.target_fmr >= target_fmr * (1 - 1e-9)]
    point = min(loose, key=lambda p: p.target_fmr, default=None)
    if point is None or point.threshold is None:
        return None
    notes = [*seen_notes(evaluation.notes), *([point.note] if point.note else [])]
    if point.target_fmr > target_fmr * (1 + 1e-9):
        notes.append(
            f"the audit has too few impostor pairs for a false match rate of {target_fmr:g}: "
            f"the threshold is that of {point.target_fmr:g}"
        )
    return AuditedThreshold(
        threshold=point.threshold,
        target_fmr=point.target_fmr,
        fmr=point.fmr,
        fnmr=point.fnmr,
        chosen_on=point.chosen_on,
        protocol=evaluation.protocol.name,
        simulated=evaluation.protocol.simulated,
        notes=notes,
    )
