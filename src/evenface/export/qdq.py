"""An int8 file as a torch network that can be trained: the very operators of its graph.

The file's own graph is computed, with its scales and zero points at its places and batch
normalisation folded as in it, instead of a second description of where a backbone is quantised
that would have to be kept in step with onnxruntime's. So what is learned goes back into the same
file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.errors import UsageError
from evenface.export.fake_quant import FakeQuantizer, round_through
from evenface.export.quantize import WEIGHT_LIMIT

_QUANTIZED = "_quantized"
"""What onnxruntime appends to the name of a weight."""
_BIASED = ("Conv", "Gemm")
"""Operators whose bias counts in units of input scale · weight scale."""
_LARGEST_BIAS = 2**31 - 128  # the largest int32 that is a float32

Attributes = dict[str, Any]


class QDQNetwork(nn.Module):
    """Images (B, 3, 112, 112) in [−1, 1] → embeddings (B, D) of length one, as in int8.

    Learned are weights, biases and scales; zero points stay, and so do slopes and the batch
    normalisations that could not be folded.

    Args:
        quantized: of :func:`evenface.export.quantize.to_int8`.
        plain: the fp32 graph that it was made of (:func:`evenface.export.quantize.prepared`):
            weights begin as they were before rounding.

    Raises:
        UsageError: the graph holds an operator that is not known here.
    """

    def __init__(self, quantized: onnx.ModelProto, plain: onnx.ModelProto) -> None:
        super().__init__()
        nodes = list(quantized.graph.node)
        known = {*_OPERATORS, "QuantizeLinear", "DequantizeLinear"}
        if unknown := sorted({node.op_type for node in nodes} - known):
            raise UsageError(f"an int8 file with {', '.join(unknown)} cannot be fine-tuned")
        stored = {t.name: numpy_helper.to_array(t) for t in quantized.graph.initializer}
        floats = {t.name: numpy_helper.to_array(t) for t in plain.graph.initializer}
        self._model = quantized
        self._entry = next(
            node.input[0]
            for node in nodes
            if node.op_type == "QuantizeLinear" and node.input[0] not in stored
        )
        preprocessing = _ancestors(nodes, self._entry)
        self._nodes = [node for node in nodes if not preprocessing & set(node.output)]
        self._attributes = [_attributes(node) for node in self._nodes]
        self._output = quantized.graph.output[0].name
        self._bias_scales = _bias_scales(self._nodes, stored)
        self.weights = nn.ParameterDict()
        self.quantizers = nn.ModuleDict()
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                self._add_quantizer(node, attributes, stored, floats)
            if node.op_type != "DequantizeLinear":
                for name in node.input:
                    if name in stored and _key(name) not in self._buffers:
                        self.register_buffer(_key(name), _tensor(stored[name]))

    def _add_quantizer(
        self,
        node: onnx.NodeProto,
        attributes: Attributes,
        stored: dict[str, np.ndarray],
        floats: dict[str, np.ndarray],
    ) -> None:
        name, scale, zero_point = node.input
        kept = stored.get(name)
        if node.op_type == "DequantizeLinear" and kept is not None:
            start = floats.get(name.removesuffix(_QUANTIZED))
            if start is None:
                shape = [1] * kept.ndim
                if stored[scale].ndim:
                    shape[attributes.get("axis", 1)] = -1
                start = kept * stored[scale].reshape(shape)
            self.weights[_key(name)] = nn.Parameter(_tensor(start.astype(np.float32)))
            if name in self._bias_scales:
                return  # its scale follows from two others
        if _key(scale) not in self.quantizers:
            limits = np.iinfo(stored[zero_point].dtype)
            signed = limits.min < 0
            self.quantizers[_key(scale)] = FakeQuantizer(
                _tensor(stored[scale]),
                _tensor(stored[zero_point].astype(np.float32)),
                (-WEIGHT_LIMIT, WEIGHT_LIMIT) if signed else (limits.min, limits.max),
            )

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B, D)."""
        found: dict[str, Tensor] = {self._entry: images}
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            if node.op_type == "QuantizeLinear":
                value = self._value(node.input[0], found)
                result = self._quantizer(node.input[1])(value)
            elif node.op_type == "DequantizeLinear":
                result = self._dequantized(node, attributes, found)
            else:
                inputs = [self._value(name, found) for name in node.input]
                result = _OPERATORS[node.op_type](attributes, *inputs)
            found[node.output[0]] = result
        return found[self._output]

    def _dequantized(
        self, node: onnx.NodeProto, attributes: Attributes, found: dict[str, Tensor]
    ) -> Tensor:
        name, scale = node.input[:2]
        if name in found:
            return found[name]  # QuantizeLinear has given the values that its integers mean
        weight: Tensor = self.weights[_key(name)]
        if name in self._bias_scales:
            step = self._bias_step(name)
            return round_through(weight / step) * step
        result: Tensor = self._quantizer(scale)(weight, attributes.get("axis", 1))
        return result

    def _bias_step(self, name: str) -> Tensor:
        _, image, weight = self._bias_scales[name]
        return (self._quantizer(image).scale * self._quantizer(weight).scale).detach()

    def _quantizer(self, scale: str) -> FakeQuantizer:
        return cast(FakeQuantizer, self.quantizers[_key(scale)])

    def _value(self, name: str, found: dict[str, Tensor]) -> Tensor | None:
        return found[name] if name in found else self._buffers.get(_key(name))

    @torch.no_grad()
    def to_onnx(self) -> onnx.ModelProto:
        """The int8 file with what was learned in place of what was calibrated."""
        scales = {
            name: self._quantizer(name).scale
            for node in self._nodes
            for name in node.input
            if _key(name) in self.quantizers
        }
        changed = dict(scales)
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            name, weight = node.input[0], self.weights.get(_key(node.input[0]))
            if node.op_type != "DequantizeLinear" or weight is None:
                continue
            if name in self._bias_scales:
                changed[self._bias_scales[name][0]] = step = self._bias_step(name)
                changed[name] = (weight / step).round().clamp(-_LARGEST_BIAS, _LARGEST_BIAS)
            else:
                quantizer = self._quantizer(node.input[1])
                changed[name] = quantizer.integers(weight, attributes.get("axis", 1))
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for tensor in model.graph.initializer:
            if tensor.name in changed:
                before = numpy_helper.to_array(tensor)
                after = changed[tensor.name].cpu().numpy().astype(before.dtype)
                after = np.broadcast_to(after, before.shape)
                tensor.CopyFrom(numpy_helper.from_array(np.array(after), tensor.name))
        return model


