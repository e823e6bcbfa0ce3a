"""The folder of a finished run, for those who read it. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from evenface.errors import DataError
from evenface.files import read_json, sha256_file

RECIPE_NAME = "recipe.yaml"
RUN_NAME = "run.json"
"""Its record, see :class:`evenface.train.run.RunResult`."""
WEIGHTS_NAME = "weights.safetensors"


def run_weights(folder: Path) -> Path:
    """The weights of a finished run, compared with the digest that its record has.

    Raises:
        DataError: they were changed or damaged since the run was finished.
    """
    path = folder / WEIGHTS_NAME
    record = read_json(folder / RUN_NAME)
    expected = record.get("weights_sha256") if isinstance(record, dict) else None
    if expected is not None and path.is_file() and sha256_file(path) != expected:
        raise DataError(
            f"{path}: not the weights that {RUN_NAME} records (SHA-256); the file was changed or "
            f"damaged. Copy the run anew, or delete {folder / RUN_NAME} and train again from the "
            "last checkpoint"
        )
    return path


class RunBackbone(NamedTuple):
    """How to make the backbone of a run, see :func:`evenface.models.create_backbone`."""

    name: str
    embedding_size: int
    channels: dict[str, tuple[int, int]] | None


def run_backbone(folder: Path) -> RunBackbone:
    """The backbone of a finished run, without its weights.

    Raises:
        DataError: no finished run there, or its record is damaged.
    """
    path = folder / RUN_NAME
    record = read_json(path)
    try:
        name, size = str(record["backbone"]), int(record["embedding_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no backbone and embedding_size in it ({error!r})") from None
    if "channels" not in record:
        return RunBackbone(name, size, None)
    try:
        channels = {
            str(module): (int(inputs), int(outputs))
            for module, (inputs, outputs) in record["channels"].items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: its record of channels is damaged ({error!r})") from None
    return RunBackbone(name, size, channels)
