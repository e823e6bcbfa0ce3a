"""The training loop. It knows nothing of faces, formats or fairness."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import torch
import yaml

from evenface.console import progress
from evenface.data.manifest import Manifest
from evenface.files import write_json, write_text
from evenface.seeds import derive_seed
from evenface.train.batches import BatchSource
from evenface.train.checkpoint import Checkpoint, load_checkpoint
from evenface.train.device import choose_device, torch_settings
from evenface.train.divergence import check_weights, finite_values
from evenface.train.interruption import Interruption
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.log import RunLog, final_values
from evenface.train.recipe import TrainRecipe
from evenface.train.run import (
    LOG_NAME,
    RECIPE_NAME,
    RUN_NAME,
    WEIGHTS_NAME,
    RunResult,
    finished_run,
)
from evenface.train.schedule import Schedule


def train(
    recipe: TrainRecipe, out: Path, *, manifest: Manifest | None = None, quiet: bool = False
) -> RunResult:
    """Train one model into the run folder ``out`` and return the content of its ``run.json``.

    A finished run is not repeated; an interrupted one goes on from its last checkpoint and ends
    with the same bits as an uninterrupted one (same machine, versions and thread count). On
    SIGINT or SIGTERM a checkpoint is written before KeyboardInterrupt is raised.

    Args:
        recipe: what to train.
        out: the run folder, made where there is none.
        manifest: the training set, instead of ``recipe.data``.
        quiet: no progress on standard error.

    Raises:
        UsageError: the recipe does not fit its data or teacher, or ``out`` holds another run.
        DataError: data, cache or checkpoint cannot be used.
        TrainingDivergedError: a loss, a gradient or a weight became NaN or infinite.
    """
    job = Job.open(recipe, manifest)
    if finished := finished_run(out, job.fingerprint):
        return finished

    recipe, device = job.recipe, choose_device(recipe.device)
    with torch_settings(device, recipe.threads):
        learner = Learner(recipe, job.num_identities, device)
        source = BatchSource(
            job.manifest,
            job.cache,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            flip=recipe.flip,
        )
        size = source.batch_size
        schedule = Schedule(
            recipe.schedule,
            recipe.optimizer,
            batch_size=size,
            batches_per_epoch=source.batches_per_epoch,
        )
        start, spent, log_bytes = 0, 0.0, 0
        if checkpoint := load_checkpoint(out, job.fingerprint):
            start, spent, log_bytes = checkpoint.step, checkpoint.seconds, checkpoint.log_bytes
            learner.load_state_dict(checkpoint.learner)
        resolved = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
        write_text(out / RECIPE_NAME, resolved)

        values: dict[str, float] = {}
        began = time.monotonic() - spent
        steps = range(start, schedule.steps)
        with (
            Interruption() as interruption,
            RunLog(out / LOG_NAME, log_bytes) as log,
            closing(source.prefetch(steps)) as batches,
            _bar(recipe.name, schedule.steps * size, done=start * size, quiet=quiet) as advance,
        ):
            for step, batch in zip(steps, batches, strict=True):
                rate = schedule.rate(step)
                parts = learner.step(batch, rate, derive_seed(recipe.seed, "step", step))

                done = step + 1
                stopping, last = interruption.requested, done == schedule.steps
                logging = last or done % recipe.log_every == 0
                saving = last or stopping or done % recipe.checkpoint_every == 0
                # On a GPU values are read, and so waited for, only where they are needed.
                if logging or saving or device.type == "cpu":
                    values = finite_values(parts, step=done, rate=rate, before=values)
                if logging:
                    log.write({"step": done, "lr": rate, **values})
                if saving:
                    check_weights(learner.backbone, learner.objective, step=done, rate=rate)
                    seconds = time.monotonic() - began
                    state = learner.state_dict()
                    Checkpoint(job.fingerprint, done, seconds, log.position(), state).save(out)
                advance(size)
                if stopping:
                    raise KeyboardInterrupt
        learner.save_weights(out / WEIGHTS_NAME)

    result: RunResult = {
        "finished": True,
        "name": recipe.name,
        "fingerprint": job.fingerprint,
        "backbone": recipe.backbone.name,
        "embedding_size": learner.objective.head.embedding_size,
        "head": recipe.head.name,
        "parameters": sum(p.numel() for p in learner.backbone.parameters()),
        "num_identities": job.num_identities,
        "images": len(job.manifest),
        "data_fingerprint": job.manifest.fingerprint,
        "teacher_fingerprint": job.teacher,
        "steps": schedule.steps,
        "batch_size": size,
        "images_seen": schedule.steps * size,
        "seconds": round(time.monotonic() - began, 2),
        "final": final_values(out / LOG_NAME),
        "device": str(device),
        "threads": recipe.threads or torch.get_num_threads(),
        "torch": torch.__version__,
    }
    write_json(out / RUN_NAME, result)
    return result


@contextmanager
def _bar(name: str, total: int, *, done: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Progress in images; yields the function that counts them."""
    if quiet:
        yield lambda images: None
        return
    with progress(f"train {name}", total, unit="images", done=done) as ticker:
        yield ticker.advance
