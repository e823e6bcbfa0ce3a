"""timm's networks as backbones: what is asked of timm, with a stand-in and with the real one."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import nn

from evenface.errors import MissingDependencyError
from evenface.models import create_backbone, is_backbone
from evenface.models.edgeface import _LowRank


class Network(nn.Module):
    """A convolution of the asked-for size."""

    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(3, num_classes)

    def forward(self, images):
        return self.fc(images.mean(dim=(2, 3)))


@pytest.fixture
def timm(monkeypatch):
    module = types.ModuleType("timm")
    module.asked = []

    def create_model(name, **options):
        module.asked.append((name, options))
        if name == "resnet18" and "img_size" in options:
            raise TypeError("unexpected keyword argument 'img_size'")
        if name not in ("resnet18", "vit_tiny"):
            raise RuntimeError(f"Unknown model ({name})")
        return Network(options["num_classes"])

    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.mark.parametrize(("name", "size"), [("vit_tiny", {"img_size": 112}), ("resnet18", {})])
def test_no_weights_are_asked_for(timm, name, size):
    backbone = create_backbone(f"timm:{name}", embedding_size=16, dropout=0.1)
    expected = {"pretrained": False, "num_classes": 16, "drop_rate": 0.1, **size}
    assert timm.asked[-1] == (name, expected)
    assert all(options["pretrained"] is False for _, options in timm.asked)
    embeddings = backbone.train()(torch.rand(8, 3, 112, 112))
    assert embeddings.shape == (8, 16)
    torch.testing.assert_close(embeddings.mean(dim=0), torch.zeros(16), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="images must be"):
        backbone(torch.rand(8, 3, 64, 64))


def test_names_that_timm_does_not_know_are_refused(timm):
    with pytest.raises(ValueError, match=r"backbone 'timm:nothing': Unknown model \(nothing\)"):
        create_backbone("timm:nothing")
    assert is_backbone("timm:nothing")  # only timm can say
    assert not is_backbone("nothing")


@pytest.mark.parametrize("missing", ["timm", "torchvision"])
def test_what_is_missing_is_named(monkeypatch, missing):
    if missing == "timm":
        monkeypatch.setitem(sys.modules, "timm", None)
    else:
        monkeypatch.delitem(sys.modules, "timm", raising=False)
        finder = types.SimpleNamespace(find_spec=_without_torchvision)
        monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    with pytest.raises(MissingDependencyError, match=rf"'{missing}'.*evenface\[timm\]"):
        create_backbone("timm:resnet18")


def _without_torchvision(name, path=None, target=None):
    if name == "timm":
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")
    return


def low_rank(network, share):
    """EdgeFace's change of a network: every linear layer as two."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Linear):
            setattr(network, name, _LowRank(child.in_features, child.out_features, share))
        else:
            low_rank(child, share)
    return network


@pytest.mark.parametrize(
    ("name", "theirs", "share"),
    [("edgeface_xs", "edgenext_x_small", 0.6), ("edgeface_s", "edgenext_small", 0.5)],
)
def test_edgeface_is_timms_edgenext_with_layers_of_low_rank(name, theirs, share):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    network = low_rank(timm.create_model(theirs, pretrained=False, num_classes=512), share).eval()
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    ours = create_backbone(name).eval()
    ours.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), network(images))


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_real_networks_become_backbones(name):
    pytest.importorskip("timm", reason="timm is not installed")
    backbone = create_backbone(f"timm:{name}", embedding_size=32)
    assert backbone(torch.rand(2, 3, 112, 112)).shape == (2, 32)
