"""evenface export: from a run to what a device runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.common import GroupBy, labelled_pairs, names_of
from evenface.errors import asking_for

if TYPE_CHECKING:
    from evenface.export.ship import ExportReport


class Format(StrEnum):
    """What is written."""

    ONNX = "onnx"
    CARD = "model-card"
    HUB = "hub"


class Precision(StrEnum):
    """Numbers of the network."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Input(StrEnum):
    """What the network takes."""

    UINT8 = "uint8"
    FLOAT = "float"


def register(app: typer.Typer) -> None:
    """Add ``evenface export``."""
    app.command("export", no_args_is_help=True)(export)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write into; default: RUN/export.")
    ] = None,
    what: Annotated[
        Format,
        typer.Option(
            "--format",
            help="onnx: a file that any device runs; model-card: README.md about what was "
            "exported; hub: a repository folder RUN/hub with card, weights and ONNX files.",
        ),
    ] = Format.ONNX,
    precision: Annotated[Precision, typer.Option(help="int8 needs --calibrate.")] = Precision.FP32,
    takes: Annotated[
        Input,
        typer.Option(
            "--input",
            help="uint8: pixels Nx112x112x3; float: Nx3x112x112, (x - 127.5) / 127.5, as the "
            "field's ONNX files take them.",
        ),
    ] = Input.UINT8,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Calibration faces for int8; the same number is taken from each group."),
    ] = None,
    audit: Annotated[
        str,
        typer.Option(
            metavar="FACES",
            help="Labelled faces of people that the model has not seen: sets the threshold, "
            "measures every group, before and after compression. Pairs in the folder are used; "
            "draw:FACES draws new ones.",
        ),
    ] = "",
    finetune: Annotated[
        bool,
        typer.Option(
            "--finetune",
            help="int8: train it further as int8, by distillation; keep the better of the two by "
            "the audit, and report both.",
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="--finetune: training faces; default: those of --calibrate."),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(help="--finetune: the teacher; default: the student in fp32."),
    ] = "",
    steps: Annotated[
        int | None, typer.Option(min=1, help="--finetune: steps of 64 faces; default: 300.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-9, help="--finetune: learning rate; default: 0.001.")
    ] = None,
    group_by: GroupBy = "",
    split: Annotated[str, typer.Option(help="Audit only rows of this split.")] = "",
    target_fmr: Annotated[
        str, typer.Option(metavar="RATE", help="False match rate at which the threshold is set.")
    ] = "1e-3",
    name: Annotated[str, typer.Option(help="Name of the model; default: the run's folder.")] = "",
    max_difference: Annotated[
        str,
        typer.Option(
            metavar="MEAN,MAX", help="Largest 1 − cos to accept; default: by precision, see docs."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of samples, pairs and resamples.")] = 0,
) -> None:
    """Export a student: ONNX in fp32, fp16 or int8, checked and audited; a card; a hub folder.

    Needs the extra 'export'.
    """
    from evenface.console import note
    from evenface.data.manifest import Manifest
    from evenface.errors import UsageError
    from evenface.lock import FolderLock

    with asking_for("export", "exporting"):
        from evenface.export.finetune import RATE, STEPS
        from evenface.export.hub import CARD_NAME, write_card, write_hub
        from evenface.export.ship import FineTuning, export_onnx

    folder = out or run / "export"
    if what is Format.CARD:
        write_card(run, folder, folder / CARD_NAME)
        note(f"{folder / CARD_NAME}: written")
        return
    if what is Format.HUB:
        target = run / "hub" if out is None else out.parent / f"{out.name}-hub"
        write_hub(run, folder, target)
        note(f"{target}: written")
        return
    chosen = {"data": data, "teacher": teacher, "steps": steps, "rate": rate}
    given = [name for name, value in chosen.items() if value]
    if given and not finetune:
        raise UsageError(f"--{given[0]} belongs to --finetune")
    finetuning = FineTuning(
        data=Manifest.read(data) if data else None,
        teacher=teacher or None,
        steps=steps or STEPS,
        rate=rate or RATE,
    )
    groups = names_of(group_by)
    faces = pairs = None
    if audit:
        faces, pairs = labelled_pairs(audit, group_by=groups, split=split, seed=seed)
    doing = "is exporting there. Wait for it to finish, or choose another --out"
    with FolderLock(folder, doing=doing):
        report = export_onnx(
            run,
            folder,
            precision=precision.value,
            input=takes.value,
            name=name or None,
            calibrate=Manifest.read(calibrate) if calibrate else None,
            audit=faces,
            audit_pairs=pairs,
            finetuning=finetuning if finetune else None,
            group_by=groups,
            target_fmr=_target(target_fmr),
            max_difference=_bounds(max_difference),
            seed=seed,
        )
    _print(report, folder, pairs.pairs_statement if pairs else "")


def _target(text: str) -> float:
    from evenface.errors import UsageError
    from evenface.evaluate.operating import TARGETS

    if text not in TARGETS:
        raise UsageError(f"--target-fmr is one of {', '.join(TARGETS)}; got {text!r}")
    return TARGETS[text]


def _bounds(text: str) -> tuple[float, float] | None:
    from evenface.errors import UsageError

    if not text:
        return None
    try:
        mean, largest = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--max-difference takes MEAN,MAX as 0.02,0.08; got {text!r}") from None
    return mean, largest


def _print(report: ExportReport, folder: Path, pairs: str) -> None:
    from evenface.cli.compression_output import print_costs
    from evenface.console import out

    lines = [
        f"{folder / report.file}: {report.record.precision}, {report.size_bytes / 1e6:.2f} MB",
        f"same network? {report.parity.summary}",
    ]
    if report.calibration:
        listed = ", ".join(f"{group} {count}" for group, count in report.calibration.items())
        lines.append(f"calibrated on: {listed}")
    if pairs:
        lines.append(f"audit: {pairs}")
    point = report.record.operating_point
    if point:
        lines.append(
            f"threshold: cosine {point.threshold:.4f} at a false match rate of {point.target_fmr:g}"
        )
        if point.simulated:
            lines.append("SIMULATED: audited on synthetic faces; says nothing about real people")
    if report.compression:
        lines.append(report.compression.verdict)
    for line in [*lines, *(f"• {remark}" for remark in report.notes)]:
        out().print(line, markup=False, highlight=False)
    if report.finetuning:
        measured = report.finetuning.variants
        print_costs(
            "fp32",
            {
                f"int8, {name}{' (kept)' if name == report.finetuning.kept else ''}": of.compression
                for name, of in measured.items()
            },
        )
        for name, variant in measured.items():
            out().print(f"{name}: {variant.parity.summary}", markup=False, highlight=False)
