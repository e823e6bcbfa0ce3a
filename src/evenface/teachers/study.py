"""The study teacher, which comes with the package: pretrained on rendered faces only.

Made by ``make teacher`` with the recipe ``teacher-study``; its card lies beside the weights.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from evenface.teachers.checkpoint import CheckpointTeacher, load_run


def study_teacher_folder() -> Path:
    """The run folder inside the package."""
    return Path(str(resources.files("evenface.teachers") / "study_teacher"))


def load(name: str, *, device: str | None = None) -> CheckpointTeacher:
    """The study teacher; ``name`` is what the user called it."""
    teacher = load_run(study_teacher_folder(), device=device)
    teacher.name = name
    return teacher
