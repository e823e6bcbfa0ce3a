import numpy as np
import onnx
import onnxruntime
import pytest

from evenface.teachers.onnx import OnnxTeacher
from evenface.teachers.relax import relax
from toy_onnx import write_recogniser


def lifted(path):
    return OnnxTeacher(path).details["fixed batch lifted"]


def test_relaxed_model_takes_any_batch_and_fixes_its_weights(tmp_path):
    toy = write_recogniser(tmp_path / "toy.onnx", batch=1, weights_as_inputs=True)
    original = onnxruntime.InferenceSession(str(toy.path))
    assert len(original.get_overridable_initializers()) == 1
    model = relax(toy.path)
    onnx.checker.check_model(onnx.load_from_string(model))
    relaxed = onnxruntime.InferenceSession(model)
    assert relaxed.get_overridable_initializers() == []
    inputs = np.random.default_rng(0).normal(size=(5, 3, 112, 112)).astype(np.float32)
    np.testing.assert_allclose(
        relaxed.run(None, {"face": inputs})[0], toy.expected(inputs), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("weights_as_inputs", [False, True])
def test_fixed_batch_is_lifted(tmp_path, weights_as_inputs):
    toy = write_recogniser(tmp_path / "toy.onnx", batch=1, weights_as_inputs=weights_as_inputs)
    assert lifted(toy.path).startswith("yes")


def test_free_batch_needs_nothing(recogniser):
    assert lifted(recogniser.path) == "there is none"


@pytest.mark.parametrize(
    ("ending", "reason"), [("reshape", "no, DataError"), ("mix", "no, embeddings differ by")]
)
def test_model_that_depends_on_its_batch_stays_as_it_is(tmp_path, faces, ending, reason):
    toy = write_recogniser(tmp_path / "toy.onnx", batch=1, ending=ending)
    teacher = OnnxTeacher(toy.path)
    assert teacher.details["fixed batch lifted"].startswith(reason)
    factor = 0.5 if ending == "mix" else 1.0
    values = (faces.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(
        teacher.embed(faces), factor * toy.expected(values), rtol=1e-4, atol=1e-5
    )


def test_without_the_package_the_original_is_used(tmp_path, monkeypatch, faces):
    toy = write_recogniser(tmp_path / "toy.onnx", batch=1)
    fast = OnnxTeacher(toy.path).embed(faces)
    monkeypatch.setattr("evenface.teachers.onnx.can_relax", lambda: False)
    teacher = OnnxTeacher(toy.path)
    assert "extra: export" in teacher.details["fixed batch lifted"]
    np.testing.assert_allclose(teacher.embed(faces), fast, rtol=1e-5, atol=1e-6)
