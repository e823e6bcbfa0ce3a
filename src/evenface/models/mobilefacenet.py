"""MobileFaceNet (Chen et al., CCBR 2018, table 1), and a small one that trains on a CPU.

Bottlenecks of MobileNetV2 with PReLU; a global *depthwise* convolution weighs the 7 × 7 places of
the last feature map instead of averaging them.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from evenface.models.inputs import check_input
from evenface.models.registry import BACKBONES

Activation = Callable[[int], nn.Module]
"""Makes the non-linearity for a number of channels."""


def _fixed_slope(channels: int) -> nn.Module:
    """PReLU as it is initialised, but not learned: a training step on a CPU is 1.6 times faster."""
    return nn.LeakyReLU(0.25, inplace=True)


def _conv(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    activation: Activation | None = None,
) -> nn.Sequential:
    """Convolution → BN (→ activation)."""
    layers: list[nn.Module] = [
        nn.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=False
        ),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation(outputs))
    return nn.Sequential(*layers)


class _Bottleneck(nn.Module):
    """1 × 1 expansion → 3 × 3 depthwise → 1 × 1 linear; a shortcut where the shape is kept."""

    def __init__(
        self, inputs: int, outputs: int, expanded: int, stride: int, activation: Activation
    ) -> None:
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            _conv(inputs, expanded, activation=activation),
            _conv(
                expanded,
                expanded,
                3,
                stride=stride,
                padding=1,
                groups=expanded,
                activation=activation,
            ),
            _conv(expanded, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + x if self.shortcut else self.layers(x)


class MobileFaceNet(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D), not normalised.

    Args:
        stem: layers from images to the first bottleneck.
        bottlenecks: for each stage (outputs, expanded, blocks, stride of its first block); the
            last feature map must be 7 × 7.
        channels: outputs of the stem.
        last: channels of the last feature map.
        activation: makes the non-linearity after a convolution.
        embedding_size: number of dimensions D.
        dropout: probability before the embedding layer.
    """

    def __init__(
        self,
        stem: nn.Sequential,
        bottlenecks: list[tuple[int, int, int, int]],
        *,
        channels: int,
        last: int,
        activation: Activation,
        embedding_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem = stem
        blocks: list[nn.Module] = []
        for outputs, expanded, repeats, stride in bottlenecks:
            for number in range(repeats):
                step = stride if number == 0 else 1
                blocks.append(_Bottleneck(channels, outputs, expanded, step, activation))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.expand = _conv(channels, last, activation=activation)
        self.pool = _conv(last, last, 7, groups=last)
        self.dropout = nn.Dropout(p=dropout)
        self.linear = nn.Linear(last, embedding_size, bias=False)
        self.features = nn.BatchNorm1d(embedding_size)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D); ValueError for images of another shape."""
        x = self.blocks(self.stem(check_input(images)))
        x = self.pool(self.expand(x)).flatten(1)
        return self.features(self.linear(self.dropout(x)))


@BACKBONES.register(
    "mobilefacenet",
    title="MobileFaceNet",
    works=("chen2018mobilefacenets",),
)
def mobilefacenet(*, embedding_size: int, dropout: float) -> MobileFaceNet:
    """1.20 M parameters, 0.22 GMACs at 512-d."""
    stem = nn.Sequential(
        _conv(3, 64, 3, stride=2, padding=1, activation=nn.PReLU),
        _conv(64, 64, 3, padding=1, groups=64, activation=nn.PReLU),
    )
    stages = [
        (64, 128, 1, 2),
        (64, 128, 4, 1),
        (128, 256, 1, 2),
        (128, 256, 6, 1),
        (128, 512, 1, 2),
        (128, 256, 2, 1),
    ]
    return MobileFaceNet(
        stem,
        stages,
        channels=64,
        last=512,
        activation=nn.PReLU,
        embedding_size=embedding_size,
        dropout=dropout,
    )


@BACKBONES.register(
    "mobilefacenet_small",
    title="a narrower MobileFaceNet (mobilefacenet_small)",
    works=("chen2018mobilefacenets",),
)
def mobilefacenet_small(*, embedding_size: int, dropout: float) -> MobileFaceNet:
    """0.26 M parameters, 0.03 GMACs at 128-d: trains in minutes on two CPU cores.

    Half the widths, a stem that takes 4 × 4 patches, so that the first bottleneck works on
    28 × 28 places, and activations of a fixed slope.
    """
    stem = nn.Sequential(_conv(3, 32, 4, stride=4, activation=_fixed_slope))
    stages = [(32, 64, 1, 1), (64, 128, 3, 2), (128, 256, 2, 2)]
    return MobileFaceNet(
        stem,
        stages,
        channels=32,
        last=256,
        activation=_fixed_slope,
        embedding_size=embedding_size,
        dropout=dropout,
    )
