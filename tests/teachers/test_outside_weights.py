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
from evenface.teachers import checkpoint, load_teacher

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


def ir_shapes(depth, size, se=False):
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
            if se:
                shapes |= squeeze_excite(f"{at}.res_layer.se_block", outputs)
            if inputs != outputs:  # else a max-pooling, which has no weights
                shapes[f"{at}.shortcut_layer.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= norm(f"{at}.shortcut_layer.1", outputs)
            inputs, number = outputs, number + 1
    shapes |= norm("output_layer.0", 512) | norm("output_layer.4", size, affine=False)
    return shapes | {"output_layer.3.weight": (size, 512 * 49), "output_layer.3.bias": (size,)}


def squeeze_excite(name, channels):
    """Entries of squeeze-and-excitation with a sixteenth of the channels."""
    inner = channels // 16
    return {
        f"{name}.fc1.weight": (inner, channels, 1, 1),
        f"{name}.fc2.weight": (channels, inner, 1, 1),
    }


def evolve_shapes(depth, size, se=False):
    """face.evoLVe's backbone/model_irse.py and insightface_pytorch's model.py."""
    shapes = {"input_layer.0.weight": (64, 3, 3, 3), **norm("input_layer.1", 64)}
    shapes["input_layer.2.weight"] = (64,)
    inputs, number = 64, 0
    for outputs, blocks in zip(CHANNELS, STAGES[depth], strict=True):
        for _ in range(blocks):
            at = f"body.{number}"
            shapes |= norm(f"{at}.res_layer.0", inputs) | norm(f"{at}.res_layer.4", outputs)
            shapes[f"{at}.res_layer.1.weight"] = (outputs, inputs, 3, 3)
            shapes[f"{at}.res_layer.2.weight"] = (outputs,)
            shapes[f"{at}.res_layer.3.weight"] = (outputs, outputs, 3, 3)
            if se:
                shapes |= squeeze_excite(f"{at}.res_layer.5", outputs)
            if inputs != outputs:
                shapes[f"{at}.shortcut_layer.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= norm(f"{at}.shortcut_layer.1", outputs)
            inputs, number = outputs, number + 1
    shapes |= norm("output_layer.0", 512) | norm("output_layer.4", size)
    return shapes | {"output_layer.3.weight": (size, 512 * 49), "output_layer.3.bias": (size,)}


@pytest.mark.parametrize("depth", [50, 100])
@pytest.mark.parametrize(
    ("shapes", "se", "name"),
    [
        (ir_shapes, True, "ir{}_se"),
        (evolve_shapes, False, "ir{}_evolve"),
        (evolve_shapes, True, "ir{}_se_evolve"),
    ],
)
def test_networks_of_face_evolve_and_with_squeeze_and_excitation(shapes, se, name, depth):
    name = name.format(101 if depth == 100 else depth)
    published = shapes(depth, 512, se)
    with torch.device("meta"):
        state = create_backbone(name, embedding_size=512).state_dict()
        weights = {key: torch.empty(shape) for key, shape in published.items()}
    assert {key: tuple(value.shape) for key, value in state.items()} == published
    assert checkpoint._recognise(weights, pathlib.Path("w.pth")) == name


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


def peer(state, images, order, evolve=False):
    """The IR or IR-SE network from its state dict alone, in functional calls."""
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
    activation, second, last, se = (2, 3, 4, "5") if evolve else (3, 4, 5, "se_block")
    width = 64
    for number in range(len({key.split(".")[1] for key in w if key.startswith("body.")})):
        at = f"body.{number}.res_layer"
        outputs = len(w[f"{at}.1.weight"])
        stride = 2 if number == 0 or outputs != width else 1
        width = outputs
        shortcut = x[:, :, ::stride, ::stride]
        if f"body.{number}.shortcut_layer.0.weight" in w:
            shortcut = f.conv2d(shortcut, w[f"body.{number}.shortcut_layer.0.weight"])
            shortcut = bn(shortcut, f"body.{number}.shortcut_layer.1")
        y = f.conv2d(bn(x, f"{at}.0"), w[f"{at}.1.weight"], padding=1)
        y = f.prelu(y if evolve else bn(y, f"{at}.2"), w[f"{at}.{activation}.weight"])
        y = bn(f.conv2d(y, w[f"{at}.{second}.weight"], padding=1, stride=stride), f"{at}.{last}")
        if f"{at}.{se}.fc1.weight" in w:
            squeezed = f.relu(f.conv2d(y.mean((2, 3), True), w[f"{at}.{se}.fc1.weight"]))
            y = y / (1 + torch.exp(-f.conv2d(squeezed, w[f"{at}.{se}.fc2.weight"])))
        x = y + shortcut
    x = bn(x, "output_layer.0").flatten(1)
    x = f.linear(x, w["output_layer.3.weight"], w["output_layer.3.bias"])
    return bn(x, "output_layer.4").numpy()


@pytest.mark.parametrize("form", ["{}", "model._orig_mod.{}", "backbone.module.{}"])
def test_squeeze_and_excitation_of_insightface_pytorch(tmp_path, two_faces, form):
    state = made_up(evolve_shapes(50, D, se=True))
    path = tmp_path / "model_ir_se50.pth"
    torch.save(OrderedDict((form.format(key), value) for key, value in state.items()), path)
    with pytest.raises(UsageError, match=r"as OpenCV reads them, RGB if on Pillow's. Add --order"):
        load_teacher(path)
    teacher = load_teacher(path, order="BGR")
    assert teacher.backbone == "ir50_se_evolve"
    assert_close(teacher.embed(two_faces), peer(state, two_faces, "BGR", evolve=True))


def test_squeeze_and_excitation_of_adaface(tmp_path, two_faces):
    state = made_up(ir_shapes(50, D, se=True))
    path = tmp_path / "adaface_ir_se50.ckpt"
    torch.save({"state_dict": prefixed("model.", state)}, path)
    teacher = load_teacher(path)
    assert (teacher.backbone, teacher.preprocessing.order) == ("ir50_se", "BGR")
    assert_close(teacher.embed(two_faces), peer(state, two_faces, "BGR"))


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


@pytest.mark.parametrize(
    "prefix", ["model._orig_mod.", "model.module.", "net._orig_mod.", "backbone.", "module.model."]
)
@pytest.mark.parametrize("wrapper", [None, "model", "model_state_dict"])
def test_prefixes_are_removed_in_any_order(tmp_path, prefix, wrapper):
    state = {"conv1.weight": torch.ones(2, 3), "bn1.bias": torch.zeros(2)}
    content = prefixed(prefix, state) | {
        f"{prefix.partition('.')[0]}.head.kernel": torch.ones(4, 5)
    }
    path = tmp_path / "weights.pth"
    torch.save(content if wrapper is None else {wrapper: content, "epoch": 3}, path)
    weights = read_weights(path)
    assert list(weights.state) == list(state)
    assert weights.centres is not None
    assert weights.order == ("RGB" if prefix.startswith("net.") else None)


def test_two_networks_in_one_file_are_refused(tmp_path):
    path = tmp_path / "two.pth"
    torch.save({"model.a": torch.ones(1), "backbone.a": torch.ones(1)}, path)
    with pytest.raises(DataError, match=r"two networks, both with 'a' .* one as 'backbone.a'"):
        read_weights(path)


def test_numbers_beside_the_tensors_are_passed_over(tmp_path):
    state = {"conv1.weight": torch.ones(2, 3)}
    beside = {"best_acc": np.float64(0.99), "history": np.arange(3), "type": np.dtype("int32")}
    path = tmp_path / "best.pth"
    torch.save({"state_dict": state} | beside, path)
    assert list(read_weights(path).state) == ["conv1.weight"]
    torch.save(state | {"epoch": 3, "acc": np.float32(0.5)}, path)
    assert list(read_weights(path).state) == ["conv1.weight"]
    torch.save({"epoch": 3}, path)
    with pytest.raises(DataError, match="there is no tensor in it"):
        read_weights(path)


class Secret:
    """An object that no reader of weights knows."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Secret, r"it holds the object \S*\.Secret, which is not read"),
        (b"<!DOCTYPE html><html>quota exceeded", "a web page, as a failed download"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "pointer of Git LFS"),
        (b"", "the file is empty"),
        (b"no weights at all", "the file is damaged or of another format"),
    ],
)
def test_a_refused_file_says_why_in_our_words(tmp_path, content, message):
    path = tmp_path / "refused.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"state_dict": {"a": torch.ones(1)}, "more": content()}, path)
    with pytest.raises(DataError, match=message) as refused:
        read_weights(path)
    text = str(refused.value)
    assert text.startswith(f"{path}: ")
    assert not any(word in text for word in ("weights_only", "trust", "\x1b", "add_safe_globals"))


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
        (lambda s: s["fc.weight"].zero_(), r"not a trained network"),
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
