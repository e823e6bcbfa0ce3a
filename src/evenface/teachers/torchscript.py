"""Teachers from TorchScript files.

PyTorch calls ``torch.jit`` deprecated from 2.10 on, but still loads such files. They hold a program
in TorchScript, which calls nothing but PyTorch's own operations.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from evenface.errors import DataError, UsageError
from evenface.files import fingerprint, sha256_file
from evenface.teachers.base import IMAGE_SHAPE, check_images, check_network
from evenface.teachers.preprocessing import Fit, Layout, Order, Preprocessing, Size, declared

_BATCH = {"cpu": 32, "cuda": 256}


class TorchScriptTeacher:
    """A face recogniser saved by ``torch.jit``; one input, N×3×H×W or N×H×W×3.

    Args:
        path: the file.
        name: None for the file's stem.
        mean, std, order, layout, size, fit: preprocessing (:class:`Preprocessing`); None for what a
            file beside the model declares, else for the field's convention.
        device: None for the GPU where there is one, else the CPU.

    Raises:
        DataError: the file is missing, no TorchScript, or no recogniser of aligned faces (one that
            gives two unlike pictures one embedding, say).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        mean: float | tuple[float, float, float] | None = None,
        std: float | tuple[float, float, float] | None = None,
        order: Order | None = None,
        layout: Layout | None = None,
        size: Size | None = None,
        fit: Fit | None = None,
        device: str | None = None,
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file")
        given = {
            "mean": mean, "std": std, "order": order, "layout": layout, "size": size, "fit": fit
        }  # fmt: skip
        said = declared(self.path) | {key: v for key, v in given.items() if v is not None}
        try:
            self.preprocessing = Preprocessing(**said)
        except ValueError as error:
            raise UsageError(f"{self.path}: {error}") from None
        self.name = name or self.path.stem
        self.fingerprint = fingerprint(
            {"weights": sha256_file(self.path), "preprocessing": self.preprocessing.as_dict()}
        )
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model = self._load()
        self._batch = _BATCH.get(self._device.type, _BATCH["cpu"])
        blank = np.zeros((2, *IMAGE_SHAPE), np.uint8)
        try:
            output = self._run(blank)
        except DataError:
            # Traced with one image, it may take no more than one.
            self._batch = 1
            output = self._run(blank[:1])
        self.embedding_size: int = output.shape[1]
        check_network(self, self.path)

    @property
    def details(self) -> dict[str, str]:
        """File, preprocessing and device, for the reader."""
        return {
            "file": str(self.path),
            "preprocessing": str(self.preprocessing),
            "device": str(self._device),
        }

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N,D), not normalised, of uint8 RGB images (N,112,112,3), N ≥ 0.

        Raises ValueError for images of another shape or type, DataError for outputs that are
        NaN or infinite.
        """
        check_images(images)
        embeddings = np.empty((len(images), self.embedding_size), dtype=np.float32)
        for start in range(0, len(images), self._batch):
            block = slice(start, start + self._batch)
            embeddings[block] = self._run(images[block])
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(bad):
            raise DataError(
                f"{self.path}: the embeddings of {len(bad)} of {len(images)} images are NaN or "
                f"infinite, the first is image {bad[0]}. Check the model and the declared "
                f"preprocessing ({self.preprocessing})"
            )
        return embeddings

    def _load(self) -> torch.jit.ScriptModule:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                model = torch.jit.load(str(self.path), map_location=self._device)
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"{self.path}: PyTorch cannot read this as TorchScript "
                f"({str(error).splitlines()[0]})"
            ) from error
        return model.eval()

    def _run(self, images: np.ndarray) -> np.ndarray:
        inputs = torch.from_numpy(self.preprocessing(images)).to(self._device)
        try:
            with torch.inference_mode():
                output = self._model(inputs)
        except (RuntimeError, TypeError) as error:
            raise DataError(
                f"{self.path}: the model does not take an input of shape {tuple(inputs.shape)} "
                f"({str(error).strip().splitlines()[-1]})"
            ) from error
        if isinstance(output, tuple | list) and output:
            output = output[0]
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[2:] == (1, 1):
            output = output.flatten(1)
        if not isinstance(output, torch.Tensor) or output.ndim != 2 or len(output) != len(images):
            found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output)
            raise DataError(
                f"{self.path}: for {len(images)} images the output must have the shape "
                f"({len(images)}, D), it is {found}"
            )
        values: np.ndarray = output.float().cpu().numpy()
        return values
