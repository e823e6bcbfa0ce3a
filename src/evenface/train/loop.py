"""The training loop. It knows nothing of faces, formats or fairness."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from torch import nn

from evenface.console import note, warn
from evenface.data.inspect import composition
from evenface.data.manifest import Manifest
from evenface.errors import DataError, TrainingDivergedError, UsageError
from evenface.files import read_json, remove_remains, sha256_file, write_json, write_text
from evenface.lock import FolderLock
from evenface.run_folder import RECIPE_NAME, RUN_NAME, WEIGHTS_NAME
from evenface.seeds import derive_seed
from evenface.train.batches import BatchSource
from evenface.train.checkpoint import Checkpoint, Checkpoints, Progress, Setback
from evenface.train.class_means import own_centres
from evenface.train.device import choose_device, slow_precision, torch_settings
from evenface.train.distributed import World, open_world, own_device
from evenface.train.divergence import DivergenceCheck
from evenface.train.environment import environment, warn_of_changes
from evenface.train.interruption import Interruption
from evenface.train.job import Job
from evenface.train.learner import Learner, save_weights
from evenface.train.loader import open_source
from evenface.train.log import NoLog, RunLog, final_values
from evenface.train.monitor import Monitor, monitor
from evenface.train.recipe import TrainRecipe
from evenface.train.run import (
    LOG_NAME,
    OTHER_WEIGHTS_NAME,
    PRETRAINING_NAME,
    RunResult,
    finished_run,
)
from evenface.train.schedule import Schedule
from evenface.train.targets import mean_centres
from evenface.train.watching import Watch

OnLog = Callable[[dict[str, Any]], object]
"""Called with each line of the log and ``steps``, the number of all steps; True ends training."""


def train(
    recipe: TrainRecipe,
    out: Path,
    *,
    manifest: Manifest | None = None,
    quiet: bool = False,
    on_log: OnLog | None = None,
) -> RunResult:
    """Train one model into the run folder ``out`` and return the content of its ``run.json``.

    A finished run is not repeated; an interrupted one goes on from its last checkpoint and ends
    with the same bits as an uninterrupted one (same machine, versions and thread count). On
    SIGINT or SIGTERM a checkpoint is written before KeyboardInterrupt is raised
    (:class:`evenface.train.interruption.Preempted` for SIGTERM).

    Args:
        recipe: what to train.
        out: the run folder, made where there is none.
        manifest: the training set, instead of ``recipe.data``.
        quiet: no progress on standard error.
        on_log: called with every line of losses in the log, by the first process alone. Where it
            returns True, the training ends there: weights and record are written, the record says
            "stopped", and the learning rate has not come to its end.

    Raises:
        UsageError: the recipe does not fit its data or teacher, or ``out`` holds another run, one
            that another process is at, or one that ``on_log`` ended where none is given now.
        DataError: data, cache or checkpoints cannot be used.
        TrainingDivergedError: a loss, a gradient or a weight became NaN or infinite, more often
            than ``recipe.recovery`` allows.
    """
    return _train(Job.open(recipe, manifest), out, quiet=quiet, on_log=on_log)


def _train(job: Job, out: Path, *, quiet: bool, on_log: OnLog | None) -> RunResult:
    """Train a job, its first part before it."""
    recipe = job.recipe
    if finished := finished_run(out, job.fingerprint):
        if finished.get("stopped") and on_log is None:
            raise UsageError(
                f"{out}: this training was ended early, at step {finished['steps']:,}, by its "
                f"caller. Choose another --out, or delete {out} to train it to the end"
            )
        return finished
    if job.pretraining is not None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UsageError(
                f"recipe '{recipe.name}': pretrain works in one process. Train the first part by "
                "itself, and give its run as backbone.start"
            )
        first = out / PRETRAINING_NAME
        _train(job.pretraining, first, quiet=quiet, on_log=None)
        return _train(job.fine_tuning(first), out, quiet=quiet, on_log=on_log)
    with open_world(recipe.device) as world:
        device = choose_device(own_device(recipe.device, world))
        with torch_settings(device, recipe.threads):
            run = _Run.prepare(job, out, device, world)
            if world.first and not quiet:
                for remark in (job.cut, slow_precision(recipe.precision, device)):
                    if remark:
                        warn(remark)
            with FolderLock(out) if world.first else nullcontext():
                if world.largest(finished_run(out, job.fingerprint) is None) == 0:
                    return run.result()  # of the lock's last holder
                run.on_log = on_log
                progress = run.resume(quiet=quiet or not world.first)
                while progress.step < run.schedule.steps and not run.ended:
                    try:
                        progress = run.go_on(progress, quiet=quiet or not world.first)
                    except TrainingDivergedError as error:
                        progress = run.recover(error)
                if world.first:
                    run.finish(progress)
                world.wait()
                return run.result()


@dataclass
class _Run:
    """A training and what it consists of."""

    job: Job
    out: Path
    device: torch.device
    learner: Learner
    source: BatchSource
    schedule: Schedule
    checkpoints: Checkpoints
    check: DivergenceCheck
    world: World
    watch: Watch | None = None
    on_log: OnLog | None = None
    ended: bool = False
    """By ``on_log``."""

    @classmethod
    def prepare(cls, job: Job, out: Path, device: torch.device, world: World) -> _Run:
        """Everything that may be refused, before anything is written."""
        recipe = job.recipe
        learner = Learner(recipe, job.num_identities, device, job.supply, world)
        source = open_source(job, device, part=(world.rank, world.size))
        world.check(source.batch_size, recipe.micro_batches)
        schedule = Schedule(
            recipe.schedule,
            recipe.optimizer,
            batch_size=source.batch_size,
            batches_per_epoch=source.batches_per_epoch,
        )
        checkpoints = Checkpoints(out, job.fingerprint, keep=recipe.keep_checkpoints)
        check = DivergenceCheck(out, source.rows, 0)
        watch = Watch.open(job) if recipe.watch else None
        return cls(job, out, device, learner, source, schedule, checkpoints, check, world, watch)

    def resume(self, *, quiet: bool) -> Progress:
        """Go back to the newest checkpoint, or begin."""
        now = environment(self.job.recipe, self.device)
        progress = Progress()
        if checkpoint := self._newest():
            progress = checkpoint.progress
            self.learner.load_state_dict(checkpoint.learner)
            if self.world.first:
                warn_of_changes(checkpoint.environment, now)
            if not quiet and progress.step:
                note(f"{self.out}: resumed at step {progress.step:,} of {self.schedule.steps:,}")
        else:
            self._begin_head()
            if self.job.recipe.recovery:
                self._save(progress)  # to go back to
        if self.world.first:
            resolved = yaml.safe_dump(self.job.recipe.model_dump(mode="json"), sort_keys=False)
            write_text(self.out / RECIPE_NAME, resolved)
        return progress

    def _begin_head(self) -> None:
        """Give the head the class centres that the recipe asks for."""
        job = self.job
        if job.recipe.head is None or job.recipe.head.start is None:
            return
        if job.recipe.head.start == "own":
            centres = own_centres(self.learner.backbone, job.manifest)
        else:
            assert job.cache is not None
            centres = mean_centres(job.cache, job.manifest.labels())
        self.learner.begin_head(centres)

    def go_on(self, progress: Progress, *, quiet: bool) -> Progress:
        """Train from ``progress`` to the end."""
        recipe, size = self.job.recipe, self.source.batch_size
        steps = range(progress.step, self.schedule.steps)
        lowered = recipe.recovery.lower ** len(progress.setbacks) if recipe.recovery else 1.0
        number = partial(self._batch_number, progress.setbacks)
        self.check = DivergenceCheck(
            self.out, lambda step: self.source.rows(number(step)), progress.step
        )
        began = time.monotonic() - progress.seconds
        with (
            Interruption(patient=self.world.size > 1) as interruption,
            self._log(progress) as log,
            closing(self.source.prefetch(map(number, steps), recipe.loader_threads)) as batches,
            monitor(
                recipe if self.world.first else recipe.model_copy(update={"log_to": ()}),
                self.out,
                self.device,
                images=self.schedule.steps * size,
                done=progress.step * size,
                steps_done=progress.step,
                quiet=quiet,
            ) as show,
        ):
            for step, batch in zip(steps, batches, strict=True):
                rate = self.schedule.rate(step) * lowered
                parts = self.learner.step(batch, rate, derive_seed(recipe.seed, "step", step))

                done = step + 1
                # A stop of one process is a stop of all, at the same step.
                stopping = self.world.largest(interruption.number)
                last = done == self.schedule.steps
                logging = last or done % recipe.log_every == 0
                saving = last or stopping > 0 or done % recipe.checkpoint_every == 0
                # On a GPU values are read, and so waited for, only where they are needed.
                if logging or saving or self.device.type == "cpu":
                    values = self.check.values(parts, step=done, rate=rate)
                if logging:
                    log.write(line := {"step": done, "lr": rate, **values})
                    show.report(done, rate, values)
                    self.ended = self._ends(line)
                if self.watch and (last or done % self.watch.every == 0):
                    began += self._verify(done, log, show)
                if saving or self.ended:
                    with self.world.diverging_together():
                        self.check.weights(
                            self.learner.backbone, self.learner.objective, step=done, rate=rate
                        )
                    progress = replace(
                        progress,
                        step=done,
                        seconds=time.monotonic() - began,
                        log_bytes=log.position(),
                    )
                    self._save(progress)
                show.advance(size)
                if stopping:
                    raise interruption.error(stopping)
                if self.ended:
                    break
        return progress

    def _verify(self, step: int, log: RunLog | NoLog, show: Monitor) -> float:
        """Log how well the present result verifies, in the first process alone; the seconds taken,
        which are no part of the training's."""
        began = time.monotonic()
        if self.watch and self.world.first:
            for verified in self.watch.verify(self._result):
                log.write({"step": step, **verified.record()})
                show.verified(step, verified)
        self.world.wait()
        return time.monotonic() - began

    @property
    def _result(self) -> nn.Module:
        """What the run's weights would be if it ended here."""
        average, ema = self.learner.average, self.job.recipe.ema
        return average.model if average and ema and ema.evaluate else self.learner.backbone

    def _ends(self, line: dict[str, Any]) -> bool:
        """Whether the caller ends the training, for all processes."""
        if self.on_log is None:
            return False
        said = self.world.first and self.on_log({**line, "steps": self.schedule.steps}) is True
        return self.world.largest(int(said)) > 0

    def recover(self, error: TrainingDivergedError) -> Progress:
        """Go back to the last checkpoint, with other images in place of the suspected batches.

        Raises:
            TrainingDivergedError: ``error``, if the recipe does not allow it (again).
        """
        recovery = self.job.recipe.recovery
        checkpoint = self._newest() if recovery else None
        if not recovery or not checkpoint:
            raise error
        setbacks = checkpoint.progress.setbacks
        if len(setbacks) >= recovery.attempts:
            raise error
        suspects = self.check.suspects
        setbacks = (*setbacks, Setback(suspects.start, suspects.stop - 1))
        self.learner.load_state_dict(checkpoint.learner)
        step = checkpoint.progress.step
        with self._log(checkpoint.progress) as log:
            log.write({"step": step, "setback": len(setbacks), "reason": self.check.reason})
            progress = replace(checkpoint.progress, log_bytes=log.position(), setbacks=setbacks)
        self._save(progress)
        if not self.world.first:
            return progress
        warn(
            f"training diverged at step {suspects.stop}: {self.check.reason}. Back at step {step}, "
            f"going on at {recovery.lower ** len(setbacks):g} times the rate (setback "
            f"{len(setbacks)} of {recovery.attempts})"
        )
        return progress

    def result(self) -> RunResult:
        """The record of the finished run."""
        result = finished_run(self.out, self.job.fingerprint)
        if result is None:
            raise DataError(
                f"{self.out}: {RUN_NAME} is missing. All processes of a training must share its "
                "run folder"
            )
        return result

    def finish(self, progress: Progress) -> None:
        """Write weights and record."""
        recipe, learner = self.job.recipe, self.learner
        models = {"last-step": learner.backbone}
        if learner.average is not None:
            models["average"] = learner.average.model
        result_is = "last-step" if self._result is learner.backbone else "average"
        for name, model in models.items():
            chosen = name == result_is
            path = self.out / (WEIGHTS_NAME if chosen else OTHER_WEIGHTS_NAME.format(name))
            remove_remains(path)
            save_weights(model, path)
        steps, size = progress.step, self.source.batch_size
        result: RunResult = {
            "finished": True,
            "name": recipe.name,
            "fingerprint": self.job.fingerprint,
            "backbone": recipe.backbone.name,
            "embedding_size": cast(int, recipe.backbone.embedding_size),  # settled by the job
            "head": recipe.head.name if recipe.head else None,
            "parameters": sum(p.numel() for p in learner.backbone.parameters()),
            "num_identities": self.job.num_identities,
            "images": len(self.job.manifest),
            "data_fingerprint": self.job.manifest.fingerprint,
            "data": composition(self.job.manifest).model_dump(mode="json"),
            "teacher_fingerprint": self.job.teacher,
            "steps": steps,
            "batch_size": size,
            "images_seen": steps * size,
            "seconds": round(progress.seconds, 2),
            "final": final_values(self.out / LOG_NAME),
            "weights": result_is,
            "weights_sha256": sha256_file(self.out / WEIGHTS_NAME),
            "setbacks": len(progress.setbacks),
            "device": str(self.device),
            "threads": recipe.threads or torch.get_num_threads(),
            "torch": torch.__version__,
            "environment": environment(recipe, self.device),
        }
        if steps < self.schedule.steps:
            result["stopped"] = True
        start = recipe.backbone.start
        if start == self.out / PRETRAINING_NAME:
            before = read_json(start / RUN_NAME)
            keys = ("images", "num_identities", "steps", "images_seen", "seconds")
            result["pretraining"] = {key: before[key] for key in keys}
            result["steps"] += before["steps"]
            result["images_seen"] += before["images_seen"]
            result["seconds"] = round(result["seconds"] + before["seconds"], 2)
        if start is not None and start.is_file():
            result["start"] = sha256_file(start)
        elif start is not None:
            begun = read_json(start / RUN_NAME)
            result["start"] = begun.get("fingerprint", "")
            for key in ("channels", "pruned"):
                if key in begun:
                    result[key] = begun[key]
        write_json(self.out / RUN_NAME, result)

    def _newest(self) -> Checkpoint | None:
        """The newest checkpoint that the first process finds whole."""
        found = self.checkpoints.newest() if self.world.first else None
        step = self.world.largest(found.progress.step if found else -1)
        return found or (None if step < 0 else self.checkpoints.at(step))

    def _log(self, progress: Progress) -> RunLog | NoLog:
        first = self.world.first
        return RunLog(self.out / LOG_NAME, progress.log_bytes) if first else NoLog()

    def _batch_number(self, setbacks: tuple[Setback, ...], step: int) -> int:
        """The step whose images are taken at ``step``: its own, or one beyond the training's end
        where they led to a setback."""
        times = sum(setback.first <= step <= setback.last for setback in setbacks)
        return step + times * self.schedule.steps

    def _save(self, progress: Progress) -> None:
        now = environment(self.job.recipe, self.device)
        self.learner.align()
        state = self.learner.state_dict()
        if self.world.first:
            self.checkpoints.save(Checkpoint(progress, now, state))
