"""A backbone as an ONNX file: uint8 RGB faces in, unit-length embeddings out."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from evenface.files import atomic_path
from evenface.models.inputs import to_input
from evenface.teachers.preprocessing import METADATA_KEY as PREPROCESSING_KEY
from evenface.teachers.record import METADATA_KEY, ModelRecord

INPUT, OUTPUT, BATCH = "faces", "embeddings", "N"
_SMALLEST_NORM = 1e-12
_EXAMPLE = 2  # a batch of one would be taken for a constant


class Deployed(nn.Module):
    """A backbone with what surrounds it: preprocessing before, L2 normalisation after."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, faces: Tensor) -> Tensor:
        """Unit-length embeddings (N, D) float32 of aligned RGB faces (N, 112, 112, 3) uint8."""
        embeddings = self.backbone(to_input(faces))
        # F.normalize would add nodes of shapes that quantisation tools stumble over.
        return embeddings / embeddings.norm(dim=1, keepdim=True).clamp(min=_SMALLEST_NORM)


def to_onnx(backbone: nn.Module) -> onnx.ModelProto:
    """The deployed form of a backbone, in fp32, for any batch size.

    Args:
        backbone: of :func:`evenface.models.create_backbone`, on the CPU.
    """
    deployed = Deployed(backbone).eval()
    faces = torch.zeros(_EXAMPLE, 112, 112, 3, dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            deployed,
            (faces,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim(BATCH)},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


_SCALING = ("Transpose", "Cast", "Sub", "Div")


def float_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """The deployed form with preprocessing left to its caller, as the field's ONNX files have it.

    It takes float32 (N, 3, 112, 112), RGB, (x − 127.5) / 127.5, and says so in its metadata.

    Args:
        model: of :func:`to_onnx`, in fp32 or int8.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    graph, value = bare.graph, INPUT
    while True:
        users = [node for node in graph.node if value in node.input]
        if len(users) != 1 or users[0].op_type not in _SCALING:
            break
        value = users[0].output[0]
        graph.node.remove(users[0])
    for node in users:
        node.input[:] = [INPUT if name == value else name for name in node.input]
    used = {name for node in graph.node for name in node.input}
    for listed in (graph.initializer, graph.value_info):
        kept = [of for of in listed if of.name in used]
        del listed[:]
        listed.extend(kept)
    del graph.input[:]
    shape: list[str | int | None] = [BATCH, 3, 112, 112]
    graph.input.append(onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, shape))
    declared = json.dumps({"mean": 127.5, "std": 127.5, "order": "RGB"})
    bare.metadata_props.add(key=PREPROCESSING_KEY, value=declared)
    return bare


def save(model: onnx.ModelProto, path: Path, record: ModelRecord) -> None:
    """Write a model with its record, atomically, without what the exporter noted at each node.

    The exporter's notes hold stack traces, and with them paths of the machine.
    """
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=record.model_dump_json())
    with atomic_path(path) as temporary:
        onnx.save(model, str(temporary))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells its progress in log lines and warns of its own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
