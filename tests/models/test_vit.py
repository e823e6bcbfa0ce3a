"""The vision transformer against torch's own encoder layer."""

from __future__ import annotations

import torch
from torch import nn

from evenface.models import create_backbone
from evenface.models.vit import _Block


def test_a_block_is_torchs_pre_norm_encoder_layer():
    torch.manual_seed(0)
    width = 64
    ours = _Block(width, 0.0).eval()
    theirs = nn.TransformerEncoderLayer(
        width, 8, 4 * width, 0.0, nn.ReLU6(), batch_first=True, norm_first=True
    ).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.3)
        theirs.self_attn.in_proj_weight.copy_(ours.attn.qkv.weight)
        theirs.self_attn.in_proj_bias.zero_()
        pairs = (
            (theirs.self_attn.out_proj, ours.attn.proj),
            (theirs.linear1, ours.mlp.fc1),
            (theirs.linear2, ours.mlp.fc2),
            (theirs.norm1, ours.norm1),
            (theirs.norm2, ours.norm2),
        )
        for target, source in pairs:
            target.load_state_dict(source.state_dict())
        tokens = torch.randn(2, 9, width)
        torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-4, atol=1e-4)


def test_branches_are_left_out_for_whole_images_and_the_mean_stays():
    torch.manual_seed(0)
    block = _Block(8, 0.25).train()
    kept = block._dropped(torch.ones(20_000, 3, 8))
    assert torch.equal(kept, kept[:, :1, :1].expand_as(kept))
    assert set(kept.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(kept.mean().item() - 1) < 0.02
    assert torch.equal(block.eval()._dropped(torch.ones(2, 3, 8)), torch.ones(2, 3, 8))


def test_keys_are_those_of_arcface_torch():
    keys = set(create_backbone("vit_t").state_dict())
    block = {
        f"blocks.11.{part}"
        for part in (
            "norm1.weight", "attn.qkv.weight", "attn.proj.bias", "norm2.bias", "mlp.fc1.weight",
            "mlp.fc2.bias",
        )
    }  # fmt: skip
    ends = {"pos_embed", "patch_embed.proj.bias", "norm.weight", "feature.0.weight",
            "feature.3.running_var"}  # fmt: skip
    assert block | ends <= keys
    assert "blocks.0.attn.qkv.bias" not in keys
