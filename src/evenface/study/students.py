"""The study's models: the teacher, the students without and with distillation, an untrained one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evenface.data.manifest import Manifest
from evenface.files import atomic_path, read_json, write_json
from evenface.study.spec import StudySpec
from evenface.study.stages import StageLog
from evenface.teachers import load_teacher
from evenface.teachers.base import LoadedTeacher
from evenface.teachers.cache import EmbeddingCache, cached_embeddings
from evenface.teachers.subset import subset_cache
from evenface.train.recipe import TrainRecipe, load_recipe

SET_TITLES = {"real": "real", "synthetic": "synthetic", "mix": "mix"}


@dataclass(frozen=True)
class StudyModel:
    """One row of the study's tables."""

    id: str
    title: str
    kind: Literal["student", "teacher", "untrained"]
    model: LoadedTeacher
    training_set: str | None = None
    kd: bool | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """Backbone, parameters, steps, seconds, final loss: what the run recorded."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Logged losses."""

    def describe(self) -> dict[str, Any]:
        """The model as ``results.json`` has it."""
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "set": self.training_set,
            "kd": self.kd,
            "backbone": self.facts.get("backbone", self.model.name),
            "parameters": self.facts.get("parameters"),
            "embedding_size": self.model.embedding_size,
            "steps": self.facts.get("steps"),
            "seconds": self.facts.get("seconds"),
            "final_loss": self.facts.get("final", {}).get("loss"),
            "fingerprint": self.model.fingerprint,
        }


def embed_sources(
    teacher: LoadedTeacher, manifests: dict[str, Manifest], log: StageLog
) -> list[tuple[Manifest, EmbeddingCache]]:
    """Teacher embeddings (image and mirror image) of each manifest."""
    caches = []
    for name, manifest in manifests.items():

        def build(folder: Path, manifest: Manifest = manifest) -> None:
            cached_embeddings(teacher, manifest, folder)

        inputs = {"teacher": teacher.fingerprint, "images": manifest.image_fingerprint}
        folder = log.run(f"teacher embeddings: {name}", inputs, build, at=f"embeddings/{name}")
        caches.append((manifest, EmbeddingCache.open(folder)))
    return caches


def train_students(
    spec: StudySpec,
    sets: dict[str, Manifest],
    embedded: list[tuple[Manifest, EmbeddingCache]],
    log: StageLog,
) -> list[StudyModel]:
    """Each training set without and with distillation, all with the same number of steps."""
    students = []
    for name, manifest in sets.items():
        data = log.folder / "sets" / name
        for kd in (False, True):
            identifier = f"{name}-{'kd' if kd else 'plain'}"
            recipe = student_recipe(
                spec,
                identifier,
                data=data,
                size=embedded[0][1].embedding_size,
                cache=data / "embeddings" if kd else None,
            )
            teacher = embedded[0][1].record.teacher_fingerprint if kd else None

            def build(
                folder: Path, recipe: TrainRecipe = recipe, manifest: Manifest = manifest
            ) -> None:
                from evenface.train.loop import train

                if recipe.distill is not None:
                    subset_cache(embedded, manifest, recipe.distill.cache)
                train(recipe, folder)

            folder = log.run(
                f"train: {identifier}",
                {"run": recipe.fingerprint(manifest.fingerprint, teacher)},
                build,
                at=f"runs/{identifier}",
            )
            students.append(
                StudyModel(
                    id=identifier,
                    title=f"{SET_TITLES[name]}, {'with' if kd else 'without'} KD",
                    kind="student",
                    model=load_teacher(folder),
                    training_set=name,
                    kd=kd,
                    facts=read_json(folder / "run.json"),
                    curve=_read_log(folder / "log.jsonl"),
                )
            )
    return students


def untrained_student(spec: StudySpec, size: int, log: StageLog) -> StudyModel:
    """The student's network before its first step: what architecture alone gives."""
    recipe = student_recipe(spec, "untrained", data=Path(), size=size, cache=None)

    def build(folder: Path) -> None:
        import safetensors.torch
        import torch

        from evenface.models import create_backbone
        from evenface.seeds import derive_seed

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(recipe.seed, "weights"))
            backbone = create_backbone(recipe.backbone.name, embedding_size=size)
        with atomic_path(folder / "weights.safetensors") as temporary:
            safetensors.torch.save_file(backbone.state_dict(), temporary)
        record = {
            "backbone": recipe.backbone.name,
            "embedding_size": size,
            "parameters": sum(p.numel() for p in backbone.parameters()),
            "steps": 0,
        }
        write_json(folder / "run.json", record)

    inputs = {"backbone": recipe.backbone.model_dump(), "seed": recipe.seed, "size": size}
    folder = log.run("untrained network", inputs, build, at="runs/untrained")
    return StudyModel(
        id="untrained",
        title="untrained network",
        kind="untrained",
        model=load_teacher(folder),
        facts=read_json(folder / "run.json"),
    )


def student_recipe(
    spec: StudySpec, name: str, *, data: Path, size: int, cache: Path | None
) -> TrainRecipe:
    """The study's training recipe for one arm; all arms differ in data and distillation only.

    Raises:
        UsageError: the study's overrides do not fit the recipe.
    """
    overrides: dict[str, Any] = {
        **spec.student.overrides,
        "name": name,
        "seed": spec.seed,
        "data": str(data),
        "backbone.embedding_size": size,
    }
    if cache is not None:
        overrides |= {
            "distill.cache": str(cache),
            "distill.weight": spec.distillation_weight,
        }
    return load_recipe(spec.student.recipe, overrides)


def _read_log(path: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        {
            "step": record["step"],
            "loss": record["loss"],
            "classification": record["classification"],
            "distillation": record.get("distillation"),
        }
        for record in records
    ]
