"""IResNet (improved ResNet) of ArcFace and ElasticFace, with arcface_torch's state-dict keys.

He et al., CVPR 2016, in the pre-activation variant with PReLU of Deng et al., CVPR 2019.
"""

from __future__ import annotations

from torch import Tensor, nn

from evenface.models.inputs import check_input
from evenface.models.registry import BACKBONES

_BN_EPS = 1e-5


class _Block(nn.Module):
    """BN → conv → BN → PReLU → conv (stride) → BN, plus the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, eps=_BN_EPS)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=_BN_EPS)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=_BN_EPS)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                nn.BatchNorm2d(outputs, eps=_BN_EPS),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(x)) + shortcut


class IResNet(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D), not normalised.

    Args:
        layers: blocks in each of the four stages.
        embedding_size: number of dimensions D.
        dropout: probability before the embedding layer.
    """

    def __init__(
        self, layers: tuple[int, int, int, int], embedding_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=_BN_EPS)
        self.prelu = nn.PReLU(64)
        self.layer1 = _stage(64, 64, layers[0])
        self.layer2 = _stage(64, 128, layers[1])
        self.layer3 = _stage(128, 256, layers[2])
        self.layer4 = _stage(256, 512, layers[3])
        self.bn2 = nn.BatchNorm2d(512, eps=_BN_EPS)
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(512 * 7 * 7, embedding_size)
        self.features = nn.BatchNorm1d(embedding_size, eps=_BN_EPS)
        # A learned scale per dimension would only undo the normalisation that follows.
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D); ValueError for images of another shape."""
        x = self.prelu(self.bn1(self.conv1(check_input(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(self.bn2(x).flatten(1))
        return self.features(self.fc(x))


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    first = _Block(inputs, outputs, stride=2)
    return nn.Sequential(first, *(_Block(outputs, outputs, stride=1) for _ in range(blocks - 1)))


@BACKBONES.register(
    "iresnet18",
    title="IResNet-18",
    works=("he2016", "deng2019arcface"),
)
def iresnet18(*, embedding_size: int, dropout: float) -> IResNet:
    """24.0 M parameters, 2.61 GMACs at 512-d."""
    return IResNet((2, 2, 2, 2), embedding_size, dropout)


@BACKBONES.register(
    "iresnet34",
    title="IResNet-34",
    works=("he2016", "deng2019arcface"),
)
def iresnet34(*, embedding_size: int, dropout: float) -> IResNet:
    """34.1 M parameters, 4.46 GMACs at 512-d."""
    return IResNet((3, 4, 6, 3), embedding_size, dropout)


@BACKBONES.register(
    "iresnet50",
    title="IResNet-50",
    works=("he2016", "deng2019arcface"),
)
def iresnet50(*, embedding_size: int, dropout: float) -> IResNet:
    """43.6 M parameters, 6.31 GMACs at 512-d."""
    return IResNet((3, 4, 14, 3), embedding_size, dropout)


@BACKBONES.register(
    "iresnet100",
    title="IResNet-100",
    works=("he2016", "deng2019arcface"),
)
def iresnet100(*, embedding_size: int, dropout: float) -> IResNet:
    """65.2 M parameters, 12.09 GMACs at 512-d."""
    return IResNet((3, 13, 30, 3), embedding_size, dropout)
