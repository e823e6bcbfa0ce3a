"""Small residual networks that train on a CPU: stand-ins for the field's backbones.

A stem that takes 4 × 4 patches, so that the first block works on 28 × 28 places, then basic
residual blocks (He et al., CVPR 2016) of dense 3 × 3 convolutions, which CPUs compute at several
times the rate of depthwise ones, and MobileFaceNet's global depthwise convolution at the end.
Three sizes of different depth and width, so that size matters as among the real ones, and a fourth
for use on real faces, whose stem are two convolutions that overlap (Xiao et al., NeurIPS 2021).
"""

from __future__ import annotations

from torch import Tensor, nn

from evenface.models.inputs import check_input
from evenface.models.registry import BACKBONES

_SLOPE = 0.25
"""Of the activations; not learned, because learning it slows a step on a CPU down."""


def _conv(
    inputs: int, outputs: int, kernel: int, *, stride: int, padding: int = 0
) -> list[nn.Module]:
    """Convolution, BN, activation."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
    ]


class _Block(nn.Module):
    """conv (stride) → BN → activation → conv → BN, plus the shortcut, then the activation."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv(inputs, outputs, 3, stride=stride, padding=1),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.activation = nn.LeakyReLU(_SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.layers(x) + self.shortcut(x))


class MiniResNet(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D), not normalised.

    Args:
        stages: (channels, blocks) of the stages at 28 × 28, 14 × 14 and 7 × 7 places.
        embedding_size: number of dimensions D.
        dropout: probability before the embedding layer.
        overlapping: a stem of two 3 × 3 convolutions of stride 2 instead of 4 × 4 patches.
    """

    def __init__(
        self,
        stages: tuple[tuple[int, int], ...],
        *,
        embedding_size: int,
        dropout: float,
        overlapping: bool = False,
    ) -> None:
        super().__init__()
        channels = stages[0][0]
        if overlapping:
            half = channels // 2
            self.stem = nn.Sequential(
                *_conv(3, half, 3, stride=2, padding=1),
                *_conv(half, channels, 3, stride=2, padding=1),
            )
        else:
            self.stem = nn.Sequential(*_conv(3, channels, 4, stride=4))
        blocks: list[nn.Module] = []
        for number, (outputs, repeats) in enumerate(stages):
            for repeat in range(repeats):
                stride = 2 if number > 0 and repeat == 0 else 1
                blocks.append(_Block(channels, outputs, stride))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.Sequential(
            nn.Conv2d(channels, channels, 7, groups=channels, bias=False), nn.BatchNorm2d(channels)
        )
        self.dropout = nn.Dropout(p=dropout)
        self.linear = nn.Linear(channels, embedding_size, bias=False)
        self.features = nn.BatchNorm1d(embedding_size)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE, mode="fan_out")

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D); ValueError for images of another shape."""
        x = self.pool(self.blocks(self.stem(check_input(images)))).flatten(1)
        return self.features(self.linear(self.dropout(x)))


@BACKBONES.register(
    "mini_s",
    title="a small residual network (mini_s)",
    works=("he2016",),
)
def mini_s(*, embedding_size: int, dropout: float) -> MiniResNet:
    """0.09 M parameters at 128-d: the quick study's student."""
    return MiniResNet(((16, 1), (32, 1), (64, 1)), embedding_size=embedding_size, dropout=dropout)


@BACKBONES.register(
    "mini_m",
    title="a small residual network (mini_m)",
    works=("he2016",),
)
def mini_m(*, embedding_size: int, dropout: float) -> MiniResNet:
    """0.23 M parameters at 128-d."""
    return MiniResNet(((24, 1), (48, 2), (96, 1)), embedding_size=embedding_size, dropout=dropout)


@BACKBONES.register(
    "mini_l",
    title="a small residual network (mini_l)",
    works=("he2016",),
)
def mini_l(*, embedding_size: int, dropout: float) -> MiniResNet:
    """0.70 M parameters at 128-d: the study teacher's network."""
    return MiniResNet(((32, 1), (64, 2), (128, 2)), embedding_size=embedding_size, dropout=dropout)


@BACKBONES.register(
    "mini_x",
    title="a small residual network with overlapping stem (mini_x)",
    works=("he2016",),
)
def mini_x(*, embedding_size: int, dropout: float) -> MiniResNet:
    """1.28 M parameters at 128-d, overlapping stem: the network of the package's recogniser."""
    return MiniResNet(
        ((48, 2), (96, 3), (144, 2)),
        embedding_size=embedding_size,
        dropout=dropout,
        overlapping=True,
    )
