"""Weights as arcface_torch, ElasticFace, AdaFace and CVLface publish them.

Keys and shapes are written down here from the structure of those programs' networks, apart from
our own networks.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch

from evenface.cli.main import main
from evenface.errors import DataError, UsageError
from evenface.models import create_backbone
from evenface.models.weights import read_centres, read_weights
from evenface.teachers import load_teacher

D = 16
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
CHANNELS = (64, 128, 256, 512)


def norm(name, channels, affine=True):
    """Entries of a batch normalisation."""
    shapes = {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
    if affine:
        shapes |= {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}
    return shapes | {f"{name}.num_batches_tracked": ()}


def iresnet_shapes(depth, size):
    """arcface_torch's and ElasticFace's iresnet.py."""
    shapes = {"conv1.weight": (64, 3, 3, 3), **norm("bn1", 64), "prelu.weight": (64,)}
    inputs = 64
    for stage, (outputs, blocks) in enumerate(zip(CHANNELS, STAGES[depth], strict=True), 1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            shapes |= norm(f"{at}.bn1", inputs) | norm(f"{at}.bn2", outputs)
            shapes |= norm(f"{at}.bn3", outputs)
            shapes[f"{at}.conv1.weight"] = (outputs, inputs, 3, 3)
            shapes[f"{at}.conv2.weight"] = (outputs, outputs, 3, 3)
            shapes[f"{at}.prelu.weight"] = (outputs,)
            if block == 0:  # halves the places in every stage, the first too
                shapes[f"{at}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= norm(f"{at}.downsample.1", outputs)
            inputs = outputs
    shapes |= norm("bn2", 512) | norm("features", size)
    return shapes | {"fc.weight": (size, 512 * 49), "fc.bias": (size,)}


def ir_shapes(depth, size):
    """AdaFace's net.py and CVLface's models/iresnet/model.py."""
    shapes = {"input_layer.0.weight": (64, 3, 3, 3), **norm("input_layer.1", 64)}
    shapes["input_layer.2.weight"] = (64,)
    inputs, number = 64, 0
    for outputs, blocks in zip(CHANNELS, STAGES[depth], strict=True):
        for _ in range(blocks):
            at = f"body.{number}"
            shapes |= norm(f"{at}.res_layer.0", inputs) | norm(f"{at}.res_layer.2", outputs)
            shapes |= norm(f"{at}.res_layer.5", outputs)
            shapes[f"{at}.res_layer.1.weight"] = (outputs, inputs, 3, 3)
            shapes[f"{at}.res_layer.3.weight"] = (outputs,)
            shapes[f"{at}.res_layer.4.weight"] = (outputs, outputs, 3, 3)
            if inputs != outputs:  # else a max-pooling, which has no weights
                shapes[f"{at}.shortcut_layer.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= norm(f"{at}.shortcut_layer.1", outputs)
            inputs, number = outputs, number + 1
    shapes |= norm("output_layer.0", 512) | norm("output_layer.4", size, affine=False)
    return shapes | {"output_layer.3.weight": (size, 512 * 49), "output_layer.3.bias": (size,)}


@pytest.mark.parametrize("depth", STAGES)
@pytest.mark.parametrize(
    ("shapes", "name"), [(iresnet_shapes, "iresnet{}"), (ir_shapes, "ir{}")], ids=["iresnet", "ir"]
)
def test_keys_and_shapes_are_the_published_ones(shapes, name, depth):
    name = name.format(101 if (name, depth) == ("ir{}", 100) else depth)
    with torch.device("meta"):
        state = create_backbone(name, embedding_size=512).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes(depth, 512)


def made_up(shapes):
    """A state dict with weights that leave activations alive."""
    generator = torch.Generator().manual_seed(3)
    state = OrderedDict()
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) > 1:
            fan = int(np.prod(shape[1:]))
            state[key] = torch.randn(shape, generator=generator) * (1.5 / fan) ** 0.5
        elif key.endswith("weight"):
            state[key] = torch.rand(shape, generator=generator) + 0.3
        else:
            state[key] = torch.randn(shape, generator=generator) * 0.1
    return state


@pytest.fixture(scope="module")
def ir():
    return made_up(ir_shapes(18, D))


@pytest.fixture(scope="module")
def iresnet():
    return made_up(iresnet_shapes(18, D))


@pytest.fixture(scope="module")
def two_faces():
    noise = np.random.default_rng(5).integers(0, 120, (2, 112, 112, 3))
    return (noise + np.array([130, 60, 0])).astype(np.uint8)  # red: tells the channels' order


@pytest.fixture(scope="module")
def expected(ir, two_faces):
    return {order: peer(ir, two_faces, order) for order in ("RGB", "BGR")}


def assert_close(embeddings, reference):
    np.testing.assert_allclose(embeddings, reference, rtol=1e-3, atol=1e-3)


def prefixed(prefix, state):
    return OrderedDict((prefix + key, value) for key, value in state.items())


def peer(state, images, order):
    """The IR-18 network from its state dict alone, in functional calls."""
    f = torch.nn.functional
    w = state

    def bn(x, name):
        return f.batch_norm(
            x,
            w[f"{name}.running_mean"],
            w[f"{name}.running_var"],
            w.get(f"{name}.weight"),
            w.get(f"{name}.bias"),
        )

    pixels = images[..., ::-1] if order == "BGR" else images
    x = torch.from_numpy(((pixels / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2).copy()).float()
    x = f.conv2d(x, w["input_layer.0.weight"], padding=1)
    x = f.prelu(bn(x, "input_layer.1"), w["input_layer.2.weight"])
    for number in range(8):
        at, stride = f"body.{number}", 2 if number % 2 == 0 else 1
        shortcut = x[:, :, ::stride, ::stride]
        if f"{at}.shortcut_layer.0.weight" in w:
            shortcut = f.conv2d(shortcut, w[f"{at}.shortcut_layer.0.weight"])
            shortcut = bn(shortcut, f"{at}.shortcut_layer.1")
        y = f.conv2d(bn(x, f"{at}.res_layer.0"), w[f"{at}.res_layer.1.weight"], padding=1)
        y = f.prelu(bn(y, f"{at}.res_layer.2"), w[f"{at}.res_layer.3.weight"])
        y = f.conv2d(y, w[f"{at}.res_layer.4.weight"], padding=1, stride=stride)
        x = bn(y, f"{at}.res_layer.5") + shortcut
    x = bn(x, "output_layer.0").flatten(1)
    x = f.linear(x, w["output_layer.3.weight"], w["output_layer.3.bias"])
    return bn(x, "output_layer.4").numpy()


def test_an_adaface_checkpoint_is_known_and_takes_bgr(tmp_path, ir, two_faces, expected):
    kernel = torch.randn(D, 5)
    path = tmp_path / "adaface.ckpt"
    torch.save(lightning(ir, kernel), path)
    teacher = load_teacher(path)
    assert (teacher.backbone, teacher.embedding_size) == ("ir18", D)
    assert teacher.details["preprocessing"].startswith("BGR")
    assert_close(teacher.embed(two_faces), expected["BGR"])
    assert np.abs(expected["RGB"] - expected["BGR"]).max() > 0.1
    torch.testing.assert_close(read_centres(path), kernel.T)


def lightning(state, kernel):
    head = {"head.kernel": kernel, "head.t": torch.zeros(1)}
    return {
        "epoch": 25,
        "global_step": 9,
        "pytorch-lightning_version": "1.8.6",
        "state_dict": prefixed("model.", state) | head,
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
        "hparams_name": "kwargs",
        "hyper_parameters": {"arch": "ir_18"},
        "lr_schedulers": [{"milestones": {12: 1}}],
    }


@pytest.fixture
def lightning_classes(monkeypatch):
    """Modules by the names that Lightning's pickles hold."""
    parsing = types.ModuleType("pytorch_lightning.utilities.parsing")
    callbacks = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    parsing.AttributeDict = type("AttributeDict", (dict,), {"__module__": parsing.__name__})
    callbacks.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": callbacks.__name__})
    for name in ("pytorch_lightning", "pytorch_lightning.utilities", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, parsing.__name__, parsing)
    monkeypatch.setitem(sys.modules, callbacks.__name__, callbacks)
    return parsing.AttributeDict, callbacks.ModelCheckpoint


