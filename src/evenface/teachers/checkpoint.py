"""Teachers from PyTorch weights: our own runs, and published IResNet state dicts.

Published weights (arcface_torch, ElasticFace) are bare state dicts whose keys equal those of
:mod:`evenface.models`; which backbone they belong to must be named.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from evenface.errors import DataError, UsageError
from evenface.files import fingerprint, sha256_file
from evenface.models import create_backbone, embed, list_backbones
from evenface.models.weights import load_state, read_state
from evenface.teachers.base import check_images
from evenface.teachers.preprocessing import Preprocessing
from evenface.train.run import RUN_NAME, WEIGHTS_NAME, run_backbone

# Backbones take RGB in [−1, 1], see evenface.models.
_PREPROCESSING = Preprocessing()
_BATCH = {"cpu": 32, "cuda": 256}


class CheckpointTeacher:
    """A backbone of :func:`evenface.models.create_backbone` with weights from a file.

    Args:
        weights: .safetensors, or a state dict saved by PyTorch (bare, or under "state_dict"; a
            "module." prefix of DataParallel is removed).
        backbone: name of the backbone.
        embedding_size: number of dimensions; None for that of the weights (IResNet), else 512.
        name: None for the file's stem.
        device: None for the GPU where there is one, else the CPU.

    Raises:
        UsageError: no backbone has this name.
        DataError: the file is missing, not a state dict, or not of this backbone.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        backbone: str,
        embedding_size: int | None = None,
        name: str | None = None,
        device: str | None = None,
    ) -> None:
        self.path = Path(weights)
        self.backbone = backbone
        if backbone not in list_backbones():
            raise UsageError(f"unknown backbone '{backbone}'; known: {', '.join(list_backbones())}")
        state = read_state(self.path)
        self.embedding_size = embedding_size or _embedding_size(state)
        self.name = name or self.path.stem
        self.fingerprint = fingerprint(
            {
                "weights": sha256_file(self.path),
                "backbone": backbone,
                "embedding_size": self.embedding_size,
                "preprocessing": _PREPROCESSING.as_dict(),
            }
        )
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model = create_backbone(backbone, embedding_size=self.embedding_size)
        load_state(model, state, self.path, backbone)
        self._model = model.eval().requires_grad_(False).to(self._device)

    @property
    def network(self) -> torch.nn.Module:
        """The backbone, in evaluation mode, without gradients of its weights."""
        return self._model

    @property
    def details(self) -> dict[str, str]:
        """File, backbone, preprocessing and device, for the reader."""
        return {
            "file": str(self.path),
            "backbone": self.backbone,
            "preprocessing": str(_PREPROCESSING),
            "device": str(self._device),
        }

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N,D), not normalised, of uint8 RGB images (N,112,112,3), N ≥ 0.

        Raises ValueError for images of another shape or type, DataError for outputs that are
        NaN or infinite.
        """
        check_images(images)
        batch = _BATCH.get(self._device.type, _BATCH["cpu"])
        embeddings = embed(self._model, images, batch_size=batch, device=self._device)
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(bad):
            raise DataError(
                f"{self.path}: the embeddings of {len(bad)} of {len(images)} images are NaN or "
                f"infinite, the first is image {bad[0]}. The weights are damaged"
            )
        return embeddings


def load_run(folder: Path, *, device: str | None = None) -> CheckpointTeacher:
    """The final backbone of a finished training run."""
    backbone, embedding_size = run_backbone(folder)
    return CheckpointTeacher(
        folder / WEIGHTS_NAME,
        backbone=backbone,
        embedding_size=embedding_size,
        name=folder.resolve().name,
        device=device,
    )


def load(
    path: Path,
    *,
    backbone: str | None = None,
    embedding_size: int | None = None,
    device: str | None = None,
) -> CheckpointTeacher:
    """Bare weights; ``backbone`` may be left out for the weights inside a run folder."""
    if backbone is None:
        if path.name == WEIGHTS_NAME and (path.parent / RUN_NAME).is_file():
            return load_run(path.parent, device=device)
        raise UsageError(
            f"{path}: name the backbone that these weights belong to; "
            f"known: {', '.join(list_backbones())}"
        )
    return CheckpointTeacher(path, backbone=backbone, embedding_size=embedding_size, device=device)


def _embedding_size(state: dict[str, torch.Tensor]) -> int:
    # IResNet ends in a batch normalisation of the embedding, called "features".
    last = state.get("features.weight")
    return 512 if last is None else len(last)
