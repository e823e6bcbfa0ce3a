"""Teachers that embed the very pixels the student sees, while it trains."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from evenface.errors import UsageError
from evenface.models.inputs import to_input
from evenface.teachers import load_teacher
from evenface.teachers.base import Teacher
from evenface.train.recipe import TeacherRecipe


class Tap:
    """Keeps the newest output of one module of a network.

    Args:
        network: a backbone.
        layer: the module's name, e.g. "layer3" or "blocks.1".

    Raises:
        UsageError: the network has no such module; names those at its top.
    """

    def __init__(self, network: nn.Module, layer: str) -> None:
        self.output: Tensor | None = None
        module = dict(network.named_modules()).get(layer)
        if module is None or module is network:
            known = ", ".join(name for name, _ in network.named_children())
            raise UsageError(
                f"no module '{layer}' in {type(network).__name__}, whose parts are: {known}"
            )
        module.register_forward_hook(self._keep)

    def take(self) -> Tensor:
        """The output, which is then forgotten; ValueError where there is none."""
        if self.output is None:
            raise ValueError("the network has not been run")
        output, self.output = self.output, None
        return output

    def _keep(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.output = output


class OnlineTeacher(Protocol):
    """What a training needs of a teacher that runs beside it."""

    name: str
    embedding_size: int
    fingerprint: str
    network: nn.Module | None
    """Whose feature maps can be had; None where there are none."""

    def embed(self, pixels: Tensor) -> Tensor:
        """Embeddings float32 (B, D), on the device of ``pixels``, uint8 (B, 112, 112, 3)."""


class NetworkTeacher:
    """A PyTorch network: runs on the student's device, in evaluation mode, in float32."""

    def __init__(self, teacher: Teacher, network: nn.Module, order: str = "RGB") -> None:
        self.name = teacher.name
        self.embedding_size = teacher.embedding_size
        self.fingerprint = teacher.fingerprint
        self.network: nn.Module | None = network
        self._model = network
        self._reversed = order == "BGR"

    @torch.no_grad()
    def embed(self, pixels: Tensor) -> Tensor:
        """Embeddings float32 (B, D) of uint8 (B, 112, 112, 3)."""
        self._model.to(pixels.device).eval()
        pixels = pixels.flip(3) if self._reversed else pixels
        embeddings: Tensor = self._model(to_input(pixels))
        return embeddings


class ForeignTeacher:
    """Any other teacher (ONNX): pixels and embeddings pass through the host's memory."""

    network: nn.Module | None = None

    def __init__(self, teacher: Teacher) -> None:
        self.name = teacher.name
        self.embedding_size = teacher.embedding_size
        self.fingerprint = teacher.fingerprint
        self._teacher = teacher

    def embed(self, pixels: Tensor) -> Tensor:
        """Embeddings float32 (B, D) of uint8 (B, 112, 112, 3)."""
        embeddings = self._teacher.embed(pixels.cpu().numpy())
        return torch.from_numpy(embeddings).to(pixels.device)


def open_online(recipe: TeacherRecipe) -> OnlineTeacher:
    """Load a recipe's teacher.

    Raises:
        UsageError, DataError, MissingAssetError: see :func:`evenface.teachers.load_teacher`.
    """
    teacher = load_teacher(
        recipe.source,
        backbone=recipe.backbone,
        embedding_size=recipe.embedding_size,
        engine=recipe.engine,
    )
    network = getattr(teacher, "network", None)
    if network is None:
        return ForeignTeacher(teacher)
    return NetworkTeacher(teacher, network, teacher.preprocessing.order)  # type: ignore[attr-defined]
