"""Fine-tuning in int8: the quantised network learns to give the float network's embeddings again.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018, with learned step sizes (Esser et al., ICLR 2020), distilled from a teacher
as in Mishra and Marr, "Apprentice", ICLR 2018. Batch normalisation is folded before, its statistics
fixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from evenface.console import progress
from evenface.data.manifest import Manifest
from evenface.errors import DataError, TrainingDivergedError
from evenface.export.onnx import INPUT
from evenface.export.parity import compare_embeddings
from evenface.export.qdq import QDQNetwork
from evenface.export.teaching import attributes_of, distillation_from
from evenface.models import embed
from evenface.seeds import derive_seed
from evenface.train.batches import BatchSource
from evenface.train.device import choose_device, torch_settings
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loader import open_source
from evenface.train.recipe import (
    BackboneRecipe,
    OptimizerRecipe,
    SamplerRecipe,
    ScheduleRecipe,
    TrainRecipe,
)
from evenface.train.schedule import Schedule

STEPS, BATCH_SIZE, RATE = 300, 64, 0.001
SAME_NETWORK = (2e-3, 2e-2)
"""Bounds on mean and max of 1 − cos between what was trained in torch and the file written of it.
Sums in another order round to the neighbouring integer here and there, in onnxruntime's own
kernels as well."""


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning gave.

    Attributes:
        model: the int8 file.
        first_loss, last_loss: weighted 1 − cos to the teacher, of the first and the last step.
    """

    model: onnx.ModelProto
    first_loss: float
    last_loss: float


def finetune(
    quantized: onnx.ModelProto,
    plain: onnx.ModelProto,
    manifest: Manifest,
    *,
    teacher: str,
    embedding_size: int,
    steps: int = STEPS,
    rate: float = RATE,
    batch_size: int = BATCH_SIZE,
    group_by: str | Sequence[str] | None = None,
    device: str = "auto",
    seed: int = 0,
) -> FineTuned:
    """Train an int8 file further: weights, biases and scales, by distillation.

    Batches hold equally many faces of every group.

    Args:
        quantized: of :func:`evenface.export.quantize.to_int8`.
        plain: of :func:`evenface.export.quantize.prepared`, that it was made of.
        manifest: faces to learn on; at least two identities. Their labels are not used.
        teacher: see :func:`evenface.export.teaching.distillation_from`.
        embedding_size: of the network.
        steps, rate, batch_size: of SGD with momentum; the rate falls by a cosine to zero.
        group_by: attributes that define the groups; see :meth:`Manifest.groups`.
        device: "auto", "cpu", "cuda", …
        seed: of the order of faces, and of flips.

    Raises:
        UsageError: the teacher does not fit, or the file holds unknown operators.
        TrainingDivergedError: the loss became NaN or infinite.
        DataError: faces cannot be read, or the file written is another network than the trained.
    """
    recipe = TrainRecipe(
        name="int8",
        seed=seed,
        backbone=BackboneRecipe(name="int8", embedding_size=embedding_size),
        head=None,
        distill=distillation_from(teacher),
        sampler=SamplerRecipe(name="groups", by=attributes_of(group_by)),
        optimizer=OptimizerRecipe(lr=rate, lr_batch=None, weight_decay=0),
        schedule=ScheduleRecipe(kind="cosine", steps=steps, warmup_steps=min(steps // 10, 20)),
        batch_size=batch_size,
        device=device,
    )
    job = Job.open(recipe, manifest)
    network = QDQNetwork(quantized, plain)
    where = choose_device(device)
    with torch_settings(where, None):
        learner = Learner(job.recipe, job.num_identities, where, job.supply, backbone=network)
        source = open_source(job, where)
        losses = _train(learner, source, job.recipe)
    network.cpu().eval()
    model = network.to_onnx()
    _check(network, model, manifest.images(source.rows(0)))
    return FineTuned(model, losses[0], losses[-1])


def _train(learner: Learner, source: BatchSource, recipe: TrainRecipe) -> list[float]:
    """Loss of every step."""
    steps = recipe.schedule.steps or 0
    schedule = Schedule(
        recipe.schedule,
        recipe.optimizer,
        batch_size=source.batch_size,
        batches_per_epoch=source.batches_per_epoch,
    )
    losses = []
    with (
        progress("fine-tuning in int8", steps, unit="steps") as bar,
        closing(source.prefetch(range(steps))) as batches,
    ):
        for step, batch in enumerate(batches):
            rate = schedule.rate(step)
            loss = float(learner.step(batch, rate, derive_seed(recipe.seed, "step", step))["loss"])
            if not math.isfinite(loss):
                raise TrainingDivergedError(
                    f"fine-tuning in int8 diverged at step {step + 1} (learning rate {rate:.3g}). "
                    "Give a lower --rate, and check the teacher's embeddings"
                )
            losses.append(loss)
            bar.say(f"loss {loss:.4f}")
            bar.advance()
    return losses


def _check(network: QDQNetwork, model: onnx.ModelProto, faces: np.ndarray) -> None:
    """DataError unless the file computes what the network does."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (written,) = session.run(None, {INPUT: faces})
    parity = compare_embeddings(embed(network, faces), written, SAME_NETWORK)
    if not parity.holds:
        raise DataError(
            f"the fine-tuned int8 file is not the network that was trained: {parity.summary}"
        )
