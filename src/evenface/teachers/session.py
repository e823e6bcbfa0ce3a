"""One ONNX model in onnxruntime: opened, its input and output checked, run on blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from evenface.errors import DataError
from evenface.teachers.base import IMAGE_SHAPE
from evenface.teachers.preprocessing import Layout

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_ERRORS_ONLY = 3
_CPU_BATCH = 4
_GPU_BATCH = 64
_LOOP = b"\x22\x04Loop"
"""How a node's operator is written in the file (protobuf: field 4, four bytes)."""
_INPUT_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
_INPUT_SHAPES: dict[Layout, tuple[int, int, int]] = {
    "NCHW": (IMAGE_SHAPE[2], IMAGE_SHAPE[0], IMAGE_SHAPE[1]),
    "NHWC": IMAGE_SHAPE,
}


@dataclass(frozen=True)
class Contract:
    """What a model takes and gives. ``batch`` is None where any number of images is taken."""

    input: str
    dtype: type[np.generic]
    layout: Layout
    batch: int | None
    output: str


def open_session(model: Path | bytes, path: Path) -> onnxruntime.InferenceSession:
    """Open a file, or a serialised model made of it, for use by several threads at once.

    DataError names ``path`` when onnxruntime cannot read the model.
    """
    if _LOOP in (model if isinstance(model, bytes) else path.read_bytes()):
        raise DataError(
            f"{path}: this ONNX model has a loop (operator Loop), which may never end and which no "
            "recogniser needs. Export it without, with a fixed number of steps unrolled"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # The cores are used by running blocks side by side.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    available = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in available]
    content = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    # onnxruntime's exceptions share no base class of their own.
    except Exception as error:
        raise DataError(f"{path}: onnxruntime cannot read this ONNX model ({error})") from error


def read_contract(
    session: onnxruntime.InferenceSession, path: Path, layout: Layout | None = None
) -> Contract:
    """The input and output of a recogniser of aligned faces.

    ``layout`` decides where the file leaves the shape open; without it NCHW is assumed there.
    DataError tells what was expected and found when it is something else.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise DataError(
            f"{path}: a recogniser with one input and one output is expected, this model has "
            f"the inputs {_describe(inputs)} and the outputs {_describe(outputs)}"
        )
    face, embedding = inputs[0], outputs[0]
    if face.type not in _INPUT_TYPES:
        raise DataError(
            f"{path}: the input '{face.name}' must be float32, float16 or uint8, it is {face.type}"
        )
    allowed = _INPUT_SHAPES if layout is None else {layout: _INPUT_SHAPES[layout]}
    for candidate, expected in allowed.items():
        if len(face.shape) == 4 and all(map(_fits, face.shape[1:], expected)):
            batch = face.shape[0] if isinstance(face.shape[0], int) else None
            return Contract(face.name, _INPUT_TYPES[face.type], candidate, batch, embedding.name)
    shapes = " or ".join(_times(["N", *expected]) for expected in allowed.values())
    raise DataError(
        f"{path}: the input must have the shape {shapes} (aligned faces), this model has "
        f"{_describe(inputs)}"
    )


class Runner(Protocol):
    """Computes a model's outputs.

    Attributes:
        provider: what computes, for the reader.
        batch: images in a call.
        several: whether calls side by side are faster than one after the other.
    """

    @property
    def provider(self) -> str: ...
    @property
    def batch(self) -> int: ...
    @property
    def several(self) -> bool: ...

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Outputs (N, D) of inputs as the contract wants them; DataError names the file."""


@dataclass(frozen=True)
class OnnxRuntime:
    """A :class:`Runner`. A fixed batch is filled up with the last image."""

    session: onnxruntime.InferenceSession
    contract: Contract
    path: Path

    @property
    def provider(self) -> str:
        return str(self.session.get_providers()[0])

    @property
    def batch(self) -> int:
        return self.contract.batch or (_CPU_BATCH if self.several else _GPU_BATCH)

    @property
    def several(self) -> bool:
        return self.provider == "CPUExecutionProvider"

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        size = self.contract.batch or max(len(inputs), 1)
        parts = []
        for start in range(0, len(inputs), size):
            block = inputs[start : start + size]
            filler = np.repeat(block[-1:], size - len(block), axis=0)
            filled = np.concatenate([block, filler]) if len(filler) else block
            try:
                output = self.session.run([self.contract.output], {self.contract.input: filled})[0]
            except Exception as error:
                raise DataError(
                    f"{self.path}: onnxruntime cannot run this model on an input of shape "
                    f"{filled.shape} ({error})"
                ) from error
            parts.append(output[: len(block)])
        return np.concatenate(parts)


def _fits(dimension: int | str | None, expected: int) -> bool:
    return not isinstance(dimension, int) or dimension == expected


def _describe(values: list[onnxruntime.NodeArg]) -> str:
    return ", ".join(f"'{value.name}' {_times(value.shape)}" for value in values) or "none"


def _times(shape: list[int | str | None]) -> str:
    return "×".join("?" if dimension is None else str(dimension) for dimension in shape)
