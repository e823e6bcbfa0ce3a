"""The training loop. It knows nothing of faces, formats or fairness."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.console import progress
from evenface.data.manifest import Manifest
from evenface.distill import create_distillation
from evenface.errors import DataError, TrainingDivergedError, UsageError
from evenface.files import atomic_path, read_json, write_json, write_text
from evenface.models import create_backbone, create_head
from evenface.seeds import derive_seed
from evenface.teachers.cache import EmbeddingCache
from evenface.train.batches import BatchSource
from evenface.train.checkpoint import CHECKPOINT_NAME, load_checkpoint, save_checkpoint
from evenface.train.recipe import TrainRecipe
from evenface.train.schedule import Schedule

LOG_NAME = "log.jsonl"
RECIPE_NAME = "recipe.yaml"
RUN_NAME = "run.json"
WEIGHTS_NAME = "weights.safetensors"


def train(recipe: TrainRecipe, out: Path) -> dict[str, Any]:
    """Train one model into the run folder ``out`` and return the content of its ``run.json``.

    A finished run is not repeated; an interrupted one goes on from its last checkpoint and ends
    with the same bits as an uninterrupted one (same machine, versions and thread count).

    Raises:
        UsageError: the recipe does not fit its data or teacher, or ``out`` holds another run.
        DataError: data, cache or checkpoint cannot be used.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    manifest = Manifest.read(recipe.data)
    cache = _open_cache(recipe, manifest)
    recipe = _with_embedding_size(recipe, cache)
    fingerprint = recipe.fingerprint(
        manifest.fingerprint, cache.record.teacher_fingerprint if cache else None
    )
    if finished := _finished(out, fingerprint):
        return finished
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / RECIPE_NAME, yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))

    with _settings(recipe) as device:
        source = BatchSource(
            manifest, cache, batch_size=recipe.batch_size, seed=recipe.seed, flip=recipe.flip
        )
        schedule = Schedule(
            recipe.schedule,
            recipe.optimizer,
            batch_size=source.batch_size,
            batches_per_epoch=source.batches_per_epoch,
        )
        learner = _Learner.create(recipe, len(manifest.identities()), device)
        start, seconds = learner.resume(out, fingerprint)
        begun = time.monotonic()
        losses: dict[str, float] = {}
        with (
            _Log(out / LOG_NAME, learner.log_bytes) as log,
            progress(
                f"train {recipe.name}",
                schedule.steps * source.batch_size,
                unit="images",
                done=start * source.batch_size,
            ) as bar,
        ):
            steps = range(start, schedule.steps)
            for step, batch in zip(steps, source.prefetch(steps), strict=True):
                rate = schedule.rate(step)
                parts = learner.step(batch, rate, derive_seed(recipe.seed, "step", step))
                done = step + 1
                last = done == schedule.steps
                if done % recipe.log_every == 0 or last or device.type == "cpu":
                    losses = _finite(parts, step, rate, losses)
                if done % recipe.log_every == 0 or last:
                    log.write({"step": done, "lr": rate, **losses})
                if done % recipe.checkpoint_every == 0 or last:
                    losses = _finite(parts, step, rate, losses)
                    spent = seconds + time.monotonic() - begun
                    learner.save(out, fingerprint, done, spent, log.position())
                bar.advance(source.batch_size)
        seconds += time.monotonic() - begun
        learner.save_weights(out / WEIGHTS_NAME)

    record = {
        "finished": True,
        "name": recipe.name,
        "fingerprint": fingerprint,
        "backbone": recipe.backbone.name,
        "embedding_size": recipe.backbone.embedding_size,
        "head": recipe.head.name,
        "parameters": sum(p.numel() for p in learner.backbone.parameters()),
        "num_identities": learner.head.num_identities,
        "images": len(manifest),
        "data_fingerprint": manifest.fingerprint,
        "teacher_fingerprint": cache.record.teacher_fingerprint if cache else None,
        "steps": schedule.steps,
        "batch_size": source.batch_size,
        "images_seen": schedule.steps * source.batch_size,
        "seconds": round(seconds, 2),
        "final": losses or _last_logged(out / LOG_NAME),
        "device": str(device),
        "threads": recipe.threads or torch.get_num_threads(),
        "torch": torch.__version__,
    }
    write_json(out / RUN_NAME, record)
    (out / CHECKPOINT_NAME).unlink(missing_ok=True)
    return record


