"""What the losses of a training can draw on besides its batches, opened and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.files import fingerprint, sha256_file
from evenface.train.recipe import DistillationRecipe, TrainRecipe
from evenface.train.targets import Targets, mean_centres, open_targets

if TYPE_CHECKING:
    from evenface.train.online import OnlineTeacher


@dataclass(frozen=True)
class Supply:
    """A teacher and what is known of it and of the groups.

    Attributes:
        teacher: its name, None without distillation.
        fingerprint: of the teacher, with all that was read for it.
        embedding_size: of the teacher.
        targets: its embeddings of every row, None where it embeds while the student trains.
        online: the teacher that does.
        centres: its class centres or their substitute, float32 (C, D), normalised.
        group_names: of the groups in the distillation, sorted; empty where they do not matter.
        groups: int64 (N,): each row's index into them.
    """

    teacher: str | None = None
    fingerprint: str | None = None
    embedding_size: int | None = None
    targets: Targets | None = None
    online: OnlineTeacher | None = None
    centres: np.ndarray | None = None
    group_names: tuple[str, ...] = ()
    groups: np.ndarray | None = None


def open_supply(recipe: TrainRecipe, manifest: Manifest) -> Supply:
    """Open everything that a recipe's distillation names.

    Raises:
        UsageError: it names what does not fit together, or asks for more than the teacher offers.
        DataError: files are missing, damaged, or of other data.
    """
    distill = recipe.distill
    if distill is None:
        return Supply()
    targets, online = None, None
    if distill.cache is not None:
        by = distill.groups.by if distill.groups else None
        targets, name, print_ = open_targets(distill.cache, manifest, by)
        size = targets.embedding_size
    else:
        assert distill.teacher is not None
        from evenface.train.online import open_online

        online = open_online(distill.teacher)
        name, print_, size = online.name, online.fingerprint, online.embedding_size
    centres = None
    if distill.centres == "mean":
        if targets is None:
            raise UsageError(
                "distill.centres 'mean' is the mean of cached embeddings: name distill.cache, or "
                "a file of class centres"
            )
        centres = mean_centres(targets, manifest.labels())
    elif distill.centres is not None:
        centres = read_centres(distill.centres, len(manifest.identities()), size)
        print_ = fingerprint([print_, sha256_file(distill.centres)])
    names, codes = _groups(distill, manifest)
    return Supply(name, print_, size, targets, online, centres, names, codes)


def read_centres(path: Path, identities: int, embedding_size: int) -> np.ndarray:
    """Class centres from a file with one matrix (C, D), its rows by sorted identity.

    Args:
        path: .safetensors, or a state dict saved by PyTorch.
        identities, embedding_size: C and D that are expected.

    Raises:
        DataError: the file is missing, unreadable, or holds another matrix or several.
    """
    from evenface.models.weights import read_state

    state = read_state(path)
    matrices = {key: value for key, value in state.items() if value.ndim == 2}
    if len(matrices) != 1:
        raise DataError(
            f"{path}: one matrix of class centres is expected, found "
            f"{', '.join(sorted(matrices)) or 'none'}"
        )
    [(key, matrix)] = matrices.items()
    if tuple(matrix.shape) != (identities, embedding_size):
        raise DataError(
            f"{path}: '{key}' is {tuple(matrix.shape)}, but {identities} identities and a teacher "
            f"of {embedding_size} dimensions need ({identities}, {embedding_size})"
        )
    centres: np.ndarray = matrix.float().numpy()
    if not np.isfinite(centres).all() or not (np.linalg.norm(centres, axis=1) > 0).all():
        raise DataError(f"{path}: '{key}' holds values that are NaN or infinite, or a row of zeros")
    return centres


def _groups(
    distill: DistillationRecipe, manifest: Manifest
) -> tuple[tuple[str, ...], np.ndarray | None]:
    if distill.groups is None:
        return (), None
    names, codes = np.unique(manifest.groups(distill.groups.by).astype(str), return_inverse=True)
    if unknown := sorted(set(distill.groups.weights) - set(names)):
        raise UsageError(
            f"distill.groups.weights: the training set has no group '{unknown[0]}'; it has: "
            f"{', '.join(names)}"
        )
    return tuple(map(str, names)), codes.astype(np.int64)