def test_objects_of_lightning_are_passed_over(tmp_path, monkeypatch, lightning_classes):
    attributes, callback = lightning_classes
    content = lightning(OrderedDict({"input_layer.0.weight": torch.ones(2)}), torch.ones(3, 2))
    content["hyper_parameters"] = attributes(
        arch="ir_18", root=pathlib.PosixPath("data"), more=argparse.Namespace(lr=0.1)
    )
    content["callbacks"] = {callback: {"best_model_score": torch.tensor(0.9)}}
    path = tmp_path / "lightning.ckpt"
    torch.save(content, path)
    monkeypatch.undo()
    weights = read_weights(path)
    assert list(weights.state) == ["input_layer.0.weight"]
    assert weights.order == "BGR"
    torch.testing.assert_close(weights.centres, torch.ones(2, 3))


class Payload:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("place", ["hyper_parameters", "callbacks", "state_dict"])
def test_code_in_a_lightning_checkpoint_is_refused(tmp_path, capsys, place):
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"model.a": torch.ones(1)}, place: Payload()}, path)
    with pytest.raises(DataError, match="Only plain weights are read"):
        load_teacher(path)
    path.write_bytes(pickle.dumps({"state_dict": Payload()}, protocol=2))
    with pytest.raises(DataError, match="Only plain weights are read"):
        load_teacher(path)
    assert "must not run" not in capsys.readouterr().out


