"""What a training leaves in its run folder beside :mod:`evenface.run_folder`. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from evenface.errors import UsageError
from evenface.files import read_json
from evenface.run_folder import RUN_NAME, run_weights

CHECKPOINTS_NAME = "checkpoints"
DIVERGED_NAME = "diverged.json"
LOG_NAME = "log.jsonl"
TENSORBOARD_NAME = "tensorboard"
OTHER_WEIGHTS_NAME = "weights-{}.safetensors"
"""For what :attr:`RunResult.weights` is not: "average" or "last-step"."""


PRETRAINING_NAME = "pretraining"
"""Run folder of a training's first part, in that of the whole."""


class RunResult(TypedDict):
    """Content of ``run.json``, written last: where it is, the run is finished."""

    finished: bool
    name: str
    fingerprint: str
    """Of recipe, data and teacher; see :meth:`evenface.train.recipe.TrainRecipe.fingerprint`."""
    backbone: str
    embedding_size: int
    channels: NotRequired[dict[str, tuple[int, int]]]
    """Of a pruned backbone; see :mod:`evenface.models.widths`."""
    pruned: NotRequired[dict[str, Any]]
    """What it was pruned of; see :class:`evenface.export.prune.Pruned`."""
    start: NotRequired[str]
    """Fingerprint of the run whose weights it began with, or SHA-256 of a file of weights."""
    pretraining: NotRequired[dict[str, Any]]
    """Of the first part, whose own record is in the folder "pretraining": images, num_identities,
    steps, images_seen and seconds, which those of the whole include."""
    head: str | None
    """None: distillation alone."""
    parameters: int
    """Of the backbone."""
    num_identities: int
    images: int
    data_fingerprint: str
    data: dict[str, Any]
    """What the training set was made of, see :class:`evenface.data.inspect.Composition`."""
    teacher_fingerprint: str | None
    steps: int
    batch_size: int
    images_seen: int
    seconds: float
    """Time spent in steps, all parts of an interrupted run together."""
    final: dict[str, float]
    """Losses and gradient norm of the last step."""
    weights_sha256: NotRequired[str]
    """Of ``weights.safetensors``; older runs have none."""
    weights: str
    """What ``weights.safetensors`` holds: "last-step", or "average" (of all steps)."""
    stopped: NotRequired[bool]
    """Whether a caller ended it before the recipe's last step."""
    setbacks: int
    """Divergences that the run went on from."""
    device: str
    threads: int
    torch: str
    environment: dict[str, Any]
    """Machine and versions of its last part."""


def start_weights(start: Path) -> Path:
    """The file of weights that a recipe's ``backbone.start``, a run or such a file, stands for."""
    return run_weights(start) if start.is_dir() else start


def finished_run(out: Path, fingerprint: str) -> RunResult | None:
    """The record in ``out`` if a run with this fingerprint is finished there; None if none is.

    Raises:
        UsageError: another run is finished there.
        DataError: the record is damaged.
    """
    path = out / RUN_NAME
    if not path.exists():
        return None
    record = read_json(path)
    found = record.get("fingerprint") if isinstance(record, dict) else None
    if found != fingerprint:
        raise another_run(path, found, fingerprint)
    return cast(RunResult, record)


def another_run(path: Path, found: object, expected: str) -> UsageError:
    """The error to raise where ``path`` belongs to a run with another fingerprint."""
    return UsageError(
        f"{path}: belongs to a run of another recipe, other data or another teacher (fingerprint "
        f"{str(found)[:12]}…, this one has {expected[:12]}…). Choose another --out, or delete "
        f"{path.parent}"
    )
