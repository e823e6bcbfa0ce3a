"""Rewriting an ONNX model for speed: any batch size, and weights that the runtime may fold."""

from __future__ import annotations

import importlib.util
from pathlib import Path

BATCH = "N"


def can_relax() -> bool:
    """Whether the package that rewrites models is installed (extra ``export``)."""
    return importlib.util.find_spec("onnx") is not None


def relax(path: Path) -> bytes:
    """The model with a symbolic first dimension of input and outputs, serialised.

    Weights that old exporters also list among the inputs are taken off that list: while they
    could be overridden the runtime may neither fold them nor fuse batch normalisation into the
    convolutions. Shapes in the graph that contain the batch size are not touched, so the result
    must be compared with the original before it is used.
    """
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    # Inferred shapes of inner values would contradict the new batch dimension.
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.shape.dim:  # an output may be a number
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
    return model.SerializeToString()
