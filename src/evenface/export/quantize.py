"""Smaller numbers: weights in fp16, or weights and activations in int8 (QDQ, static)."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from evenface.export.onnx import INPUT

WEIGHT_LIMIT = 64
"""Largest magnitude of an integer weight: seven bits, see :func:`to_int8`."""
_BATCH = 32
# What carries the arithmetic; preprocessing and normalisation around it stay in fp32.
_OPERATORS = ["Conv", "Gemm", "MatMul", "Add", "LeakyRelu", "PRelu"]


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with weights and inner values in fp16; input and output keep their types.

    Half the size. Processors without fp16 arithmetic compute in fp32 after widening, so that
    speed is the processor's matter.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    half = OnnxModel(convert_float_to_float16(copy, keep_io_types=True))
    half.topological_sort()  # the converter appends the casts of inputs
    return half.model


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """The fp32 model as it is quantised: constants and batch normalisations folded."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, result = (Path(folder) / f"{name}.onnx" for name in "ab")
        onnx.save(model, str(plain))
        quant_pre_process(str(plain), str(result), skip_symbolic_shape=True)
        return onnx.load(str(result))


def to_int8(model: onnx.ModelProto, faces: np.ndarray) -> onnx.ModelProto:
    """The model in int8, with scales fixed from a sample of faces.

    Weights are signed, one scale a channel; activations unsigned, with the 99.999th percentile of
    their values as the range. Weights use seven of eight bits: x86 processors without VNNI add
    pairs of products in 16 bits, which eight-bit weights would overflow, silently and only there.

    Args:
        model: fp32, of :func:`evenface.export.onnx.to_onnx`.
        faces: uint8 (n, 112, 112, 3), the calibration sample.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, result = (Path(folder) / f"{name}.onnx" for name in "ab")
        onnx.save(prepared(model), str(plain))
        quantize_static(
            str(plain),
            str(result),
            _Sample(faces),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            op_types_to_quantize=_OPERATORS,
        )
        return onnx.load(str(result))


class _Sample(CalibrationDataReader):
    """Batches of one size, as the calibrator stacks them: the last one begins early enough to be
    full, so a few faces may count twice."""

    def __init__(self, faces: np.ndarray) -> None:
        last = max(0, len(faces) - _BATCH)
        starts = [min(start, last) for start in range(0, len(faces), _BATCH)]
        self._batches = (faces[start : start + _BATCH] for start in starts)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The calibrator prints its progress on standard output, which is for results."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(level)
