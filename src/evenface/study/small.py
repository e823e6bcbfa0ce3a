"""A study in small: a few faces, two optimiser steps a model, few pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenface.errors import UsageError
from evenface.study.cells import cells
from evenface.study.executors.local import visible_gpus
from evenface.study.spec import (
    AnyFaces,
    GivenTeacher,
    ShuffledTeacher,
    StudySpec,
    TrainedTeacher,
    teacher_id,
)
from evenface.study.students import student_recipe, teacher_recipe
from evenface.teachers import teacher_names

STEPS = 2
CPU_IMAGES = 16
"""Of a step where there is no GPU."""
_REPLICATES = 100


def small_study(
    spec: StudySpec, parts: Mapping[str, AnyFaces], *, labels: bool = False
) -> StudySpec:
    """The study with these faces in place of its own, two steps a model and few pairs.

    Synthetic sources, further tests and teachers that are not there are left out.

    Args:
        spec: the study.
        parts: role → faces.
        labels: keep the prediction of groups.

    Raises:
        UsageError: nothing is left of what the study needs.
    """
    needed = ["real", "test"]
    synthetic = [role for role in spec.faces.synthetic_parts() if role in parts]
    if lacking := [role for role in needed if role not in parts]:
        raise UsageError(f"there are no {' and no '.join(lacking)} faces to rehearse with")
    if not synthetic:
        raise UsageError("there are no synthetic faces to rehearse with")
    content = spec.model_dump(mode="json")
    faces = content["faces"]
    for role in ("real", "test"):
        faces[role] = parts[role].model_dump(mode="json")
    if "synthetic" in synthetic:
        faces["synthetic"] = parts["synthetic"].model_dump(mode="json")
    else:
        faces["synthetic"]["sources"] = [
            source | {"faces": parts[f"synthetic-{source['name']}"].model_dump(mode="json")}
            for source in faces["synthetic"]["sources"]
            if f"synthetic-{source['name']}" in parts
        ]
    faces["more_tests"] = {
        name: parts[name].model_dump(mode="json") for name in faces["more_tests"] if name in parts
    }
    if not labels:
        faces["synthetic_labels"] = None
    for wanted in content["training_sets"].values():
        wanted |= {"identities": None, "images": None, "groups": None, "starve": "identities"}
    steps: dict[str, Any] = {"schedule": {"kind": "step", "steps": STEPS}, "log_every": 1}
    if not on_gpu():
        steps |= {"batch_size": CPU_IMAGES, "micro_batches": 1}
    there = [teacher for teacher in spec.teachers if _there(teacher, spec)]
    content["teachers"] = [_small_teacher(teacher, steps) for teacher in there or spec.teachers]
    content["models"] = [
        model.model_dump(mode="json")
        for model in spec.models
        if model.path is not None and Path(model.path).exists()
    ]
    student = content["student"]
    student["overrides"] = _shortened(student["overrides"], steps) | steps
    content["factors"] = {
        factor: {level: _shortened(changes, steps) for level, changes in levels.items()}
        for factor, levels in content["factors"].items()
    }
    content["training_seeds"] = content["training_seeds"][:1]
    content["evaluation"] |= {"folds": 2, "pairs_per_group": 16, "replicates": _REPLICATES}
    content["name"] = f"{spec.name}-rehearsal"
    content["description"] = (
        f"Rehearsal of {spec.name}: two optimiser steps a model on a few faces. Its numbers mean "
        "nothing."
    )
    return StudySpec.model_validate(content)


def largest_batch(spec: StudySpec) -> int:
    """Images of a step of the rehearsal's largest training."""
    if not on_gpu():
        return CPU_IMAGES
    recipes = [
        student_recipe(spec, "student", overrides=cell.overrides, seed=0) for cell in cells(spec)
    ]
    recipes += [teacher_recipe(spec, t) for t in spec.teachers if isinstance(t, TrainedTeacher)]
    return max(recipe.batch_size for recipe in recipes)


def on_gpu() -> bool:
    """Whether trainings run on a GPU here."""
    return bool(visible_gpus())


def _there(teacher: GivenTeacher, spec: StudySpec) -> bool:
    if isinstance(teacher, ShuffledTeacher):
        other = next(of for of in spec.teachers if teacher_id(of) == teacher.shuffle)
        return _there(other, spec)
    if isinstance(teacher, TrainedTeacher):
        return True
    return teacher in teacher_names() or ":" in teacher or Path(teacher).exists()


def _small_teacher(teacher: GivenTeacher, steps: Mapping[str, Any]) -> str | dict[str, Any]:
    if isinstance(teacher, str):
        return teacher
    content = teacher.model_dump(mode="json")
    if isinstance(teacher, TrainedTeacher):
        content["overrides"] = {**_shortened(teacher.overrides, steps), **steps}
    return content


def _shortened(overrides: Mapping[str, Any], steps: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides without what the rehearsal's own steps replace."""
    return {key: value for key, value in overrides.items() if key.split(".")[0] not in steps}
