"""Whom a compressed network learns from again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evenface.data.embedding_cache import is_cache
from evenface.train.recipe import DistillationRecipe, TeacherRecipe


def distillation_from(teacher: str) -> DistillationRecipe:
    """Distillation by 1 − cos from a teacher, or from the folder of its embeddings of the data.

    Args:
        teacher: see :func:`evenface.teachers.load_teacher`, or a folder that ``evenface teacher
            embed`` made.
    """
    if is_cache(Path(teacher)):
        return DistillationRecipe(cache=Path(teacher))
    return DistillationRecipe(teacher=TeacherRecipe(source=teacher))


def attributes_of(group_by: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """``group_by`` as recipes have it."""
    return group_by if group_by is None or isinstance(group_by, str) else tuple(group_by)
