"""Vision transformers for faces of 112 × 112 pixels, as arcface_torch has them (ViT-T, ViT-S).

Patches of 9 × 9 pixels (12 × 12 of them, the last four rows and columns are not seen), learned
positions, pre-norm blocks (Dosovitskiy et al., ICLR 2021) with ReLU6 in the MLP and no class token:
the embedding is made of all tokens. Names of modules are arcface_torch's. Its masking of tokens
while training is left out, as in its recipes for WebFace42M.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evenface.models.inputs import check_input
from evenface.models.registry import BACKBONES

_PATCH = 9
_TOKENS = (112 // _PATCH) ** 2
_DEPTH = 12
_HEADS = 8
_DROP_PATH = 0.05
"""Probability of leaving out the last block of an image while training; it grows with depth."""


class _Attention(nn.Module):
    """Multi-head self-attention (B, N, C) → (B, N, C), its softmax at least in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, _HEADS, width // _HEADS)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) * (width // _HEADS) ** -0.5
        dtype = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.softmax(dim=-1, dtype=dtype).to(v.dtype)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, width))


class _MLP(nn.Module):
    """Linear → ReLU6 → linear, four times as wide between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.act = nn.ReLU6()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class _Block(nn.Module):
    """Attention and MLP, each over a norm and beside a shortcut.

    Args:
        width: channels of a token.
        drop: probability of leaving either out for an image while training (stochastic depth).
    """

    def __init__(self, width: int, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _Attention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _MLP(width)
        self._drop = drop

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._dropped(self.attn(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or not self._drop:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self._drop
        return branch * kept.to(branch.dtype) / (1 - self._drop)


class _PatchEmbedding(nn.Module):
    """Images → tokens (B, 144, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=_PATCH, stride=_PATCH)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D), not normalised.

    Args:
        width: channels of a token, a multiple of 8.
        embedding_size: number of dimensions D.
        dropout: probability before the embedding layer.
    """

    def __init__(self, width: int, *, embedding_size: int, dropout: float) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, _TOKENS, width))
        self.blocks = nn.Sequential(
            *(_Block(width, _DROP_PATH * number / (_DEPTH - 1)) for number in range(_DEPTH))
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(p=dropout)
        self.feature = nn.Sequential(
            nn.Linear(width * _TOKENS, width, bias=False),
            nn.BatchNorm1d(width, eps=2e-5),
            nn.Linear(width, embedding_size, bias=False),
            nn.BatchNorm1d(embedding_size, eps=2e-5),
        )
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D); ValueError for images of another shape."""
        x = self.patch_embed(check_input(images)) + self.pos_embed
        return self.feature(self.dropout(self.norm(self.blocks(x)).flatten(1)))


@BACKBONES.register("vit_t", title="ViT-T", works=("dosovitskiy2021vit",))
def vit_t(*, embedding_size: int, dropout: float) -> VisionTransformer:
    """1.5 GMACs (arcface_torch's table), 19.1 M parameters at 512-d."""
    return VisionTransformer(256, embedding_size=embedding_size, dropout=dropout)


@BACKBONES.register("vit_s", title="ViT-S", works=("dosovitskiy2021vit",))
def vit_s(*, embedding_size: int, dropout: float) -> VisionTransformer:
    """5.7 GMACs (arcface_torch's table), 76.0 M parameters at 512-d."""
    return VisionTransformer(512, embedding_size=embedding_size, dropout=dropout)
