"""EdgeFace (George et al., IEEE TBIOM 2024): EdgeNeXt whose linear layers are of low rank.

EdgeNeXt (Maaz et al., ECCVW 2022) mixes convolutions of 3 × 3 to 9 × 9 with one block a stage that
splits the channels, and in which channels attend to each other (cross-covariance). EdgeFace takes
every linear layer apart into two whose rank is a share γ of the smaller side, the embedding's
included. Names of modules are those of the published weights, below ``model``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.models.inputs import check_input
from evenface.models.registry import BACKBONES

_EPS = 1e-6
_LAYER_SCALE = 1e-6
_FREQUENCIES = 32
"""Of the positions' sines and cosines, along each axis."""


class _Stage(NamedTuple):
    """Blocks of one resolution."""

    width: int
    blocks: int
    kernel: int
    splits: int
    """Parts of the last block's channels; 0: the last block is a convolution as the others."""
    size: int
    """Rows and columns of its feature map."""
    positions: bool = False


class _LowRank(nn.Module):
    """A linear layer as two, the first without bias."""

    def __init__(self, inputs: int, outputs: int, share: float) -> None:
        super().__init__()
        rank = max(2, int(min(inputs, outputs) * share))
        self.linear1 = nn.Linear(inputs, rank, bias=False)
        self.linear2 = nn.Linear(rank, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.linear1(x))


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _MLP(nn.Module):
    """Low-rank linear → GELU → low-rank linear over the last axis, four times as wide between."""

    def __init__(self, width: int, share: float) -> None:
        super().__init__()
        self.fc1 = _LowRank(width, 4 * width, share)
        self.act = nn.GELU()
        self.fc2 = _LowRank(4 * width, width, share)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class _ConvBlock(nn.Module):
    """Depthwise convolution → norm → MLP, scaled, plus the shortcut."""

    def __init__(self, stage: _Stage, share: float) -> None:
        super().__init__()
        width, kernel = stage.width, stage.kernel
        self.conv_dw = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.mlp = _MLP(width, share)
        self.gamma = nn.Parameter(_LAYER_SCALE * torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        return x + (self.gamma * y).permute(0, 3, 1, 2)


class _Positions(nn.Module):
    """Sines and cosines of row and column, projected to the channels: (1, C, H, W)."""

    waves: Tensor

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.token_projection = nn.Conv2d(2 * _FREQUENCIES, width, kernel_size=1)
        place = torch.arange(1, size + 1, dtype=torch.float32) / (size + _EPS) * 2 * math.pi
        pairs = torch.arange(_FREQUENCIES, dtype=torch.float32).div(2, rounding_mode="floor")
        angles = place[:, None] / 10_000 ** (2 * pairs / _FREQUENCIES)
        waves = torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1)
        rows = waves[:, None].expand(size, size, _FREQUENCIES)
        both = torch.cat((rows, rows.transpose(0, 1)), dim=2)
        self.register_buffer("waves", both.permute(2, 0, 1)[None].contiguous(), persistent=False)

    def forward(self) -> Tensor:
        return self.token_projection(self.waves)


class _CrossCovariance(nn.Module):
    """Attention of channels to channels within each head, (B, N, C) → (B, N, C)."""

    def __init__(self, width: int, heads: int, share: float) -> None:
        super().__init__()
        self._heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = _LowRank(width, 3 * width, share)
        self.proj = _LowRank(width, width, share)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self._heads, width // self._heads)
        q, k, v = parts.permute(2, 0, 3, 4, 1).unbind(0)  # (B, heads, C / heads, N)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        mixed = (scores * self.temperature).softmax(dim=-1).to(v.dtype) @ v
        return self.proj(mixed.permute(0, 3, 1, 2).reshape(batch, tokens, width))


