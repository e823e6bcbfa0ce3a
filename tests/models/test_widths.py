"""Networks rebuilt from a record of their channel counts."""

from __future__ import annotations

import pytest
import torch

from evenface.models import create_backbone
from evenface.models.widths import channels_of

# The first block of mini_s: its inner channels, which nothing outside depends on.
INNER = {
    "blocks.0.layers.0": (16, 8),
    "blocks.0.layers.1": (8, 8),
    "blocks.0.layers.3": (8, 16),
}


def test_named_modules_are_narrow_and_the_others_as_they_were():
    network = create_backbone("mini_s", embedding_size=8, channels=INNER).eval()
    before = channels_of(create_backbone("mini_s", embedding_size=8))
    assert channels_of(network) == {**before, **INNER}
    assert network(torch.zeros(2, 3, 112, 112)).shape == (2, 8)
    assert network.train().blocks[0].layers[1].training


def test_a_depthwise_convolution_keeps_one_input_a_channel():
    narrow = {"expand.0": (128, 64), "expand.1": (64, 64), "pool.0": (64, 64), "pool.1": (64, 64)}
    network = create_backbone(
        "mobilefacenet_small", embedding_size=8, channels={**narrow, "linear": (64, 8)}
    )
    assert network.pool[0].weight.shape == (64, 1, 7, 7)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ({"blocks.9": (1, 1)}, "no module 'blocks.9'"),
        ({"dropout": (1, 1)}, "no module 'dropout'"),
        ({"linear": (64, 9)}, "cannot be kept"),
        ({"linear": (0, 8)}, "cannot be kept"),
        ({"linear": (32, 8)}, "do not fit together"),
    ],
)
def test_counts_that_the_backbone_cannot_have_are_refused(channels, message):
    with pytest.raises(ValueError, match=message):
        create_backbone("mini_s", embedding_size=8, channels=channels)
