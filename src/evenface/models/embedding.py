"""From images to embeddings with a backbone, and a finished run's backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from evenface.errors import DataError
from evenface.models.inputs import to_input
from evenface.models.registry import create_backbone
from evenface.models.weights import load_state, read_state
from evenface.run_folder import RUN_NAME, run_backbone, run_weights


@torch.inference_mode()
def embed(
    backbone: nn.Module,
    images: np.ndarray,
    *,
    batch_size: int = 256,
    device: str | torch.device | None = None,
) -> np.ndarray:
    """Embeddings of aligned faces, float32 (N, D), not normalised.

    The backbone is put into evaluation mode for the call and left as it was, each module in its own
    mode, on ``device``. One of double precision computes in it.

    Args:
        backbone: of :func:`evenface.models.create_backbone`.
        images: uint8 (N, 112, 112, 3), RGB; N ≥ 0.
        batch_size: images a forward pass, at least 1.
        device: where to compute; None for where the backbone is.

    Raises:
        ValueError: images of another shape or type.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (112, 112, 3):
        raise ValueError(
            f"images must be uint8 (N, 112, 112, 3), got {images.dtype} {tuple(images.shape)}"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    first = next(backbone.parameters())
    device = torch.device(device) if device else first.device
    dtype = torch.promote_types(first.dtype, torch.float32)
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.to(device).eval()
    parts = []
    try:
        # TF32 would round embeddings to three digits.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            # A forward pass of nothing tells D where N = 0.
            for start in range(0, max(1, len(images)), batch_size):
                # A copy, because torch takes neither read-only nor mirrored arrays.
                pixels = torch.from_numpy(np.array(images[start : start + batch_size], order="C"))
                parts.append(backbone(to_input(pixels.to(device), dtype)).float().cpu().numpy())
    finally:
        for module, training in modes:
            module.training = training
    return np.concatenate(parts)


def load_run_backbone(folder: str | Path) -> nn.Module:
    """The backbone of a finished training run, on the CPU and in evaluation mode.

    Raises:
        DataError: no finished run there, or its files are damaged or do not fit each other.
    """
    folder = Path(folder)
    described = run_backbone(folder)
    try:
        backbone = create_backbone(
            described.name,
            embedding_size=described.embedding_size,
            channels=described.channels,
        )
    except ValueError as error:
        raise DataError(f"{folder / RUN_NAME}: {error}") from None
    weights = run_weights(folder)
    load_state(backbone, read_state(weights), weights, described.name)
    return backbone.eval()
