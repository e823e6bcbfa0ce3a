"""One ONNX model in onnxruntime: opened, its input and output checked, run on blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from evenface.errors import DataError, UsageError
from evenface.teachers.preprocessing import FACE, Layout, Size

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
_CHANNELS = (3, 1)


@dataclass(frozen=True)
class Contract:
    """What a model takes and gives.

    Attributes:
        input: its name.
        dtype, layout: of the input.
        channels: of the input, 3 or 1.
        size: height and width of the input.
        batch: None where any number of images is taken.
        output: name of the one that is the embedding.
        outputs: names of all.
    """

    input: str
    dtype: type[np.generic]
    layout: Layout
    channels: int
    size: Size
    batch: int | None
    output: str
    outputs: tuple[str, ...]


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
    session: onnxruntime.InferenceSession,
    path: Path,
    *,
    layout: Layout | None = None,
    size: Size | None = None,
    output: str | int | None = None,
) -> Contract:
    """The input and output of a recogniser.

    Args:
        session: the opened model.
        path: for messages.
        layout, size: decide where the file leaves the input's shape open; without them NCHW and
            112×112 are assumed there.
        output: name or index of the embedding; None for the only output, or the only one of shape
            N×D or N×D×1×1 with D > 1.

    Raises:
        DataError: something else, or several outputs that may be the embedding.
        UsageError: no output has this name or index.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise DataError(
            f"{path}: a recogniser with one input is expected, this model has {_describe(inputs)}"
        )
    face = inputs[0]
    if face.type not in _INPUT_TYPES:
        raise DataError(
            f"{path}: the input '{face.name}' must be float32, float16 or uint8, it is {face.type}"
        )
    found = _read_shape(list(face.shape), layout, size)
    if found is None:
        shapes = "N×3×H×W or N×H×W×3" if layout is None else f"N×{'×'.join(_AXES[layout])}"
        raise DataError(
            f"{path}: the input must have the shape {shapes} (aligned faces"
            f"{f' of {size[0]}×{size[1]}' if size else ''}; 1 channel where they are grey), this "
            f"model has {_describe(inputs)}"
        )
    batch = face.shape[0] if isinstance(face.shape[0], int) else None
    embedding = _embedding(outputs, output, path)
    names = tuple(value.name for value in outputs)
    return Contract(face.name, _INPUT_TYPES[face.type], *found, batch, embedding, names)


_AXES: dict[Layout, tuple[str, str, str]] = {"NCHW": ("3", "H", "W"), "NHWC": ("H", "W", "3")}


def _read_shape(
    shape: list[int | str | None], layout: Layout | None, size: Size | None
) -> tuple[Layout, int, Size] | None:
    """Layout, channels and size of an input; None where it is none of images.

    Where several layouts fit, one that fits faces of 112×112 in three channels is preferred, then
    one whose channels the file states.
    """
    if len(shape) != 4:
        return None
    candidates = []
    for name in _AXES if layout is None else (layout,):
        channel, *sides = shape[1:] if name == "NCHW" else (shape[3], *shape[1:3])
        wanted = size or FACE
        found = tuple(
            side if isinstance(side, int) else want
            for side, want in zip(sides, wanted, strict=True)
        )
        stated = isinstance(channel, int)
        if (stated and channel not in _CHANNELS) or (size is not None and found != size):
            continue
        if stated or found == wanted:
            usual = found == wanted and channel != 1
            channels = channel if isinstance(channel, int) else 3
            candidates.append((not usual, not stated, name, channels, (found[0], found[1])))
    if not candidates:
        return None
    return min(candidates, key=lambda candidate: candidate[:2])[2:]


def _embedding(outputs: list[onnxruntime.NodeArg], chosen: str | int | None, path: Path) -> str:
    """Name of the output that is the embedding."""
    names = [value.name for value in outputs]
    if chosen is not None:
        if str(chosen) in names:
            return str(chosen)
        if str(chosen).isdecimal() and int(chosen) < len(names):
            return names[int(chosen)]
        raise UsageError(
            f"{path}: there is no output '{chosen}'; there are {_describe(outputs)}, which may "
            "also be called 0, 1, …"
        )
    if len(names) == 1:
        return names[0]
    vectors = [value.name for value in outputs if _may_be_embedding(value.shape)]
    if len(vectors) != 1:
        raise DataError(
            f"{path}: this model has several outputs: {_describe(outputs)}. Choose the embedding "
            f"with --output NAME (output: in {path.name}.json)"
        )
    return vectors[0]


def _may_be_embedding(shape: list[int | str | None]) -> bool:
    """Whether it is N×D or N×D×1×1 with D > 1, as far as the file tells."""
    if not shape:  # a number, or unknown
        return True
    return len(shape) in (2, 4) and shape[1] != 1 and all(_fits(n, 1) for n in shape[2:])


def vectors(output: np.ndarray) -> np.ndarray:
    """(N, D) of an output (N, D, 1, …); others as they are."""
    if output.ndim > 2 and all(length == 1 for length in output.shape[2:]):
        return output.reshape(output.shape[:2])
    return output


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
            parts.append(vectors(output)[: len(block)])
        return np.concatenate(parts)


def _fits(dimension: int | str | None, expected: int) -> bool:
    return not isinstance(dimension, int) or dimension == expected


def _describe(values: list[onnxruntime.NodeArg]) -> str:
    return ", ".join(f"'{value.name}' {_times(value.shape)}" for value in values) or "none"


def _times(shape: list[int | str | None]) -> str:
    return "×".join("?" if dimension is None else str(dimension) for dimension in shape)
