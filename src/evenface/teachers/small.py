"""The recogniser that comes with the package: distilled from SFace on rendered faces alone.

Made by ``make flagship`` with the recipe ``student-renders``; its card lies beside the weights. It
runs in the base install, without torch.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from evenface.teachers.base import Engine
from evenface.teachers.onnx import OnnxTeacher

SMALL = "small"


def small_folder() -> Path:
    """The folder inside the package: weights, ONNX files, card."""
    return Path(str(resources.files("evenface.teachers") / "small_student"))


def load(name: str, *, threads: int | None = None, engine: Engine = "onnxruntime") -> OnnxTeacher:
    """``"small"`` (fp32) or ``"small-int8"``."""
    file = f"{SMALL}-fp32.onnx" if name == SMALL else f"{name}.onnx"
    return OnnxTeacher(small_folder() / file, name=name, threads=threads, engine=engine)
