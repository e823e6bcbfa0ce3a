"""timm's networks as backbones, by ``timm:NAME`` (extra ``timm``). No weights are downloaded."""

from __future__ import annotations

from torch import Tensor, nn

from evenface.errors import MissingDependencyError
from evenface.models.inputs import check_input
from evenface.models.registry import TIMM


class TimmBackbone(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D), not normalised.

    timm's network with its classifier as the embedding layer, followed by batch norm as in the
    field's own backbones.

    Args:
        network: maps images to (B, D).
        embedding_size: number of dimensions D.
    """

    def __init__(self, network: nn.Module, embedding_size: int) -> None:
        super().__init__()
        self.network = network
        self.features = nn.BatchNorm1d(embedding_size)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D); ValueError for images of another shape."""
        return self.features(self.network(check_input(images)))


def create_timm(name: str, *, embedding_size: int, dropout: float) -> TimmBackbone:
    """A network of timm with freshly initialised weights (torch's global generator).

    Args:
        name: as ``timm.list_models()`` has it, without prefix.
        embedding_size: number of dimensions D.
        dropout: probability before the embedding layer (timm's ``drop_rate``).

    Raises:
        MissingDependencyError: timm (or torchvision, which it needs) is not installed.
        ValueError: timm knows no such network, or it cannot take 112 × 112 pixels.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        package = (error.name or "timm").partition(".")[0]
        raise MissingDependencyError(package, "timm", f"backbone '{TIMM}{name}'") from None
    options = {"pretrained": False, "num_classes": embedding_size, "drop_rate": dropout}
    try:
        try:  # transformers are made for one size
            network = timm.create_model(name, img_size=112, **options)
        except TypeError:  # convolutions take any
            network = timm.create_model(name, **options)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"backbone '{TIMM}{name}': {error}") from None
    return TimmBackbone(network, embedding_size)
