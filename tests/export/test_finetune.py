"""An int8 file in torch: the same numbers, trainable, and back into the file."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from onnx import helper, numpy_helper

from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.export.finetune import finetune
from evenface.export.onnx import to_onnx
from evenface.export.qdq import QDQNetwork
from evenface.export.quantize import prepared, to_int8
from evenface.models import embed, load_run_backbone
from evenface.seeds import generator
from untrained_run import DIMENSIONS, write_faces, write_run


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A backbone with batch normalisations that do something, as a run folder and in int8."""
    folder = write_run(tmp_path_factory.mktemp("qdq") / "student")
    backbone = load_run_backbone(folder)
    torch.manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    safetensors.torch.save_file(backbone.state_dict(), folder / "weights.safetensors")
    faces = write_faces(tmp_path_factory.mktemp("learn") / "faces", people=12, each=4, seed=5)
    manifest = Manifest.read(faces)
    plain = to_onnx(backbone)
    return folder, backbone, prepared(plain), to_int8(plain, manifest.images()), manifest


def run(model, faces):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"faces": faces})[0]


def distance(found, reference):
    cosines = np.sum(found * reference, axis=1) / np.linalg.norm(reference, axis=1)
    return float(np.mean(1 - cosines))


def test_torch_computes_what_onnxruntime_does(student):
    _, _, plain, quantized, manifest = student
    faces = manifest.images(np.arange(16))
    network = QDQNetwork(quantized, plain)
    assert distance(run(quantized, faces), embed(network, faces)) < 1e-5
    assert run(network.to_onnx(), faces) == pytest.approx(run(quantized, faces), abs=1e-6)
    assert all(len(scales) == 3 for scales in network._bias_scales.values())


def test_what_is_learned_goes_into_the_file(student):
    _, _, plain, quantized, manifest = student
    faces = manifest.images(np.arange(16))
    network = QDQNetwork(quantized, plain)
    random = generator(0, "moved")
    with torch.no_grad():
        for parameter in network.parameters():
            size = 0.3 * float(parameter.abs().mean() or 1)
            noise = random.normal(0, size, tuple(parameter.shape)).astype(np.float32)
            parameter += torch.from_numpy(np.asarray(noise))
    written = network.to_onnx()
    learned = embed(network, faces)
    assert distance(run(written, faces), learned) < 1e-3
    assert distance(run(quantized, faces), learned) > 1e-2
    assert [n.op_type for n in written.graph.node] == [n.op_type for n in quantized.graph.node]
    for before, after in zip(quantized.graph.initializer, written.graph.initializer, strict=True):
        assert (before.name, before.data_type) == (after.name, after.data_type)
        if after.data_type == onnx.TensorProto.INT8:  # no overflow without VNNI
            assert np.abs(numpy_helper.to_array(after).astype(int)).max() <= 64


def test_fine_tuning_brings_int8_nearer_to_the_float_network(student):
    folder, backbone, plain, quantized, manifest = student
    tuned = finetune(
        quantized,
        plain,
        manifest,
        teacher=str(folder),
        embedding_size=DIMENSIONS,
        steps=30,
        rate=1e-3,
        batch_size=24,
    )
    faces = manifest.images()
    reference = embed(backbone, faces)
    assert tuned.last_loss < tuned.first_loss
    assert distance(run(tuned.model, faces), reference) < 0.8 * distance(
        run(quantized, faces), reference
    )


def test_the_same_seed_gives_the_same_file(student):
    folder, _, plain, quantized, manifest = student

    def tuned():
        return finetune(
            quantized,
            plain,
            manifest,
            teacher=str(folder),
            embedding_size=DIMENSIONS,
            steps=2,
            batch_size=24,
        ).model.SerializeToString()

    assert tuned() == tuned()


def test_a_teacher_of_another_size_is_refused(student):
    folder, _, plain, quantized, manifest = student
    with pytest.raises(UsageError, match="dimensions"):
        finetune(quantized, plain, manifest, teacher=str(folder), embedding_size=DIMENSIONS + 1)


def test_an_unknown_operator_is_named(student):
    _, _, plain, quantized, _ = student
    strange = onnx.ModelProto()
    strange.CopyFrom(quantized)
    strange.graph.node.append(helper.make_node("Erf", ["embeddings"], ["erf"]))
    with pytest.raises(UsageError, match="with Erf cannot be fine-tuned"):
        QDQNetwork(strange, plain)