@dataclass
class _Learner:
    """Backbone, head, losses and optimiser: what changes while training."""

    recipe: TrainRecipe
    device: torch.device
    backbone: nn.Module
    head: Any
    distillation: nn.Module | None
    optimizer: torch.optim.SGD
    log_bytes: int = 0

    @classmethod
    def create(cls, recipe: TrainRecipe, num_identities: int, device: torch.device) -> _Learner:
        torch.manual_seed(derive_seed(recipe.seed, "weights"))
        size = recipe.backbone.embedding_size
        if size is None:
            raise ValueError("the embedding size is settled before a learner is made")
        try:
            backbone = create_backbone(
                recipe.backbone.name, embedding_size=size, dropout=recipe.backbone.dropout
            )
            head = create_head(
                recipe.head.name,
                embedding_size=size,
                num_identities=num_identities,
                **recipe.head.options,
            )
            distillation = (
                create_distillation(recipe.distill.name, weight=recipe.distill.weight)
                if recipe.distill
                else None
            )
        except (ValueError, TypeError) as error:
            raise UsageError(f"recipe '{recipe.name}': {error}") from None
        backbone.to(device)
        head.to(device)
        optimizer = torch.optim.SGD(
            [p for p in (*backbone.parameters(), *head.parameters()) if p.requires_grad],
            lr=recipe.optimizer.lr,
            momentum=recipe.optimizer.momentum,
            nesterov=recipe.optimizer.nesterov,
            weight_decay=recipe.optimizer.weight_decay,
        )
        return cls(recipe, device, backbone, head, distillation, optimizer)

    def step(self, batch: Any, rate: float, seed: int) -> dict[str, Tensor]:
        """One optimiser step; returns the losses without waiting for the device."""
        # Dropout and random margins draw from the global generator; a seed a step makes them
        # independent of where a run was interrupted.
        torch.manual_seed(seed)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Channels last in memory, as the pixels come: the faster layout on CPU and GPU alike.
        images = _to_device(batch.images, self.device).permute(0, 3, 1, 2).float()
        labels = _to_device(batch.labels, self.device)
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.recipe.precision == "bf16"
        ):
            embeddings = self.backbone((images - 127.5) / 127.5)
        embeddings = embeddings.float()
        parts = {"classification": F.cross_entropy(self.head(embeddings, labels), labels)}
        if self.distillation is not None:
            targets = _to_device(batch.targets, self.device)
            parts["distillation"] = self.distillation(embeddings, targets)
        loss = torch.stack(list(parts.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.backbone.parameters(), self.recipe.optimizer.clip_norm)
        self.optimizer.step()
        return {"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}}

    def resume(self, out: Path, fingerprint: str) -> tuple[int, float]:
        """Load the last checkpoint; the step to go on with, and the seconds spent so far."""
        state = load_checkpoint(out, fingerprint)
        if state is None:
            return 0, 0.0
        self.backbone.load_state_dict(state["backbone"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.log_bytes = state["log_bytes"]
        return state["step"], state["seconds"]

    def save(self, out: Path, fingerprint: str, step: int, seconds: float, log_bytes: int) -> None:
        """Checkpoint after ``step`` steps."""
        state = {
            "fingerprint": fingerprint,
            "step": step,
            "seconds": seconds,
            "log_bytes": log_bytes,
            "backbone": self.backbone.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_checkpoint(out, state)

    def save_weights(self, path: Path) -> None:
        """The backbone alone, as safetensors."""
        state = {key: value.contiguous() for key, value in self.backbone.state_dict().items()}
        with atomic_path(path) as temporary:
            safetensors.torch.save_file(state, temporary)


class _Log:
    """JSON lines; what was written after the last checkpoint is cut off when resuming."""

    def __init__(self, path: Path, keep: int) -> None:
        self._file = open(path, "ab")  # noqa: SIM115 (closed by __exit__)
        self._file.truncate(keep)
        self._file.seek(0, 2)

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def position(self) -> int:
        return self._file.tell()


def _open_cache(recipe: TrainRecipe, manifest: Manifest) -> EmbeddingCache | None:
    if recipe.distill is None:
        return None
    return EmbeddingCache.open(recipe.distill.cache, image_fingerprint=manifest.image_fingerprint)


def _with_embedding_size(recipe: TrainRecipe, cache: EmbeddingCache | None) -> TrainRecipe:
    asked = recipe.backbone.embedding_size
    if cache and asked not in (None, cache.embedding_size):
        raise UsageError(
            f"recipe '{recipe.name}': backbone.embedding_size is {asked}, but the teacher "
            f"'{cache.record.teacher}' has {cache.embedding_size} dimensions. Template "
            "distillation needs them equal: leave embedding_size out to take the teacher's"
        )
    size = asked or (cache.embedding_size if cache else 512)
    backbone = recipe.backbone.model_copy(update={"embedding_size": size})
    return recipe.model_copy(update={"backbone": backbone})


def _finished(out: Path, fingerprint: str) -> dict[str, Any] | None:
    if not (out / RUN_NAME).exists():
        return None
    record = read_json(out / RUN_NAME)
    if not isinstance(record, dict) or record.get("fingerprint") != fingerprint:
        raise UsageError(
            f"{out}: holds a finished run of another recipe or other data. Choose another --out "
            "or delete the folder"
        )
    return record


@contextmanager
def _settings(recipe: TrainRecipe) -> Iterator[torch.device]:
    """Device and threads of the recipe; torch's global state is put back afterwards."""
    name = recipe.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device '{name}'; give auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device '{name}' was asked for, but there is no usable GPU")
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_num_threads(recipe.threads or threads)
        try:
            yield device
        finally:
            torch.set_num_threads(threads)


def _to_device(array: Any, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _finite(
    parts: dict[str, Tensor], step: int, rate: float, before: dict[str, float]
) -> dict[str, float]:
    values = {name: round(float(value), 6) for name, value in parts.items()}
    if all(math.isfinite(value) for value in values.values()):
        return values
    last = f"; the last finite one was {before['loss']:.4g}" if before else ""
    raise TrainingDivergedError(
        f"the loss became {values['loss']} at step {step + 1} (learning rate {rate:.3g}){last}. "
        "The last checkpoint is kept. Lower optimizer.lr, add schedule.warmup_steps, or check the "
        "images"
    )


def _last_logged(path: Path) -> dict[str, float]:
    lines = path.read_text("utf-8").splitlines()
    if not lines:
        raise DataError(f"{path}: the log of a finished run is empty. Delete the run's folder")
    record = json.loads(lines[-1])
    return {key: value for key, value in record.items() if key not in ("step", "lr")}