def _key(name: str) -> str:
    """A name as torch lets parameters be called."""
    return name.replace(".", "/")


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values))  # a copy: values of a file are not writable


def _attributes(node: onnx.NodeProto) -> Attributes:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _ancestors(nodes: Sequence[onnx.NodeProto], name: str) -> set[str]:
    """``name`` and all that it is computed from."""
    found = {name}
    for node in reversed(nodes):  # they are in the order of computation
        if found & set(node.output):
            found.update(node.input)
    return found


def _bias_scales(
    nodes: Sequence[onnx.NodeProto], stored: dict[str, np.ndarray]
) -> dict[str, tuple[str, str, str]]:
    """Integer bias → its scale, that of the input and that of the weights, by name."""
    makers = {output: node for node in nodes for output in node.output}
    found = {}
    for node in nodes:
        if node.op_type not in _BIASED or len(node.input) < 3:
            continue
        image, weight, bias = (makers.get(name) for name in node.input)
        if image and weight and bias and bias.op_type == "DequantizeLinear":
            found[bias.input[0]] = (bias.input[1], image.input[1], weight.input[1])
    return found


def _conv(
    attributes: Attributes, images: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return F.conv2d(
        F.pad(images, (left, right, top, bottom)),
        weight,
        bias,
        stride=attributes.get("strides", 1),
        dilation=attributes.get("dilations", 1),
        groups=attributes.get("group", 1),
    )


def _gemm(
    attributes: Attributes, left: Tensor, right: Tensor, bias: Tensor | None = None
) -> Tensor:
    left = left.T if attributes.get("transA") else left
    right = right.T if attributes.get("transB") else right
    product = attributes.get("alpha", 1.0) * (left @ right)
    return product if bias is None else product + attributes.get("beta", 1.0) * bias


def _batch_norm(
    attributes: Attributes, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, shift, eps=attributes.get("epsilon", 1e-5))


def _max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    padded = F.pad(x, (left, right, top, bottom), value=float("-inf"))
    return F.max_pool2d(padded, attributes["kernel_shape"], attributes.get("strides", 1))


def _reshape(attributes: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([int(size) for size in shape])


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda attributes, a, b: a + b,
    "BatchNormalization": _batch_norm,
    "Cast": lambda attributes, x: x.float(),
    "Clip": lambda attributes, x, low=None, high=None: x.clamp(low, high),
    "Conv": _conv,
    "Div": lambda attributes, a, b: a / b,
    "Flatten": lambda attributes, x: x.flatten(attributes.get("axis", 1)),
    "Gemm": _gemm,
    "LeakyRelu": lambda attributes, x: F.leaky_relu(x, attributes.get("alpha", 0.01)),
    "MatMul": lambda attributes, a, b: a @ b,
    "MaxPool": _max_pool,
    "PRelu": lambda attributes, x, slope: torch.where(x < 0, x * slope, x),
    "ReduceL2": lambda attributes, x, axes: x.norm(dim=axes.tolist(), keepdim=True),
    "Reshape": _reshape,
    "Sub": lambda attributes, a, b: a - b,
    "Transpose": lambda attributes, x: x.permute(attributes["perm"]),
}
