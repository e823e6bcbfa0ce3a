"""The study teacher, which comes with the package: pretrained on rendered faces only.

Made by ``make teacher`` (``recipes/teacher-study.yaml``); its card is ``study/README.md``.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from evenface.teachers.checkpoint import CheckpointTeacher, load_run

STUDY_TEACHER = "study"


def study_teacher_folder() -> Path:
    """The run folder inside the package."""
    return Path(str(resources.files("evenface.teachers") / "study_teacher"))


def load(name: str, *, device: str | None = None) -> CheckpointTeacher:
    """The study teacher; ``name`` is what the user called it."""
    teacher = load_run(study_teacher_folder(), device=device)
    teacher.name = name
    return teacher