def test_cvlface_weights_take_rgb(tmp_path, ir, two_faces, expected):
    path = tmp_path / "model.pt"
    torch.save(prefixed("net.", ir), path)
    teacher = load_teacher(path)
    assert teacher.backbone == "ir18"
    assert_close(teacher.embed(two_faces), expected["RGB"])
    bgr = load_teacher(path, order="BGR")
    assert_close(bgr.embed(two_faces), expected["BGR"])
    assert bgr.fingerprint != teacher.fingerprint


def test_the_order_of_bare_ir_weights_must_be_said(tmp_path, ir):
    path = tmp_path / "bare.pt"
    torch.save(ir, path)
    with pytest.raises(UsageError, match="BGR if they are AdaFace's, RGB if CVLface's"):
        load_teacher(path)
    assert load_teacher(path, order="RGB").embedding_size == D


@pytest.mark.parametrize("form", ["bare", "module.", "module._orig_mod.", "checkpoint"])
def test_arcface_torch_and_elasticface(tmp_path, iresnet, two_faces, form):
    centres = torch.randn(5, D)
    content = prefixed("" if form in ("bare", "checkpoint") else form, iresnet)
    if form == "checkpoint":
        content = {
            "epoch": 1,
            "global_step": 2,
            "state_dict_backbone": content,
            "state_dict_softmax_fc": {"weight": centres},
            "state_optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        }
    path = tmp_path / "backbone.pth"
    torch.save(content, path)
    teacher = load_teacher(path)
    assert (teacher.backbone, teacher.embedding_size) == ("iresnet18", D)
    assert teacher.details["preprocessing"].startswith("RGB")
    assert teacher.embed(two_faces).shape == (2, D)
    if form == "checkpoint":
        torch.testing.assert_close(read_centres(path), centres)


@pytest.mark.parametrize(("key", "transposed"), [("kernel", True), ("weight", False)])
def test_class_centres_in_a_file_of_their_own(tmp_path, key, transposed):
    centres = torch.randn(5, D)
    path = tmp_path / "header.pth"
    torch.save({f"module.{key}": centres.T.contiguous() if transposed else centres}, path)
    torch.testing.assert_close(read_centres(path), centres)


def test_a_file_without_class_centres_is_told(tmp_path):
    path = tmp_path / "none.pth"
    torch.save({"bias": torch.ones(3)}, path)
    with pytest.raises(DataError, match="no class centres in it"):
        read_centres(path)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda s: s.pop("layer1.0.bn1.weight"), r"1 missing \(layer1.0.bn1.weight\)"),
        (lambda s: s.update(extra=torch.ones(1)), r"1 unexpected \(extra\)"),
        (lambda s: s.update({"fc.bias": torch.ones(3)}), r"1 of another shape \(fc.bias"),
        (lambda s: s["bn1.weight"].fill_(float("nan")), r"of 2 of 2 images are NaN or infinite"),
        (lambda s: s["fc.weight"].zero_(), r"not the weights of a trained network"),
    ],
)
def test_what_does_not_fit_or_work_is_an_error(tmp_path, iresnet, harm, message):
    state = OrderedDict((key, value.clone()) for key, value in iresnet.items())
    harm(state)
    path = tmp_path / "bad.pth"
    torch.save(state, path)
    with pytest.raises(DataError, match=message):
        load_teacher(path)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["teacher", "import", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return exit_.value.code, " ".join((captured.out + captured.err).split())


def test_imported_weights_need_no_options(tmp_path, capsys, ir, two_faces):
    path, out, centres = (tmp_path / name for name in ("a.ckpt", "t.safetensors", "c.safetensors"))
    kernel = torch.randn(D, 5)
    torch.save(lightning(ir, kernel), path)
    code, text = run(capsys, path, "--out", out, "--centres", centres)
    assert code == 0
    assert "ir18, 16-d, BGR" in text
    assert "5 class centres of 16 dimensions" in text
    teacher = load_teacher(out)
    assert (teacher.backbone, teacher.preprocessing.order) == ("ir18", "BGR")
    np.testing.assert_array_equal(teacher.embed(two_faces), load_teacher(path).embed(two_faces))
    stored = safetensors.torch.load_file(centres)
    torch.testing.assert_close(stored["centres"], kernel.T)


def test_an_import_that_fails_writes_nothing(tmp_path, capsys, iresnet):
    path, out = tmp_path / "a.pth", tmp_path / "t.safetensors"
    torch.save(iresnet, path)
    code, text = run(capsys, path, "--out", out, "--centres", tmp_path / "c.safetensors")
    assert code != 0
    assert "no class centres in it" in text
    code, text = run(capsys, path, "--out", tmp_path / "t.pt")
    assert code != 0
    assert "must end in .safetensors" in text
    other = tmp_path / "header.pth"
    torch.save({"kernel": torch.randn(D + 1, 5)}, other)
    code, text = run(
        capsys, path, "--out", out, "--classifier", other, "--centres", tmp_path / "c.safetensors"
    )
    assert code != 0
    assert "have 17 dimensions, the embeddings 16" in text
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".pth", ".pth"]