class _SplitBlock(nn.Module):
    """Channels in parts, each convolved on top of the one before; attention; MLP; the shortcut."""

    def __init__(self, stage: _Stage, heads: int, share: float) -> None:
        super().__init__()
        width = stage.width
        part = math.ceil(width / stage.splits)
        self.convs = nn.ModuleList(
            nn.Conv2d(part, part, 3, padding=1, groups=part)
            for _ in range(max(1, stage.splits - 1))
        )
        self.pos_embd = _Positions(width, stage.size) if stage.positions else None
        self.norm_xca = nn.LayerNorm(width, eps=_EPS)
        self.gamma_xca = nn.Parameter(_LAYER_SCALE * torch.ones(width))
        self.xca = _CrossCovariance(width, heads, share)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.mlp = _MLP(width, share)
        self.gamma = nn.Parameter(_LAYER_SCALE * torch.ones(width))

    def forward(self, images: Tensor) -> Tensor:
        parts = images.chunk(len(self.convs) + 1, dim=1)
        convolved: list[Tensor] = []
        for conv, part in zip(self.convs, parts[:-1], strict=True):
            convolved.append(conv(part + convolved[-1] if convolved else part))
        x = torch.cat((*convolved, parts[-1]), dim=1)
        if self.pos_embd is not None:
            x = x + self.pos_embd()
        batch, width, rows, columns = x.shape
        x = x.flatten(2).transpose(1, 2)
        x = x + self.gamma_xca * self.xca(self.norm_xca(x))
        x = self.gamma * self.mlp(self.norm(x))
        return images + x.transpose(1, 2).reshape(batch, width, rows, columns)


class _EdgeStage(nn.Module):
    """Halves the resolution (but for the first stage), then blocks."""

    def __init__(self, inputs: int | None, stage: _Stage, heads: int, share: float) -> None:
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if inputs is not None:
            self.downsample = nn.Sequential(
                _ChannelNorm(inputs, eps=_EPS), nn.Conv2d(inputs, stage.width, 2, stride=2)
            )
        blocks: list[nn.Module] = [
            _ConvBlock(stage, share) for _ in range(stage.blocks - bool(stage.splits))
        ]
        if stage.splits:
            blocks.append(_SplitBlock(stage, heads, share))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class _Head(nn.Module):
    """Mean over the places → norm → low-rank embedding."""

    def __init__(self, width: int, embedding_size: int, dropout: float, share: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.dropout = nn.Dropout(p=dropout)
        self.fc = _LowRank(width, embedding_size, share)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.norm(x.mean(dim=(2, 3)))))


class EdgeFace(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D), not normalised.

    Args:
        widths: channels of the four stages.
        heads: of the attention.
        share: γ, rank of a linear layer as a share of its smaller side, in (0, 1].
        embedding_size: number of dimensions D.
        dropout: probability before the embedding layer.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        *,
        heads: int,
        share: float,
        embedding_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        first, second, third, fourth = widths
        stages = (
            _Stage(first, 3, 3, splits=0, size=28),
            _Stage(second, 3, 5, splits=2, size=14, positions=True),
            _Stage(third, 9, 7, splits=3, size=7),
            _Stage(fourth, 3, 9, splits=4, size=3),
        )
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=4, stride=4), _ChannelNorm(first, eps=_EPS)
        )
        inputs = (None, *widths[:-1])
        self.stages = nn.Sequential(
            *(
                _EdgeStage(before, stage, heads, share)
                for before, stage in zip(inputs, stages, strict=True)
            )
        )
        self.head = _Head(fourth, embedding_size, dropout, share)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D); ValueError for images of another shape."""
        return self.head(self.stages(self.stem(check_input(images))))


@BACKBONES.register(
    "edgeface_xs", title="EdgeFace-XS (γ = 0.6)", works=("george2024edgeface", "maaz2022edgenext")
)
def edgeface_xs(*, embedding_size: int, dropout: float) -> EdgeFace:
    """1.77 M parameters, 154 MFLOPs (two a multiply-add) at 512-d."""
    return EdgeFace(
        (32, 64, 100, 192), heads=4, share=0.6, embedding_size=embedding_size, dropout=dropout
    )


@BACKBONES.register(
    "edgeface_s", title="EdgeFace-S (γ = 0.5)", works=("george2024edgeface", "maaz2022edgenext")
)
def edgeface_s(*, embedding_size: int, dropout: float) -> EdgeFace:
    """3.65 M parameters, 306 MFLOPs (two a multiply-add) at 512-d."""
    return EdgeFace(
        (48, 96, 160, 304), heads=8, share=0.5, embedding_size=embedding_size, dropout=dropout
    )
