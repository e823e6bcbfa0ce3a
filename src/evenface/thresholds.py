"""Which threshold a recogniser decides by, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evenface.errors import DataError, UsageError
from evenface.evaluate.audited import audited_threshold
from evenface.evaluate.results import EVALUATION_FILE, Evaluation
from evenface.evaluate.suite import RUN_FILE
from evenface.files import read_json
from evenface.teachers.on_photographs import MeasuredModel
from evenface.teachers.record import AuditedThreshold

if TYPE_CHECKING:
    from evenface.teachers.base import LoadedTeacher

DEFAULT_FMR = 1e-3


@dataclass(frozen=True)
class Threshold:
    """A threshold to decide by.

    Attributes:
        value: cosine at or above which two faces count as one person.
        basis: what set it: our measurement on photographs, an audit of the model, or the user.
        fmr: false match rate that it was set for; None where it is not known.
        audit: its error rates for each group, where an audit set it.
    """

    value: float
    basis: Literal["photographs", "audit", "given"]
    fmr: float | None = None
    audit: AuditedThreshold | None = None

    def __str__(self) -> str:
        if self.audit is not None and self.audit.simulated:
            return (
                f"threshold {self.value:.3f} from {_faces(self.audit)}; not valid for photographs"
            )
        if self.fmr is None:
            return f"threshold {self.value:g} as given, its error rates are not known"
        audited = f" on {self.audit.protocol}" if self.audit is not None else ""
        return f"threshold {self.value:.3f}, FMR {short(self.fmr)}{audited}"


def choose_threshold(
    model: LoadedTeacher,
    measured: MeasuredModel | None,
    views: Sequence[str],
    *,
    fmr: float | None = None,
    value: float | None = None,
    audit: str | Path | None = None,
) -> Threshold | None:
    """The threshold that a model decides by.

    In this order: ``value``; that of ``audit``; measured on photographs; of the model's own audit.

    Args:
        model: what embeds.
        measured: its error rates on photographs, None where they are not known.
        views: what the recogniser sums.
        fmr: false match rate wanted; None for 1e-3, or for what the model's own audit was set to.
        value: the threshold itself.
        audit: folder that ``evenface evaluate --out`` wrote for this model.

    Returns:
        None where no threshold is known and none is asked for.

    Raises:
        UsageError: ``value`` together with another, out of range, or no threshold is known for
            ``fmr``.
        DataError: ``audit`` is no audit, or of another model or other views.
    """
    if value is not None:
        if fmr is not None or audit is not None:
            raise UsageError("give a threshold, or what to take it from (FMR, audit), not both")
        if not -1 <= value <= 1:
            raise UsageError(f"a threshold is a cosine between −1 and 1, got {value}")
        return Threshold(value, "given")
    if fmr is not None and not 0 < fmr < 1:
        raise UsageError(f"a false match rate is between 0 and 1, such as 1e-4; got {fmr}")
    if audit is not None:
        return _of_audit(model, views, Path(audit), DEFAULT_FMR if fmr is None else fmr)
    known: list[Threshold] = []
    own: AuditedThreshold | None = getattr(getattr(model, "record", None), "operating_point", None)
    if measured is not None:
        known = [
            Threshold(point.threshold, "photographs", point.fmr)
            for point in measured.points
            if point.threshold is not None
        ]
    if not known and own is not None:
        known = [Threshold(own.threshold, "audit", own.target_fmr, own)]
    if fmr is None:
        return _at(known, DEFAULT_FMR) or (known[0] if known else None)
    return _at(known, fmr) or _refuse(
        f"{model.name}: no threshold is known for FMR {short(fmr)}", known
    )


def short(fmr: float) -> str:
    """An FMR as written in the field: 1e-3, 2.5e-4."""
    digits, _, exponent = f"{fmr:.3e}".partition("e")
    return f"{float(digits):g}e{int(exponent)}"


def _of_audit(model: LoadedTeacher, views: Sequence[str], audit: Path, fmr: float) -> Threshold:
    folder = audit.parent if audit.name == EVALUATION_FILE else audit
    record = folder / RUN_FILE
    if not record.is_file():
        raise DataError(
            f"{folder}: does not say which model it audits (no {RUN_FILE}). Give a folder that "
            "'evenface evaluate MODEL … --out' wrote, or the threshold itself"
        )
    try:
        made = read_json(record)
        audited, audited_views = made["model"], made["settings"]["views"]
    except (KeyError, TypeError):
        raise DataError(f"{record}: does not name a model and its views") from None
    if audited != model.fingerprint:
        raise DataError(
            f"{folder}: audits another model (fingerprint {audited[:12]}…) than {model.name} "
            f"({model.fingerprint[:12]}…). Evaluate {model.name} itself"
        )
    if list(audited_views) != list(views):
        flip = "--flip" if "flip" in views else "--no-flip"
        raise DataError(
            f"{folder}: audits the views {'+'.join(audited_views)}, but {model.name} is used with "
            f"{'+'.join(views)}. Evaluate it with {flip}"
        )
    evaluation = Evaluation.read(folder)
    known = [
        Threshold(point.threshold, "audit", point.target_fmr, of)
        for point in evaluation.operating_points
        if point.threshold is not None
        and (of := audited_threshold(evaluation, point.target_fmr)) is not None
    ]
    return _at(known, fmr) or _refuse(f"{folder}: sets no threshold for FMR {short(fmr)}", known)


def _at(known: Sequence[Threshold], fmr: float) -> Threshold | None:
    return next((t for t in known if t.fmr and abs(t.fmr / fmr - 1) < 1e-6), None)


def _refuse(problem: str, known: Sequence[Threshold]) -> Threshold:
    at = ", ".join(short(t.fmr) for t in known if t.fmr)
    remedy = f"known: {at}" if at else "give a threshold, or an audit of the model"
    raise UsageError(f"{problem}; {remedy}")


def _faces(audit: AuditedThreshold) -> str:
    return "renders" if audit.protocol.startswith("evenface-render") else "synthetic faces"
