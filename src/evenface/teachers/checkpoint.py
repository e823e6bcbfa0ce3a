"""Teachers from PyTorch weights: our own runs, and published weights of the field.

Published weights have the keys of :mod:`evenface.models.iresnet` (arcface_torch, ElasticFace) or
of :mod:`evenface.models.ir` (AdaFace, CVLface, face.evoLVe, insightface_pytorch); see
:mod:`evenface.models.weights` for the files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from evenface.errors import DataError, UsageError
from evenface.files import atomic_path, fingerprint, sha256_file
from evenface.models import create_backbone, embed, is_backbone, list_backbones
from evenface.models.weights import Order, load_state, read_centres, read_weights
from evenface.models.widths import Channels
from evenface.run_folder import RUN_NAME, WEIGHTS_NAME, run_backbone, run_weights
from evenface.teachers.base import check_images, check_network
from evenface.teachers.preprocessing import Preprocessing

_BATCH = {"cpu": 32, "cuda": 256}
_SIZE_KEYS = (
    "features.weight",
    "output_layer.3.weight",
    "feature.3.weight",
    "head.fc.linear2.bias",
)
"""Have one row for each dimension of the embedding (IResNet, IR, ViT, EdgeFace)."""
_BLOCKS = {
    "layer3": {2: "iresnet18", 6: "iresnet34", 14: "iresnet50", 30: "iresnet100"},
    "body": {8: "ir18", 16: "ir34", 24: "ir50", 49: "ir101"},
}
"""Published networks by the number of residual blocks in a part of theirs."""


class CheckpointTeacher:
    """A backbone of :func:`evenface.models.create_backbone` with weights from a file.

    A few pictures are embedded on loading: what gives NaN, or the same for all, is refused.

    Args:
        weights: a file that :func:`evenface.models.weights.read_weights` reads.
        backbone: name of the backbone; None for what the file says or its keys tell.
        embedding_size: number of dimensions; None for that of the weights (IResNet, IR), else 512.
        order: channel order that the weights were trained with; None for what the file or its form
            tells, RGB for networks that are published with no other.
        channels: of a pruned backbone, see :mod:`evenface.models.widths`.
        name: None for the file's stem.
        device: None for the GPU where there is one, else the CPU.

    Raises:
        UsageError: no backbone has this name; it or the channel order must be given.
        DataError: the file is missing, not a state dict, not of this backbone, or its embeddings
            are NaN or all alike.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        backbone: str | None = None,
        embedding_size: int | None = None,
        order: Order | None = None,
        channels: Channels | None = None,
        name: str | None = None,
        device: str | None = None,
    ) -> None:
        self.path = Path(weights)
        if backbone is not None and not is_backbone(backbone):
            raise UsageError(f"unknown backbone '{backbone}'; known: {', '.join(list_backbones())}")
        if order not in (None, "RGB", "BGR"):
            raise UsageError(f"{self.path}: weights take order RGB or BGR, not {order}")
        read = read_weights(self.path)
        self.backbone = backbone or read.backbone or _recognise(read.state, self.path)
        if not is_backbone(self.backbone):
            raise DataError(f"{self.path}: its backbone '{self.backbone}' is not known")
        self.preprocessing = Preprocessing(
            order=order or read.order or _usual_order(self.backbone, self.path)
        )
        self.embedding_size = embedding_size or _embedding_size(read.state)
        self.name = name or self.path.stem
        self.fingerprint = fingerprint(
            {
                "weights": sha256_file(self.path),
                "backbone": self.backbone,
                "embedding_size": self.embedding_size,
                "preprocessing": self.preprocessing.as_dict(),
            }
        )
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        try:
            model = create_backbone(
                self.backbone, embedding_size=self.embedding_size, channels=channels
            )
        except ValueError as error:
            raise DataError(f"{self.path}: {error}") from None
        load_state(model, read.state, self.path, self.backbone)
        self._model = model.eval().requires_grad_(False).to(self._device)
        check_network(self, self.path)

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
            "preprocessing": str(self.preprocessing),
            "device": str(self._device),
        }

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N,D), not normalised, of uint8 RGB images (N,112,112,3), N ≥ 0.

        Raises ValueError for images of another shape or type, DataError for outputs that are
        NaN or infinite.
        """
        check_images(images)
        if self.preprocessing.order == "BGR":
            images = images[..., ::-1]
        batch = _BATCH.get(self._device.type, _BATCH["cpu"])
        embeddings = embed(self._model, images, batch_size=batch, device=self._device)
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(bad):
            raise DataError(
                f"{self.path}: the embeddings of {len(bad)} of {len(images)} images are NaN or "
                f"infinite, the first is image {bad[0]}. The weights are damaged"
            )
        return embeddings

    def save(self, out: Path) -> None:
        """Write the weights as safetensors with their backbone and channel order in the header."""
        metadata = {
            "backbone": self.backbone,
            "order": self.preprocessing.order,
            "source": self.path.name,
            "source_sha256": sha256_file(self.path),
        }
        state = {key: value.cpu().contiguous() for key, value in self._model.state_dict().items()}
        with atomic_path(out) as temporary:
            temporary.write_bytes(safetensors.torch.save(state, metadata))


def load_run(folder: Path, *, device: str | None = None) -> CheckpointTeacher:
    """The final backbone of a finished training run."""
    described = run_backbone(folder)
    return CheckpointTeacher(
        run_weights(folder),
        backbone=described.name,
        embedding_size=described.embedding_size,
        channels=described.channels,
        order="RGB",
        name=folder.resolve().name,
        device=device,
    )


def load(
    path: Path,
    *,
    backbone: str | None = None,
    embedding_size: int | None = None,
    order: Order | None = None,
    device: str | None = None,
) -> CheckpointTeacher:
    """Weights from a file; those inside a run folder are known by its record."""
    inside_a_run = path.name == WEIGHTS_NAME and (path.parent / RUN_NAME).is_file()
    if backbone is None and inside_a_run:
        return load_run(path.parent, device=device)
    return CheckpointTeacher(
        path, backbone=backbone, embedding_size=embedding_size, order=order, device=device
    )


def save_centres(source: Path, out: Path, *, embedding_size: int) -> tuple[int, int]:
    """Write the class centres of ``source`` as the only tensor of a safetensors file; its shape.

    Raises:
        DataError: there are none, or not of this number of dimensions.
    """
    centres = read_centres(source)
    count, size = centres.shape
    if size != embedding_size:
        raise DataError(
            f"{source}: its class centres have {size} dimensions, the embeddings {embedding_size}"
        )
    with atomic_path(out) as temporary:
        temporary.write_bytes(safetensors.torch.save({"centres": centres}))
    return count, size


def _recognise(state: dict[str, torch.Tensor], path: Path) -> str:
    for part, networks in _BLOCKS.items():
        numbers = {key.split(".")[1] for key in state if key.startswith(f"{part}.")}
        if len(numbers) not in networks:
            continue
        name = networks[len(numbers)]
        if part == "body":
            se = any(".fc1." in key for key in state)
            evolve = "body.0.res_layer.2.running_mean" not in state
            name += ("_se" if se else "") + ("_evolve" if evolve else "")
        if name in list_backbones():
            return name
    raise UsageError(
        f"{path}: name the backbone that these weights belong to; "
        f"known: {', '.join(list_backbones())}"
    )


def _usual_order(backbone: str, path: Path) -> Order:
    base = backbone.removesuffix("_evolve").removesuffix("_se")
    if base not in _BLOCKS["body"].values():
        return "RGB"
    of = (
        "BGR if they were trained on images as OpenCV reads them, RGB if on Pillow's"
        if backbone.endswith("_evolve")
        else "BGR if they are AdaFace's, RGB if CVLface's"
    )
    raise UsageError(
        f"{path}: the channel order must be said, because weights of '{backbone}' are "
        f"published with either: {of}. Add --order"
    )


def _embedding_size(state: dict[str, torch.Tensor]) -> int:
    for key in _SIZE_KEYS:
        if key in state:
            return len(state[key])
    return 512
