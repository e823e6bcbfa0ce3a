"""Structured pruning: a student with fewer channels, of those that mattered least.

Channels that depend on each other (a residual stage's, a depthwise convolution's inputs and
outputs) go together, found by torch-pruning's dependency graph (Fang et al., "DepGraph: Towards
Any Structural Pruning", CVPR 2023); those with the smallest L2 norm over their group go first (Li
et al., "Pruning Filters for Efficient ConvNets", ICLR 2017). What is left learns again to give the
dense network's embeddings.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch_pruning
from pydantic import BaseModel
from torch import nn

from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.evaluate.protocols import Protocol
from evenface.export.compression import Compression, compare_precisions
from evenface.export.measure import auditor
from evenface.export.teaching import attributes_of, distillation_from
from evenface.files import fingerprint, read_json, sha256_file, write_json
from evenface.models import create_backbone, load_run_backbone
from evenface.models.widths import channels_of
from evenface.run_folder import RECIPE_NAME, RUN_NAME, WEIGHTS_NAME, run_backbone, run_weights
from evenface.teachers.checkpoint import load_run
from evenface.train.learner import save_weights
from evenface.train.loop import train
from evenface.train.recipe import (
    BackboneRecipe,
    OptimizerRecipe,
    SamplerRecipe,
    ScheduleRecipe,
    TrainRecipe,
)
from evenface.train.run import finished_run

MULTIPLE = 4
"""Channels are kept in multiples of it: what vector instructions take at once."""
STEPS, BATCH_SIZE, RATE = 500, 64, 0.05
REPORT_NAME = "prune.json"
BEFORE_RECOVERY = "before-recovery"
"""Folder in the run folder: the pruned run that the recovery begins with."""


class Pruned(BaseModel):
    """Where a pruned network comes from (``pruned`` in ``run.json``)."""

    run: str
    """Fingerprint of the dense run."""
    keep: float
    multiple: int
    parameters: tuple[int, int]
    """Before and after, as are the next."""
    macs: tuple[int, int]
    """Multiplications with additions for an image."""


class PruneReport(BaseModel):
    """What pruning cost each group (``prune.json``)."""

    version: int = 1
    pruned: Pruned
    recovered: bool
    before_recovery: Compression | None
    """Against the dense network, on the audit; None without one."""
    after_recovery: Compression | None


@dataclass(frozen=True)
class Recovery:
    """How a pruned network learns again.

    Attributes:
        data: faces to learn on; their labels are not used.
        teacher: see :func:`evenface.export.teaching.distillation_from`; None for the dense network.
        steps, rate: of SGD; the rate falls by a cosine to zero.
        device, threads: see :class:`evenface.train.recipe.TrainRecipe`.
    """

    data: Manifest
    teacher: str | None = None
    steps: int = STEPS
    rate: float = RATE
    device: str = "auto"
    threads: int | None = None


def prune_channels(backbone: nn.Module, keep: float, *, multiple: int = MULTIPLE) -> None:
    """Remove the channels of a backbone that matter least, in place.

    Every group of channels that depend on each other keeps the same share. The embedding's
    dimensions stay.

    Args:
        backbone: in evaluation mode, on the CPU.
        keep: share of the channels that stay, in (0, 1).
        multiple: round what stays down to a multiple of it; a group of which nothing would be
            left stays whole.

    Raises:
        ValueError: ``keep`` out of range, or every group would stay whole.
    """
    if not 0 < keep < 1:
        raise ValueError(f"keep must lie between 0 and 1, got {keep:g}")
    before = channels_of(backbone)
    last = [module for module in backbone.modules() if isinstance(module, nn.Linear)][-1]
    pruner = torch_pruning.pruner.BasePruner(
        backbone,
        torch.zeros(1, 3, 112, 112),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=1 - keep,
        round_to=multiple,
        ignored_layers=[last],
    )
    pruner.step()
    if channels_of(backbone) == before:
        raise ValueError(
            f"nothing is left to prune: {keep:g} of the channels, rounded down to multiples of "
            f"{multiple}, is none in every layer"
        )


def prune(
    run: str | Path,
    out: str | Path,
    *,
    keep: float,
    multiple: int = MULTIPLE,
    recovery: Recovery | None = None,
    audit: Manifest | None = None,
    audit_pairs: Protocol | None = None,
    group_by: str | Sequence[str] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> PruneReport:
    """Prune a run's backbone into a run of its own, and let it learn again.

    ``out`` is a run like any other, whose ``run.json`` has the channel counts. With a recovery it
    is a training of the usual kind (it goes on where it was interrupted), and the pruned network
    before it lies in ``before-recovery`` inside.

    Args:
        run: folder of a finished training; may be pruned already.
        out: folder to write.
        keep, multiple: see :func:`prune_channels`.
        recovery: None: no training.
        audit: labelled faces to measure each group with, before and after.
        audit_pairs: of the audit; None: they are drawn.
        group_by: attributes that define the groups; see :meth:`Manifest.groups`.
        replicates: bootstrap replicates of the audit.
        seed: of training, pairs and resamples.

    Raises:
        UsageError: ``out`` holds something else, nothing can be pruned, or the teacher does not
            fit.
        DataError: no finished run, or data that cannot be used.
    """
    run, out = Path(run), Path(out)
    first = out / BEFORE_RECOVERY if recovery else out
    if out.resolve() == run.resolve():
        raise UsageError(f"{out}: is the run that is to be pruned; choose another --out")
    if (out / RUN_NAME).exists() and not (first / RUN_NAME).exists():
        raise UsageError(f"{out}: holds another run; choose another --out")
    pruned = _write_pruned(run, first, keep, multiple)
    if recovery is not None:
        train(_recipe(run, first, recovery, group_by, seed), out, manifest=recovery.data)
    costs: list[Compression] = []
    if audit is not None:
        measure = auditor(
            audit, pairs=audit_pairs, group_by=group_by, replicates=replicates, seed=seed, run=run
        )
        dense = measure(load_run(run))
        folders = [first, out] if recovery else [out]
        costs = [compare_precisions(dense, measure(load_run(folder))) for folder in folders]
    report = PruneReport(
        pruned=pruned,
        recovered=recovery is not None,
        before_recovery=costs[0] if costs else None,
        after_recovery=costs[1] if len(costs) > 1 else None,
    )
    write_json(out / REPORT_NAME, report.model_dump(mode="json"))
    return report


def _write_pruned(run: Path, out: Path, keep: float, multiple: int) -> Pruned:
    """Write the pruned run, unless the very same is there already."""
    described: dict[str, Any] = read_json(run / RUN_NAME)
    backbone = load_run_backbone(run)
    macs, parameters = _size(backbone)
    try:
        prune_channels(backbone, keep, multiple=multiple)
    except ValueError as error:
        raise UsageError(f"{run}: {error}") from None
    fewer, left = _size(backbone)
    weights = sha256_file(run_weights(run))
    pruned = Pruned(
        run=described.get("fingerprint", weights),
        keep=keep,
        multiple=multiple,
        parameters=(parameters, left),
        macs=(macs, fewer),
    )
    print_ = fingerprint({**pruned.model_dump(mode="json"), "weights": weights})
    if finished_run(out, print_) is not None:
        return pruned
    with torch.device("meta"):  # counts without memory
        whole = create_backbone(described["backbone"], embedding_size=described["embedding_size"])
    unpruned = channels_of(whole)
    record = {
        **described,
        "name": f"{described.get('name', run.name)}-pruned",
        "fingerprint": print_,
        "channels": {
            name: counts
            for name, counts in channels_of(backbone).items()
            if counts != unpruned[name]
        },
        "parameters": left,
        "pruned": pruned.model_dump(mode="json"),
    }
    out.mkdir(parents=True, exist_ok=True)
    save_weights(backbone, out / WEIGHTS_NAME)
    record["weights_sha256"] = sha256_file(out / WEIGHTS_NAME)
    if (run / RECIPE_NAME).is_file():
        shutil.copyfile(run / RECIPE_NAME, out / RECIPE_NAME)
    write_json(out / RUN_NAME, record)
    return pruned


def _size(backbone: nn.Module) -> tuple[int, int]:
    """Multiplications with additions for an image, and parameters."""
    macs, parameters = torch_pruning.utils.count_ops_and_params(
        backbone, torch.zeros(1, 3, 112, 112)
    )
    return int(macs), int(parameters)


def _recipe(
    run: Path,
    start: Path,
    recovery: Recovery,
    group_by: str | Sequence[str] | None,
    seed: int,
) -> TrainRecipe:
    begun = run_backbone(start)
    return TrainRecipe(
        name=f"{run.resolve().name}-pruned",
        seed=seed,
        backbone=BackboneRecipe(name=begun.name, embedding_size=begun.embedding_size, start=start),
        head=None,
        distill=distillation_from(recovery.teacher or str(run)),
        sampler=SamplerRecipe(name="groups", by=attributes_of(group_by)),
        optimizer=OptimizerRecipe(lr=recovery.rate, lr_batch=None, nesterov=True),
        schedule=ScheduleRecipe(
            kind="cosine", steps=recovery.steps, warmup_steps=min(recovery.steps // 10, 30)
        ),
        batch_size=BATCH_SIZE,
        device=recovery.device,
        threads=recovery.threads,
        log_every=10,
        checkpoint_every=100,
    )
