"""IR and IR-SE networks of AdaFace, CVLface, face.evoLVe and insightface_pytorch, with their keys.

Beside :mod:`evenface.models.iresnet` they have another shortcut (a block that keeps the number of
channels takes every n-th place as it is) and another end (batch norm, dropout, linear, batch norm).
The residual branch of AdaFace and CVLface is that of IResNet; in face.evoLVe and
insightface_pytorch ("evolve" in names here) the first convolution has no batch norm, and the last
batch norm has scale and shift. "se" adds squeeze-and-excitation (Hu et al., CVPR 2018) at the end
of the branch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evenface.models.inputs import check_input
from evenface.models.registry import BACKBONES

_REDUCTION = 16
"""Of channels inside squeeze-and-excitation."""


class _SqueezeExcite(nn.Module):
    """Weighs channels by a function of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // _REDUCTION, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(squeezed))))


class _Block(nn.Module):
    """BN → conv → BN (not of "evolve") → PReLU → conv (stride) → BN → SE, plus the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, evolve: bool, se: bool) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            *([] if evolve else [nn.BatchNorm2d(outputs)]),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        if se:
            name = str(len(self.res_layer)) if evolve else "se_block"
            self.res_layer.add_module(name, _SqueezeExcite(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class IRNet(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D), not normalised.

    Published weights of AdaFace expect the channels as BGR; the order belongs to the weights, not
    to the network (:class:`evenface.teachers.checkpoint.CheckpointTeacher`).

    Args:
        layers: blocks in each of the four stages.
        embedding_size: number of dimensions D.
        dropout: probability before the embedding layer.
        evolve: as in face.evoLVe and insightface_pytorch.
        se: with squeeze-and-excitation.
    """

    def __init__(
        self,
        layers: tuple[int, int, int, int],
        embedding_size: int,
        dropout: float,
        *,
        evolve: bool = False,
        se: bool = False,
    ) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        blocks: list[nn.Module] = []
        inputs = 64
        for outputs, count in zip((64, 128, 256, 512), layers, strict=True):
            for number in range(count):
                stride = 2 if number == 0 else 1
                blocks.append(_Block(inputs, outputs, stride, evolve=evolve, se=se))
                inputs = outputs
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(p=dropout),
            nn.Flatten(),
            nn.Linear(512 * 7 * 7, embedding_size),
            nn.BatchNorm1d(embedding_size, affine=evolve),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D); ValueError for images of another shape."""
        embeddings: Tensor = self.output_layer(self.body(self.input_layer(check_input(images))))
        return embeddings


@BACKBONES.register(
    "ir18",
    title="IR-18",
    works=("he2016", "deng2019arcface"),
)
def ir18(*, embedding_size: int, dropout: float) -> IRNet:
    """24.0 M parameters at 512-d."""
    return IRNet((2, 2, 2, 2), embedding_size, dropout)


@BACKBONES.register(
    "ir34",
    title="IR-34",
    works=("he2016", "deng2019arcface"),
)
def ir34(*, embedding_size: int, dropout: float) -> IRNet:
    """34.1 M parameters at 512-d."""
    return IRNet((3, 4, 6, 3), embedding_size, dropout)


@BACKBONES.register(
    "ir50",
    title="IR-50",
    works=("he2016", "deng2019arcface"),
)
def ir50(*, embedding_size: int, dropout: float) -> IRNet:
    """43.6 M parameters at 512-d."""
    return IRNet((3, 4, 14, 3), embedding_size, dropout)


@BACKBONES.register(
    "ir101",
    title="IR-101",
    works=("he2016", "deng2019arcface"),
)
def ir101(*, embedding_size: int, dropout: float) -> IRNet:
    """65.2 M parameters at 512-d; as deep as ``iresnet100``, 101 as its authors count."""
    return IRNet((3, 13, 30, 3), embedding_size, dropout)


@BACKBONES.register(
    "ir50_se",
    title="IR-SE-50",
    works=("he2016", "deng2019arcface"),
)
def ir50_se(*, embedding_size: int, dropout: float) -> IRNet:
    """43.8 M parameters at 512-d."""
    return IRNet((3, 4, 14, 3), embedding_size, dropout, se=True)


@BACKBONES.register(
    "ir101_se",
    title="IR-SE-101",
    works=("he2016", "deng2019arcface"),
)
def ir101_se(*, embedding_size: int, dropout: float) -> IRNet:
    """65.5 M parameters at 512-d."""
    return IRNet((3, 13, 30, 3), embedding_size, dropout, se=True)


@BACKBONES.register(
    "ir50_evolve",
    title="IR-50 of face.evoLVe",
    works=("he2016", "deng2019arcface"),
)
def ir50_evolve(*, embedding_size: int, dropout: float) -> IRNet:
    """43.6 M parameters at 512-d."""
    return IRNet((3, 4, 14, 3), embedding_size, dropout, evolve=True)


@BACKBONES.register(
    "ir101_evolve",
    title="IR-101 of face.evoLVe",
    works=("he2016", "deng2019arcface"),
)
def ir101_evolve(*, embedding_size: int, dropout: float) -> IRNet:
    """65.1 M parameters at 512-d."""
    return IRNet((3, 13, 30, 3), embedding_size, dropout, evolve=True)


@BACKBONES.register(
    "ir50_se_evolve",
    title="IR-SE-50 of face.evoLVe",
    works=("he2016", "deng2019arcface"),
)
def ir50_se_evolve(*, embedding_size: int, dropout: float) -> IRNet:
    """43.8 M parameters at 512-d."""
    return IRNet((3, 4, 14, 3), embedding_size, dropout, evolve=True, se=True)


@BACKBONES.register(
    "ir101_se_evolve",
    title="IR-SE-101 of face.evoLVe",
    works=("he2016", "deng2019arcface"),
)
def ir101_se_evolve(*, embedding_size: int, dropout: float) -> IRNet:
    """65.5 M parameters at 512-d."""
    return IRNet((3, 13, 30, 3), embedding_size, dropout, evolve=True, se=True)
