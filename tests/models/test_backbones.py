"""Backbones have the published sizes and keys, and take what they say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from evenface.models import create_backbone, list_backbones

# Parameters in millions, multiply-adds in billions at 112 × 112 and 512-d, as published.
PUBLISHED = {
    "iresnet18": (24.0, 2.61),
    "iresnet34": (34.1, 4.46),
    "iresnet50": (43.6, 6.31),
    "iresnet100": (65.2, 12.09),
    "mobilefacenet": (1.20, 0.221),
    # IResNet's, less the 1 × 1 convolution of the first stage's shortcut: 64 · 64 · 56² = 12.8 M.
    "ir18": (24.0, 2.597),
    "ir34": (34.1, 4.447),
    "ir50": (43.6, 6.297),
    "ir101": (65.2, 12.077),
    # EdgeFace, arXiv 2307.01838: 154 and 306.11 MFLOPs, two of them a multiply-add.
    "edgeface_xs": (1.77, 0.154 / 2),
    "edgeface_s": (3.65, 0.30611 / 2),
    # Squeeze-and-excitation has d²/8 weights in a block of d channels, each used once an image:
    # 0.22 M and 0.37 M. "evolve" differs in batch normalisation only.
    "ir50_se": (43.8, 6.297),
    "ir101_se": (65.5, 12.077),
    "ir50_evolve": (43.6, 6.297),
    "ir101_evolve": (65.1, 12.077),
    "ir50_se_evolve": (43.8, 6.297),
    "ir101_se_evolve": (65.5, 12.077),
}


def multiply_adds(model: nn.Module) -> int:
    """Multiply-adds of one image, counted from the shapes that pass through."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            total += output[0].numel() * module.in_channels // module.groups * kernel
        else:
            total += output[0].numel() * module.in_features

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 3, 112, 112))
    return total


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    parameters, macs = PUBLISHED[name]
    model = create_backbone(name)
    counted = sum(p.numel() for p in model.parameters()) / 1e6
    assert counted == pytest.approx(parameters, abs=0.06 if parameters > 4 else 0.005)
    # EdgeFace's authors count more than convolutions and linear layers.
    tolerance = 0.02 if name.startswith("edgeface") else 0.003
    assert multiply_adds(model) / 1e9 == pytest.approx(macs, rel=tolerance)


# Billions of multiply-adds by arcface_torch's table "ViT For Face Recognition"; it has no
# parameters. They are counted here by hand: C channels, 144 tokens, 12 blocks, D dimensions.
VITS = {"vit_t": (256, 1.5), "vit_s": (512, 5.7)}


@pytest.mark.parametrize("name", VITS)
def test_sizes_of_vision_transformers(name):
    width, macs = VITS[name]
    model = create_backbone(name)
    block = 12 * width**2 + (1 + 4 + 1 + 4) * width  # without a bias of queries, keys and values
    ends = 9 * 9 * 3 * width + width + 144 * width + 2 * width
    embedding = 144 * width * width + 2 * width + width * 512 + 2 * 512
    expected = 12 * block + ends + embedding
    assert sum(p.numel() for p in model.parameters()) == expected
    attention = 12 * 2 * 144**2 * width
    assert (multiply_adds(model) + attention) / 1e9 == pytest.approx(macs, abs=0.05)


# Parameters and multiply-adds in millions at 128-d.
OURS = {
    "mini_s": (0.089, 9.8),
    "mini_m": (0.233, 29.8),
    "mini_l": (0.700, 67.1),
    "mini_x": (1.282, 199.7),
    "mobilefacenet_small": (0.258, 26.7),
}


@pytest.mark.parametrize("name", OURS)
def test_sizes_of_ours(name):
    parameters, macs = OURS[name]
    model = create_backbone(name, embedding_size=128)
    counted = sum(p.numel() for p in model.parameters()) / 1e6
    assert counted == pytest.approx(parameters, abs=0.001)
    assert multiply_adds(model) / 1e6 == pytest.approx(macs, abs=0.1)


def test_names_are_listed():
    assert set(PUBLISHED) | set(OURS) | set(VITS) == set(list_backbones())


@pytest.mark.parametrize(
    "name",
    [
        "iresnet18",
        "mini_s",
        "mini_m",
        "mobilefacenet",
        "mobilefacenet_small",
        "vit_t",
        "edgeface_xs",
    ],
)
@pytest.mark.parametrize("size", [64, 512])
def test_images_become_embeddings_that_are_not_normalised(name, size):
    torch.manual_seed(0)
    model = create_backbone(name, embedding_size=size, dropout=0.2)
    embeddings = model(torch.rand(4, 3, 112, 112) * 2 - 1)
    assert embeddings.shape == (4, size)
    assert embeddings.dtype == torch.float32
    norms = embeddings.norm(dim=1)
    assert not torch.allclose(norms, torch.ones(4), atol=0.1)
    embeddings.square().sum().backward()
    assert all(
        p.grad is not None and torch.isfinite(p.grad).all()
        for p in model.parameters()
        if p.requires_grad
    )


def test_iresnet_keys_are_those_of_arcface_torch():
    keys = set(create_backbone("iresnet18").state_dict())
    block = {
        f"layer1.0.{part}"
        for part in (
            "bn1.weight",
            "conv1.weight",
            "bn2.running_mean",
            "prelu.weight",
            "conv2.weight",
            "bn3.bias",
            "downsample.0.weight",
            "downsample.1.num_batches_tracked",
        )
    }
    ends = {
        "conv1.weight",
        "bn1.weight",
        "prelu.weight",
        "bn2.weight",
        "fc.weight",
        "fc.bias",
        "features.weight",
        "features.running_var",
    }
    assert block | ends <= keys
    assert "layer1.1.downsample.0.weight" not in keys
    tops = {key.partition(".")[0] for key in keys}
    layers = {f"layer{n}" for n in range(1, 5)}
    assert tops == {"conv1", "bn1", "prelu", "bn2", "fc", "features"} | layers


def test_iresnet_does_not_learn_the_last_scale():
    features = create_backbone("iresnet18").features
    assert not features.weight.requires_grad
    assert torch.equal(features.weight, torch.ones(512))
    assert features.bias.requires_grad


@pytest.mark.parametrize("shape", [(2, 3, 96, 112), (3, 112, 112), (2, 1, 112, 112)])
@pytest.mark.parametrize("name", ["iresnet18", "mobilefacenet_small"])
def test_other_shapes_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"images must be \(B, 3, 112, 112\), got"):
        create_backbone(name, embedding_size=8)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_size": 0}, "embedding_size"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        create_backbone("iresnet18", **options)


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="unknown backbone 'vit'; known: edgeface_s"):
        create_backbone("vit")
