"""ONNX models run by OpenVINO: on processors of x86 several times the rate of onnxruntime.

OpenVINO arranges convolutions for the processor at hand, and computes in bfloat16 where it is
asked to and the processor can. ``benchmarks/embed.py`` measures what that gives.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino

from evenface.errors import DataError
from evenface.teachers.base import Engine
from evenface.teachers.session import Contract, vectors

_PRECISIONS: dict[Engine, str] = {"openvino": "f32", "openvino-bf16": "bf16"}


@cache
def _core() -> openvino.Core:
    """The one of this process. Each sets up a stack for signals and takes it away with it: of
    several, one leaves a stack behind that is no more, and the next signal ends the process."""
    return openvino.Core()


class OpenVinoModel:
    """A :class:`evenface.teachers.session.Runner` for ``threads`` callers at once.

    Args:
        path: the ONNX file.
        contract: its input and output; a fixed batch size is lifted.
        engine: "openvino", or "openvino-bf16", slow on a processor without bfloat16.
        threads: callers, each of whom one thread serves.

    Raises:
        DataError: OpenVINO cannot read the model, or not with any number of images.
    """

    batch = 8
    several = True

    def __init__(self, path: Path, contract: Contract, *, engine: Engine, threads: int) -> None:
        self.provider: str = engine
        self._path = path
        self._contract = contract
        options = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[engine],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
        }
        try:
            core = _core()
            model = core.read_model(str(path))
            shape = model.input(0).get_partial_shape()
            shape[0] = openvino.Dimension(-1)
            model.reshape({contract.input: shape})
            compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise DataError(f"{path}: OpenVINO cannot run this ONNX model ({error})") from error
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(threads):
            self._idle.put(compiled.create_infer_request())

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Outputs (N, D) of inputs as the contract wants them; DataError names the file."""
        request = self._idle.get()
        try:
            found = request.infer({self._contract.input: inputs})[self._contract.output]
            return vectors(np.array(found))  # the request reuses its memory
        except RuntimeError as error:
            raise DataError(
                f"{self._path}: OpenVINO cannot run this model on an input of shape "
                f"{inputs.shape} ({error})"
            ) from error
        finally:
            self._idle.put(request)
