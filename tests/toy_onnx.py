"""Tiny ONNX models; a recogniser whose embeddings NumPy can compute as well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CELL = 28
DIMENSIONS = 6


@dataclass(frozen=True)
class ToyRecogniser:
    """ONNX file of: average pooling to 4×4, flattening, a matrix."""

    path: Path
    matrix: np.ndarray

    def expected(self, values: np.ndarray) -> np.ndarray:
        """Embeddings (N,D) of network inputs (N,3,112,112), in float64."""
        count = len(values)
        cells = values.astype(np.float64).reshape(count, 3, 4, CELL, 4, CELL).mean(axis=(3, 5))
        return cells.reshape(count, -1) @ self.matrix


def write_recogniser(
    path: Path,
    *,
    batch: int | str = "N",
    layout: str = "NCHW",
    dtype: type = np.float32,
    ending: str = "plain",
    weights_as_inputs: bool = False,
    side: int | str = 112,
    dimensions: int = DIMENSIONS,
    seed: int = 0,
) -> ToyRecogniser:
    """Write the model.

    Args:
        batch: first dimension of the declared input.
        layout: of the input.
        dtype: of the input and the weights.
        ending: what follows the matrix: "plain" nothing, "nan" the logarithm of a negative
            number, "reshape" a reshape to the fixed batch, "mix" subtraction of half the mean
            over the batch, "constant" a power of zero, "image" two dimensions of size one,
            "inverse" one over it.
        weights_as_inputs: also list the weights among the inputs, as old exporters do.
        side: declared height and width.
        dimensions: of an embedding.
        seed: of the weights.
    """
    matrix = np.random.default_rng(seed).normal(size=(48, dimensions)).astype(dtype)
    shape = [batch, 3, side, side] if layout == "NCHW" else [batch, side, side, 3]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes, weights = [], [numpy_helper.from_array(matrix, "matrix")]
    pixels = "face"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["face"], ["chw"], perm=[0, 3, 1, 2]))
        pixels = "chw"
    nodes += [
        helper.make_node(
            "AveragePool", [pixels], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]
        ),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["plain"]),
    ]
    output = [batch, dimensions]
    if ending == "nan":
        weights.append(numpy_helper.from_array(np.array(-1, dtype), "minus"))
        nodes.append(helper.make_node("Abs", ["plain"], ["size"]))
        nodes.append(helper.make_node("Mul", ["size", "minus"], ["negative"]))
        nodes.append(helper.make_node("Log", ["negative"], ["nan"]))
    elif ending == "reshape":
        weights.append(numpy_helper.from_array(np.array([batch, dimensions]), "sizes"))
        nodes.append(helper.make_node("Reshape", ["plain", "sizes"], ["reshape"]))
    elif ending == "mix":
        weights.append(numpy_helper.from_array(np.array(0.5, dtype), "half"))
        nodes.append(helper.make_node("ReduceMean", ["plain"], ["mean"], axes=[0], keepdims=1))
        nodes.append(helper.make_node("Mul", ["mean", "half"], ["half_mean"]))
        nodes.append(helper.make_node("Sub", ["plain", "half_mean"], ["mix"]))
    elif ending == "constant":
        weights.append(numpy_helper.from_array(np.array(0, dtype), "zero"))
        nodes.append(helper.make_node("Abs", ["plain"], ["size"]))
        nodes.append(helper.make_node("Pow", ["size", "zero"], ["constant"]))
    elif ending == "inverse":
        nodes.append(helper.make_node("Reciprocal", ["plain"], ["inverse"]))
    elif ending == "image":
        weights.append(numpy_helper.from_array(np.array([0, dimensions, 1, 1]), "sizes"))
        nodes.append(helper.make_node("Reshape", ["plain", "sizes"], ["image"]))
        output = [batch, dimensions, 1, 1]
    inputs = [helper.make_tensor_value_info("face", element, shape)]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights]
    graph = helper.make_graph(
        nodes,
        "toy",
        inputs,
        [helper.make_tensor_value_info(ending, element, output)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return ToyRecogniser(path, matrix.astype(np.float64))


def write_graph(
    path: Path,
    op: str,
    inputs: dict[str, list],
    outputs: dict[str, list],
    element: int = TensorProto.FLOAT,
) -> None:
    """A model of the one node ``op`` with any inputs and outputs (name → shape)."""
    graph = helper.make_graph(
        [helper.make_node(op, list(inputs), list(outputs))],
        "graph",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, element, shape) for name, shape in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
