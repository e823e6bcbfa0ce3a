"""Teachers from folders as model hubs hold them: what ``evenface export --hub`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from evenface.errors import DataError
from evenface.teachers.onnx import OnnxTeacher

CONFIG_NAME = "config.json"
LIBRARY = "evenface"
PRECISIONS = ("fp32", "fp16", "int8")
"""In the order in which a file is taken."""


def is_hub(spec: str) -> bool:
    """Whether ``spec`` is a folder whose configuration names this library."""
    path = Path(spec) / CONFIG_NAME
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("library") == LIBRARY


def load(folder: Path, *, precision: Literal["fp32", "fp16", "int8"] | None = None) -> OnnxTeacher:
    """The folder's ONNX file, which needs no torch.

    Args:
        folder: with ``config.json`` and ``<name>-<precision>.onnx``.
        precision: None for the most precise there is.

    Raises:
        DataError: no such file.
    """
    wanted = PRECISIONS if precision is None else (precision,)
    for name in wanted:
        found = folder.glob(f"*-{name}.onnx")
        for path in sorted(found, key=lambda path: ("-float-" in path.name, path.name)):
            return OnnxTeacher(path)
    raise DataError(f"{folder}: holds no ONNX file (*-{' or *-'.join(wanted)}.onnx)")
