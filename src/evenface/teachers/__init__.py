"""Teachers: anything that embeds aligned faces, and the cache of their embeddings."""

from evenface.teachers.base import Teacher
from evenface.teachers.loading import load_teacher, teacher_names

__all__ = ["Teacher", "load_teacher", "teacher_names"]
