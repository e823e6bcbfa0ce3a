"""Export of a run: the file, whether it is the same network, and what it costs each group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from pydantic import BaseModel

from evenface import __version__
from evenface.console import note
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate import Evaluation, evaluate_model, protocol_from_manifest
from evenface.export.compression import LOSS_THAT_MATTERS, Compression, compare_precisions
from evenface.export.onnx import save, to_onnx
from evenface.export.parity import BOUNDS, Parity, compare_embeddings
from evenface.export.quantize import to_fp16, to_int8
from evenface.export.record import AuditedThreshold, ModelRecord, Precision
from evenface.export.sample import balanced_rows
from evenface.files import read_json, sha256_file, write_json
from evenface.models import embed, load_run_backbone
from evenface.seeds import generator
from evenface.teachers.base import LoadedTeacher
from evenface.teachers.onnx import OnnxTeacher
from evenface.train.run import RUN_NAME, WEIGHTS_NAME

CALIBRATION_IMAGES = 512
PARITY_IMAGES = 512
_ONE_VIEW = ("original",)  # what is shipped embeds an image once


class ExportReport(BaseModel):
    """What was exported (``export-<precision>.json``)."""

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
    notes: list[str]


def export_onnx(
    run: str | Path,
    out: str | Path,
    *,
    precision: Precision = "fp32",
    name: str | None = None,
    calibrate: Manifest | None = None,
    audit: Manifest | None = None,
    group_by: str | Sequence[str] | None = None,
    target_fmr: float = 1e-3,
    max_difference: tuple[float, float] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> ExportReport:
    """Write ``<name>-<precision>.onnx`` and ``export-<precision>.json`` into ``out``.

    The file takes aligned RGB faces, uint8 (N, 112, 112, 3), and gives unit-length embeddings,
    float32 (N, D). It carries its record, and with ``audit`` its operating point.

    Args:
        run: folder of a finished training.
        out: folder to write into.
        precision: "int8" needs ``calibrate``.
        name: of the model; None for the run's folder.
        calibrate: faces that set the ranges of int8, equally many of each group taken.
        audit: labelled faces to choose the threshold on and to measure each group with, before
            and after compression. None of its people should be in ``calibrate`` or in the
            training set.
        group_by: attributes that define the groups; see :meth:`Manifest.groups`.
        target_fmr: false match rate at which the threshold is set; one of
            :data:`evenface.evaluate.operating.TARGETS`.
        max_difference: bounds on mean and max of 1 − cos instead of :data:`BOUNDS`.
        replicates: bootstrap replicates of the audit.
        seed: decides samples, pairs and resamples.

    Raises:
        UsageError: int8 without faces to calibrate with.
        DataError: no finished run, or the file's embeddings differ by more than the bounds; the
            file is then removed.
    """
    run, out = Path(run), Path(out)
    if precision == "int8" and calibrate is None:
        raise UsageError("int8 needs faces to fix its ranges with: add --calibrate DATASET")
    backbone = load_run_backbone(run)
    described = read_json(run / RUN_NAME)
    name = name or run.resolve().name
    record = ModelRecord(
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
    notes: list[str] = []
    plain = to_onnx(backbone)
    counts: dict[str, int] | None = None
    model = plain
    if precision == "fp16":
        model = to_fp16(plain)
    elif calibrate is not None and precision == "int8":
        rows, counts = balanced_rows(calibrate, CALIBRATION_IMAGES, group_by=group_by, seed=seed)
        model = to_int8(plain, calibrate.images(rows))
        notes += _overlap(calibrate, audit)
    target = out / f"{name}-{precision}.onnx"
    save(model, target, record)

    faces = _faces(audit or calibrate, group_by, seed)
    shipped = OnnxTeacher(target, name=f"{name}-{precision}")
    bounds = max_difference or BOUNDS[precision]
    parity = compare_embeddings(embed(backbone, faces), shipped.embed(faces), bounds)
    if not parity.holds:
        target.unlink()
        raise DataError(
            f"{run}: in {precision} the network is no longer the same, {parity.summary}. Nothing "
            "was written. Try another precision or a larger and more varied calibration set, or "
            "say what you accept with --max-difference MEAN,MAX"
        )
    audited, compression = None, None
    if audit is not None:
        protocol = protocol_from_manifest(
            audit,
            group_by=group_by,
            seed=seed,
            name=", ".join(sorted(set(audit.column("dataset")))),
        )
        measure = partial(
            evaluate_model,
            manifest=audit,
            protocol=protocol,
            views=_ONE_VIEW,
            replicates=replicates,
            seed=seed,
        )
        evaluation = measure(shipped)
        audited = f"audit-{precision}"
        evaluation.write(out / audited)
        if precision != "fp32":
            before = _measure_plain(plain, record, out, measure)
            compression = compare_precisions(before, evaluation)
            if compression.largest_loss > LOSS_THAT_MATTERS:
                notes.append(
                    f"a group lost {100 * compression.largest_loss:.2f} points of accuracy, more "
                    f"than {100 * LOSS_THAT_MATTERS:g}: ship fp32 or fp16"
                )
        point = AuditedThreshold.of(evaluation, target_fmr)
        if point is None:
            notes.append("the audit has too few impostor pairs to set a threshold on")
        record = record.model_copy(update={"operating_point": point})
        save(model, target, record)
    else:
        notes.append("not audited: the file carries no threshold. Add --audit DATASET")
    report = ExportReport(
        file=target.name,
        sha256=sha256_file(target),
        size_bytes=target.stat().st_size,
        record=record,
        parity=parity,
        calibration=counts,
        audit=audited,
        compression=compression,
        notes=notes,
    )
    write_json(out / f"export-{precision}.json", report.model_dump(mode="json"))
    return report


_TRAINING = ("images", "num_identities", "data_fingerprint", "teacher_fingerprint", "head", "data")


def _measure_plain(
    plain: onnx.ModelProto,
    record: ModelRecord,
    out: Path,
    measure: Callable[[LoadedTeacher], Evaluation],
) -> Evaluation:
    """The same network in fp32."""
    reference = out / f".{record.name}-reference.onnx"
    try:
        save(plain, reference, record.model_copy(update={"precision": "fp32"}))
        return measure(OnnxTeacher(reference, name=f"{record.name}-fp32"))
    finally:
        reference.unlink(missing_ok=True)


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


def _overlap(calibrate: Manifest, audit: Manifest | None) -> list[str]:
    if audit is None:
        return []
    shared = set(calibrate.identities()) & set(audit.identities())
    if not shared:
        return []
    return [f"{len(shared):,} identities are in the calibration and in the audit set by name"]
