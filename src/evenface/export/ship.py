"""Export of a run: the file, whether it is the same network, and what it costs each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from pydantic import BaseModel, Field
from torch import nn

from evenface.console import note
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate import Evaluation, Protocol
from evenface.evaluate.audited import audited_threshold
from evenface.evaluate.results import seen_notes
from evenface.export.compression import LOSS_THAT_MATTERS, Compression, compare_precisions
from evenface.export.finetune import RATE, STEPS, FineTuned, finetune
from evenface.export.measure import auditor
from evenface.export.onnx import float_input, save, to_onnx
from evenface.export.parity import BOUNDS, Parity, compare_embeddings
from evenface.export.quantize import prepared, to_fp16, to_int8
from evenface.export.sample import balanced_rows
from evenface.files import read_json, sha256_file, write_json
from evenface.models import embed, load_run_backbone
from evenface.run_folder import RUN_NAME, WEIGHTS_NAME
from evenface.seeds import generator
from evenface.teachers.onnx import OnnxTeacher
from evenface.teachers.record import Input, ModelRecord, Precision
from evenface.version import __version__

CALIBRATION_IMAGES = 512
PARITY_IMAGES = 512
PLAIN, CALIBRATED, FINE_TUNED = "as trained", "calibrated", "fine-tuned"
"""Variants of a network in one precision."""


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune in int8, see :func:`evenface.export.finetune.finetune`.

    Attributes:
        data: faces to learn on; None for those to calibrate with.
        teacher: what to learn from; None for the network in fp32.
        steps, rate: how long, and how fast.
    """

    data: Manifest | None = None
    teacher: str | None = None
    steps: int = STEPS
    rate: float = RATE


class Variant(BaseModel):
    """One int8 form of the network, measured."""

    parity: Parity
    compression: Compression


class Learned(BaseModel):
    """A fine-tuning, and what the audit said of it."""

    teacher: str
    images: int
    data_fingerprint: str
    steps: int
    rate: float
    first_loss: float
    last_loss: float
    kept: str = ""
    """The variant in the file: of those within the bounds that whose worst group lost least on the
    audit, then that with the higher mean accuracy."""
    variants: dict[str, Variant] = Field(default_factory=dict)


class ExportReport(BaseModel):
    """What was exported (``export-[float-]<precision>.json``)."""

    version: int = 1
    file: str
    sha256: str
    size_bytes: int
    record: ModelRecord
    parity: Parity
    calibration: dict[str, int] | None
    """Group → images that set the ranges of int8."""
    audit: str | None
    """Folder beside the report with the shipped file's evaluation, per group."""
    compression: Compression | None
    finetuning: Learned | None = None
    notes: list[str]


