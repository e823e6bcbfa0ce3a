"""Fake quantisation against onnxruntime, and its gradients against the formulas."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from evenface.export.fake_quant import FakeQuantizer


def by_onnxruntime(values, scale, zero_point, axis):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=axis),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=axis),
    ]
    constants = [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(zero_point, "z")]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, values.shape) for n in "xy"]
    graph = helper.make_graph(nodes, "qdq", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": values})[0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1e-3, 1.0),
    zero_point=st.integers(0, 255),
    halves=st.booleans(),
)
def test_activations_are_rounded_as_by_onnxruntime(seed, scale, zero_point, halves):
    random = np.random.default_rng(seed)
    values = random.normal(0, 40 * scale, (2, 3, 4, 4)).astype(np.float32)
    scale = np.float32(0.5 if halves else scale)
    if halves:  # ties, which round to even
        values = np.round(values / scale / 2).astype(np.float32) * scale + scale / 2
    quantizer = FakeQuantizer(torch.tensor(scale), torch.tensor(float(zero_point)), (0, 255))
    expected = by_onnxruntime(values, scale, np.array(zero_point, np.uint8), axis=1)
    np.testing.assert_array_equal(quantizer(torch.from_numpy(values)).detach(), expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_rounded_a_channel_at_a_time_as_by_onnxruntime(axis):
    random = np.random.default_rng(0)
    values = random.normal(size=(5, 5, 3, 3)).astype(np.float32)
    scale = random.uniform(0.005, 0.05, 5).astype(np.float32)
    quantizer = FakeQuantizer(torch.from_numpy(scale), torch.zeros(5), (-128, 127))
    expected = by_onnxruntime(values, scale, np.zeros(5, np.int8), axis)
    found = quantizer(torch.from_numpy(values), axis).detach()
    np.testing.assert_array_equal(found, expected)
    shape = [1, 1, 1, 1]
    shape[axis] = 5
    integers = quantizer.integers(torch.from_numpy(values), axis).numpy()
    np.testing.assert_allclose(integers * scale.reshape(shape), expected, rtol=1e-6)
    assert np.abs(integers).max() <= 128


def test_the_gradient_passes_rounding_and_stops_at_clamping():
    values = torch.tensor([-3.0, -0.26, 0.1, 0.9, 1.26, 7.0], requires_grad=True)
    quantizer = FakeQuantizer(torch.tensor(0.5), torch.tensor(0.0), (-2, 3))
    (quantizer(values) * torch.arange(1.0, 7.0)).sum().backward()
    # s = 0.5 holds −1 … 1.5: the first and the last are clamped.
    assert values.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 0.0]


def test_the_gradient_of_the_scale_is_that_of_learned_step_sizes():
    values = torch.tensor([-3.0, -0.26, 0.1, 0.9, 1.26, 7.0])
    quantizer = FakeQuantizer(torch.tensor(0.5), torch.tensor(0.0), (-2, 3))
    quantizer(values).sum().backward()
    # LSQ, equation 3: round(x/s) − x/s inside, −Q_N or Q_P where clamped; times 1/√(N · Q_P).
    inside = [(-1 + 0.52), (0 - 0.2), (2 - 1.8), (3 - 2.52)]
    expected = (-2 + sum(inside) + 3) / np.sqrt(6 * 3)
    # Learned is log s, whose gradient is s times as large.
    assert float(quantizer.logarithm.grad) == pytest.approx(0.5 * expected, rel=1e-5)


def test_a_scale_stays_positive_whatever_is_learned():
    quantizer = FakeQuantizer(torch.tensor([0.1, 0.2]), torch.zeros(2), (-64, 64))
    with torch.no_grad():
        quantizer.logarithm += torch.tensor([-50.0, 3.0])
    assert (quantizer.scale > 0).all()
