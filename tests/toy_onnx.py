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
    """ONNX file of: average pooling of cells of 28×28, flattening, a matrix."""

    path: Path
    matrix: np.ndarray

    def expected(self, values: np.ndarray) -> np.ndarray:
        """Embeddings (N,D) of network inputs (N,C,H,W), in float64."""
        count, channels, height, width = values.shape
        rows, columns = height // CELL, width // CELL
        used = values[:, :, : rows * CELL, : columns * CELL].astype(np.float64)
        cells = used.reshape(count, channels, rows, CELL, columns, CELL).mean(axis=(3, 5))
        return cells.reshape(count, -1) @ self.matrix


def write_recogniser(
    path: Path,
    *,
    batch: int | str = "N",
    layout: str = "NCHW",
    dtype: type = np.float32,
    ending: str = "plain",
    weights_as_inputs: bool = False,
    side: int | str | tuple[int, int] = 112,
    channels: int = 3,
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
            "map" one of them with size two, "inverse" one over it.
        weights_as_inputs: also list the weights among the inputs, as old exporters do.
        side: declared height and width; a pair for one of another size than 112, of which the
            cells are averaged.
        channels: 3 or 1.
        dimensions: of an embedding.
        seed: of the weights.
    """
    height, width = side if isinstance(side, tuple) else (side, side)
    rows, columns = (n // CELL if isinstance(n, int) else 4 for n in (height, width))
    inner = channels * rows * columns
    matrix = np.random.default_rng(seed).normal(size=(inner, dimensions)).astype(dtype)
    places = [height, width]
    shape = [batch, channels, *places] if layout == "NCHW" else [batch, *places, channels]
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
    elif ending in ("image", "map"):
        output = [batch, dimensions, 1, 1] if ending == "image" else [batch, dimensions // 2, 2, 1]
        weights.append(numpy_helper.from_array(np.array([0, *output[1:]]), "sizes"))
        nodes.append(helper.make_node("Reshape", ["plain", "sizes"], [ending]))
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