def export_onnx(
    run: str | Path,
    out: str | Path,
    *,
    precision: Precision = "fp32",
    input: Input = "uint8",
    name: str | None = None,
    calibrate: Manifest | None = None,
    audit: Manifest | None = None,
    audit_pairs: Protocol | None = None,
    finetuning: FineTuning | None = None,
    group_by: str | Sequence[str] | None = None,
    target_fmr: float = 1e-3,
    max_difference: tuple[float, float] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> ExportReport:
    """Write ``<name>-<precision>.onnx`` and ``export-<precision>.json`` into ``out``.

    The file takes aligned RGB faces, uint8 (N, 112, 112, 3), and gives unit-length embeddings,
    float32 (N, D). With ``input="float"`` it takes float32 (N, 3, 112, 112), RGB,
    (x − 127.5) / 127.5, and the names have ``float-`` before the precision. It carries its record,
    and with ``audit`` its operating point.

    Args:
        run: folder of a finished training.
        out: folder to write into.
        precision: "int8" needs ``calibrate``.
        input: what the file takes.
        name: of the model; None for the run's folder.
        calibrate: faces that set the ranges of int8, equally many of each group taken.
        audit: labelled faces to choose the threshold on and to measure each group with, before
            and after compression. None of its people should be in ``calibrate`` or in the
            training set.
        audit_pairs: of the audit; None: they are drawn.
        finetuning: of int8; it is shipped where the audit finds it better than what calibration
            alone gives.
        group_by: attributes that define the groups; see :meth:`Manifest.groups`.
        target_fmr: false match rate at which the threshold is set; one of
            :data:`evenface.evaluate.operating.TARGETS`.
        max_difference: bounds on mean and max of 1 − cos instead of :data:`BOUNDS`.
        replicates: bootstrap replicates of the audit.
        seed: decides samples, pairs and resamples.

    Raises:
        UsageError: int8 without faces to calibrate with, fine-tuning without int8 or audit, or
            a teacher that does not fit.
        DataError: no finished run, or the file's embeddings differ by more than the bounds;
            nothing is then written.
    """
    run, out = Path(run), Path(out)
    _check(precision, calibrate, audit, finetuning)
    backbone = load_run_backbone(run)
    name = name or run.resolve().name
    record = _record(run, backbone, name, precision).model_copy(update={"input": input})
    form = precision if input == "uint8" else f"{input}-{precision}"
    enter = float_input if input == "float" else _as_it_is
    plain = to_onnx(backbone)
    sampling = _Sampling(group_by, seed)
    if precision == "fp16":
        made = _Variants({PLAIN: to_fp16(enter(plain))})
    elif calibrate is not None and precision == "int8":
        made = _in_int8(plain, run, record, calibrate, audit, finetuning, sampling)
        made.models = {variant: enter(model) for variant, model in made.models.items()}
    else:
        made = _Variants({PLAIN: enter(plain)})

    faces = _faces(audit or calibrate, group_by, seed)
    reference, bounds = embed(backbone, faces), max_difference or BOUNDS[precision]
    label = f"{name}-{form}"
    parities: dict[str, Parity] = {}
    for variant, model in made.models.items():
        with _written(model, record, out, label) as shipped:
            parities[variant] = compare_embeddings(reference, shipped.embed(faces), bounds)
    passed = _within_bounds(parities, run, precision)
    kept, audited = passed[0], None
    compressions: dict[str, Compression] = {}
    if audit is not None:
        measure = auditor(
            audit, pairs=audit_pairs, group_by=group_by, replicates=replicates, seed=seed, run=run
        )
        evaluations: dict[str, Evaluation] = {}
        for variant, model in made.models.items():
            with _written(model, record, out, label) as shipped:
                evaluations[variant] = measure(shipped)
        if precision != "fp32":
            with _written(
                plain, record, out, f"{name}-fp32", precision="fp32", input="uint8"
            ) as in_fp32:
                before = measure(in_fp32)
            compressions = {
                variant: compare_precisions(before, after) for variant, after in evaluations.items()
            }
            kept = min(passed, key=lambda v: _harm(compressions[v], evaluations[v]))
            made.notes += _advice(compressions[kept], precision, tuned=FINE_TUNED in made.models)
        audited = f"audit-{form}"
        evaluations[kept].write(out / audited)
        made.notes += seen_notes(evaluations[kept].notes)
        point = audited_threshold(evaluations[kept], target_fmr)
        if point is None:
            made.notes.append("the audit has too few impostor pairs to set a threshold on")
        record = record.model_copy(update={"operating_point": point})
    else:
        made.notes.append("not audited: the file carries no threshold. Add --audit DATASET")
    target = out / f"{label}.onnx"
    save(made.models[kept], target, record)
    if made.learned is not None:
        made.learned.kept = kept
        made.learned.variants = {
            variant: Variant(parity=parities[variant], compression=compressions[variant])
            for variant in made.models
        }
    report = ExportReport(
        file=target.name,
        sha256=sha256_file(target),
        size_bytes=target.stat().st_size,
        record=record,
        parity=parities[kept],
        calibration=made.calibration,
        audit=audited,
        compression=compressions.get(kept),
        finetuning=made.learned,
        notes=made.notes,
    )
    write_json(out / f"export-{form}.json", report.model_dump(mode="json"))
    return report


def _as_it_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


@dataclass(frozen=True)
class _Sampling:
    """How faces are drawn: by which groups, with which seed."""

    group_by: str | Sequence[str] | None
    seed: int


@dataclass
class _Variants:
    """A network in one precision: the forms of which one is shipped, the first by default."""

    models: dict[str, onnx.ModelProto]
    calibration: dict[str, int] | None = None
    learned: Learned | None = None
    notes: list[str] = field(default_factory=list)


def _check(
    precision: Precision,
    calibrate: Manifest | None,
    audit: Manifest | None,
    finetuning: FineTuning | None,
) -> None:
    if precision == "int8" and calibrate is None:
        raise UsageError("int8 needs faces to fix its ranges with: add --calibrate DATASET")
    if finetuning is not None and (precision != "int8" or audit is None):
        raise UsageError(
            "fine-tuning is of int8, and the audit decides whether it helped: add --precision "
            "int8 and --audit DATASET"
        )


def _in_int8(
    plain: onnx.ModelProto,
    run: Path,
    record: ModelRecord,
    calibrate: Manifest,
    audit: Manifest | None,
    finetuning: FineTuning | None,
    sampling: _Sampling,
) -> _Variants:
    """The network calibrated and, where asked for, fine-tuned."""
    rows, counts = balanced_rows(
        calibrate, CALIBRATION_IMAGES, group_by=sampling.group_by, seed=sampling.seed
    )
    quantized = to_int8(plain, calibrate.images(rows))
    notes = _overlap("calibration", calibrate, audit)
    made = _Variants({CALIBRATED: quantized}, counts, notes=notes)
    if finetuning is None:
        return made
    to_learn = finetuning.data or calibrate
    tuned = finetune(
        quantized,
        prepared(plain),
        to_learn,
        teacher=finetuning.teacher or str(run),
        embedding_size=record.embedding_size,
        steps=finetuning.steps,
        rate=finetuning.rate,
        group_by=sampling.group_by,
        seed=sampling.seed,
    )
    made.models[FINE_TUNED] = tuned.model
    made.learned = _learned(finetuning, tuned, to_learn)
    made.notes += _overlap("fine-tuning", finetuning.data, audit)
    made.notes.append("the better of two was chosen on the audit, whose figures favour it a little")
    return made


def _within_bounds(parities: dict[str, Parity], run: Path, precision: Precision) -> list[str]:
    """The variants that are still the same network; DataError where none is."""
    passed = [variant for variant, parity in parities.items() if parity.holds]
    if not passed:
        nearest = min(parities.values(), key=lambda parity: parity.mean)
        raise DataError(
            f"{run}: in {precision} the network is no longer the same, "
            f"{nearest.summary}. Nothing was written. Try "
            "another precision or a larger and more varied calibration set, or say what you accept "
            "with --max-difference MEAN,MAX"
        )
    return passed


_TRAINING = (
    "images", "num_identities", "data_fingerprint", "teacher_fingerprint", "head", "data", "pruned"
)  # fmt: skip


def _record(run: Path, backbone: nn.Module, name: str, precision: Precision) -> ModelRecord:
    described = read_json(run / RUN_NAME)
    return ModelRecord(
        name=name,
        evenface=__version__,
        backbone=described["backbone"],
        embedding_size=described["embedding_size"],
        parameters=sum(p.numel() for p in backbone.parameters()),
        precision=precision,
        run=described["fingerprint"],
        weights=sha256_file(run / WEIGHTS_NAME),
        training={key: described[key] for key in _TRAINING if key in described},
    )


def _learned(asked: FineTuning, tuned: FineTuned, data: Manifest) -> Learned:
    return Learned(
        teacher=asked.teacher or "the network in fp32",
        images=len(data),
        data_fingerprint=data.fingerprint,
        steps=asked.steps,
        rate=asked.rate,
        first_loss=tuned.first_loss,
        last_loss=tuned.last_loss,
    )


@contextmanager
def _written(
    model: onnx.ModelProto, record: ModelRecord, out: Path, name: str, **changes: str
) -> Iterator[OnnxTeacher]:
    """A model as it will be read, from a file that is there for as long."""
    path = out / f".{name}-measured.onnx"
    try:
        save(model, path, record.model_copy(update=changes))
        yield OnnxTeacher(path, name=name)
    finally:
        path.unlink(missing_ok=True)


def _harm(compression: Compression, evaluation: Evaluation) -> tuple[float, float]:
    """What to keep little: the loss of the group that lost most, then the mean error."""
    return compression.largest_loss, -(evaluation.overall.accuracy.value or 0.0)


def _advice(compression: Compression, precision: Precision, *, tuned: bool) -> list[str]:
    if not compression.losers:
        return []
    lost = (
        f"more than {100 * LOSS_THAT_MATTERS:g} points of accuracy lost: "
        f"{', '.join(compression.losers)}"
    )
    if precision == "int8" and not tuned:
        return [f"{lost}. The same command with --finetune tries to win them back"]
    return [f"{lost}. Ship {'fp32 or fp16' if precision == 'int8' else 'fp32'}"]


def _faces(
    manifest: Manifest | None, group_by: str | Sequence[str] | None, seed: int
) -> np.ndarray:
    """Faces to compare embeddings on; noise where there are no faces."""
    if manifest is not None:
        rows, _ = balanced_rows(manifest, PARITY_IMAGES, group_by=group_by, seed=seed)
        return manifest.images(rows)
    note("no data set given: parity is checked on random images")
    coarse = generator(seed, "parity").integers(0, 256, (64, 14, 14, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def _overlap(what: str, faces: Manifest | None, audit: Manifest | None) -> list[str]:
    if faces is None or audit is None:
        return []
    shared = set(faces.identities()) & set(audit.identities())
    if not shared:
        return []
    return [f"{len(shared):,} identities are in the {what} and in the audit set by name"]
