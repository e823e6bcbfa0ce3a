"""What an ONNX file says of itself, read without the package ``onnx`` and without its weights.

A file is a protocol buffer: fields of a number and a value, some of them messages. The numbers are
those of ``onnx.proto`` (ONNX 1.16, IR version 10); fields that do not matter here are passed over.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from evenface.errors import DataError

_Value: TypeAlias = int | bytes | memoryview

# Field numbers by message.
_MODEL_GRAPH, _MODEL_FUNCTION, _FUNCTION_NODE = 7, 25, 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_FLOAT, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH = 1, 2, 5, 6
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES = 10, 11, 22, 23
_SPARSE_VALUES, _SPARSE_INDICES = 1, 2
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME = 1, 2, 4, 8
_TENSOR_RAW, _TENSOR_DOUBLES, _TENSOR_EXTERNAL = 9, 10, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_TYPES: dict[int, type[np.generic]] = {1: np.float32, 10: np.float16, 11: np.float64}
_LARGEST = 4096
"""Bytes of a constant that can be a scaling of pixels."""
_CHANNELS = 3
_PASSED = ("Identity", "Cast", "Transpose")
_PIXEL_RANGE = 255.0
_NORMALISED = 16.0
"""A scaling whose values span less than this for pixels 0–255 is one of pixels: the field's span 2
to 5. For pixels that are scaled already, they would not differ."""


@dataclass(frozen=True)
class Scaling:
    """What a graph does to its input before anything else: a · x + b for each channel.

    Attributes:
        a, b: float64 (3,), or (1,) where all channels are alike.
        operations: the operations, in their order.
    """

    a: np.ndarray
    b: np.ndarray
    operations: tuple[str, ...]

    @property
    def of_pixels(self) -> bool:
        """Whether it is meant for values 0–255: it brings them to a small range."""
        return bool(np.all(np.abs(self.a) * _PIXEL_RANGE < _NORMALISED))

    def __str__(self) -> str:
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, std = -self.b / self.a, 1.0 / self.a
        return f"(x − {_numbers(mean)}) / {_numbers(std)} ({', '.join(self.operations)})"


@dataclass(frozen=True)
class _Node:
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, memoryview]


class OnnxGraph:
    """Reads one file.

    Args:
        path: the ONNX file.

    Raises:
        DataError: no protocol buffer.
    """

    def __init__(self, path: Path) -> None:
        self.external: tuple[str, ...] = ()
        """Files that hold weights, relative to the model's folder, sorted."""
        self.scaling: Scaling | None = None
        """None where the graph begins with something else."""
        with open(path, "rb") as file:
            try:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise DataError(f"{path}: the file is empty") from None
        try:
            self._read(memoryview(content))
        except (ValueError, IndexError, KeyError, struct.error, RecursionError):
            raise DataError(f"{path}: not an ONNX file, or a damaged one") from None

    def _read(self, model: memoryview) -> None:
        locations: set[str] = set()
        for number, value in _fields(model):
            if number == _MODEL_GRAPH:
                graph = _message(value)
                _locate_in_graph(graph, locations)
                self.scaling = _leading_scaling(graph)
            elif number == _MODEL_FUNCTION:
                for inner, node in _fields(_message(value)):
                    if inner == _FUNCTION_NODE:
                        _locate_in_node(_message(node), locations)
        self.external = tuple(sorted(locations))


# --- the wire format ---------------------------------------------------------------------------


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    """Number and value of each field; ValueError or IndexError where this is no message."""
    place, end = 0, len(message)
    while place < end:
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, place = _varint(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if place + size > end:
            raise ValueError("cut short")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("varint too long")


def _message(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number, where a message is expected")
    return memoryview(value)


def _text(value: _Value) -> str:
    return bytes(_message(value)).decode("utf-8")


# --- external weights --------------------------------------------------------------------------


def _locate_in_graph(graph: memoryview, found: set[str]) -> None:
    for number, value in _fields(graph):
        if number == _GRAPH_INITIALIZER:
            _locate_in_tensor(_message(value), found)
        elif number == _GRAPH_NODE:
            _locate_in_node(_message(value), found)
        elif number == _GRAPH_SPARSE:
            _locate_in_sparse(_message(value), found)


def _locate_in_node(node: memoryview, found: set[str]) -> None:
    for number, value in _fields(node):
        if number != _NODE_ATTRIBUTE:
            continue
        for inner, content in _fields(_message(value)):
            if inner in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                _locate_in_tensor(_message(content), found)
            elif inner in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                _locate_in_graph(_message(content), found)
            elif inner in (_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES):
                _locate_in_sparse(_message(content), found)


def _locate_in_sparse(tensor: memoryview, found: set[str]) -> None:
    for number, value in _fields(tensor):
        if number in (_SPARSE_VALUES, _SPARSE_INDICES):
            _locate_in_tensor(_message(value), found)


def _locate_in_tensor(tensor: memoryview, found: set[str]) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL:
            entry = dict(_fields(_message(value)))
            if _text(entry[_ENTRY_KEY]) == "location":
                found.add(_text(entry[_ENTRY_VALUE]))


# --- scaling -----------------------------------------------------------------------------------


def _leading_scaling(graph: memoryview) -> Scaling | None:
    """The affine map that nodes compute of the input alone before the first other node."""
    nodes, constants = _nodes_and_constants(graph)
    used: dict[str, list[_Node]] = {}
    for node in nodes:
        for name in node.inputs:
            used.setdefault(name, []).append(node)
    known = {"", *constants, *(name for node in nodes for name in node.outputs)}
    value = next((name for name in used if name not in known), "")
    a, b = np.ones(1), np.zeros(1)
    operations: list[str] = []
    while len(used.get(value, [])) == 1:
        node = used[value][0]
        step = _affine(node, value, constants)
        if step is None:
            break
        a, b = step[0] * a, step[0] * b + step[1]
        if node.type not in _PASSED:
            operations.append(node.type)
        value = node.outputs[0]
    if not operations or not np.all(np.isfinite(a)) or np.any(a == 0):
        return None
    a, b = np.broadcast_arrays(a, b)
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        a, b = a[:1], b[:1]
    return Scaling(a, b, tuple(operations))


def _nodes_and_constants(graph: memoryview) -> tuple[list[_Node], dict[str, np.ndarray]]:
    nodes: list[_Node] = []
    constants: dict[str, np.ndarray] = {}
    for number, value in _fields(graph):
        if number == _GRAPH_INITIALIZER:
            _add_constant(_message(value), constants)
        elif number == _GRAPH_NODE:
            node = _node(_message(value))
            if node.type == "Constant" and "value" in node.attributes:
                tensor = dict(_fields(node.attributes["value"])).get(_ATTRIBUTE_TENSOR)
                if tensor is not None:
                    _add_constant(_message(tensor), constants, node.outputs[0])
            else:
                nodes.append(node)
    return nodes, constants


def _node(message: memoryview) -> _Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_TYPE: [""]}
    attributes = {}
    for number, value in _fields(message):
        if number in texts:
            texts[number].append(_text(value))
        elif number == _NODE_ATTRIBUTE:
            content = _message(value)
            name = next(v for n, v in _fields(content) if n == _ATTRIBUTE_NAME)
            attributes[_text(name)] = content
    return _Node(
        texts[_NODE_TYPE][-1], tuple(texts[_NODE_INPUT]), tuple(texts[_NODE_OUTPUT]), attributes
    )


def _add_constant(tensor: memoryview, constants: dict[str, np.ndarray], name: str = "") -> None:
    """Add a tensor to ``constants``; NaN in place of one that is large, external or not real."""
    dims: list[int] = []
    element, data, own = 0, b"", ""
    for number, value in _fields(tensor):
        if number == _TENSOR_DIMS:
            dims += [value] if isinstance(value, int) else _packed(_message(value))
        elif number == _TENSOR_TYPE and isinstance(value, int):
            element = value
        elif number == _TENSOR_NAME:
            own = _text(value)
        elif number in (_TENSOR_RAW, _TENSOR_FLOATS, _TENSOR_DOUBLES):
            part = _message(value)
            data += bytes(part) if len(data) + len(part) <= _LARGEST else b""
    found = np.array(np.nan)
    kind = _TYPES.get(element)
    if kind is not None and len(data) == np.dtype(kind).itemsize * int(np.prod(dims)):
        found = np.frombuffer(data, dtype=np.dtype(kind).newbyteorder("<")).reshape(dims)
    constants[name or own] = found.astype(np.float64)


def _packed(values: memoryview) -> list[int]:
    found, place = [], 0
    while place < len(values):
        value, place = _varint(values, place)
        found.append(value)
    return found


def _affine(
    node: _Node, value: str, constants: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """(a, b) of a node that maps ``value`` to a · value + b for each channel; None of another."""
    if node.type in _PASSED:
        return np.ones(1), np.zeros(1)
    if node.type == "BatchNormalization" and node.inputs[0] == value and len(node.inputs) == 5:
        parts = [_by_channel(constants.get(name)) for name in node.inputs[1:]]
        if any(part is None for part in parts):
            return None
        scale, bias, mean, variance = (np.asarray(part) for part in parts)
        epsilon = 1e-5
        if "epsilon" in node.attributes:
            field = dict(_fields(node.attributes["epsilon"])).get(_ATTRIBUTE_FLOAT)
            epsilon = struct.unpack("<f", _message(field if field is not None else b""))[0]
        a = scale / np.sqrt(variance + epsilon)
        return a, bias - a * mean
    if node.type not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    constant = _by_channel(constants.get(right if left == value else left))
    if constant is None or (node.type == "Div" and left != value):
        return None
    one, none = np.ones(1), np.zeros(1)
    if node.type == "Add":
        return one, constant
    if node.type == "Sub":
        return (one, -constant) if left == value else (-one, constant)
    with np.errstate(divide="ignore"):
        return (constant if node.type == "Mul" else 1.0 / constant), none


def _by_channel(constant: np.ndarray | None) -> np.ndarray | None:
    """(1,) or (3,) of a constant that is one number, or one for each channel; else None."""
    if constant is None or constant.size not in (1, _CHANNELS) or not np.isfinite(constant).all():
        return None
    return constant.reshape(-1)


def _numbers(values: np.ndarray) -> str:
    shown = [f"{value:.6g}" for value in values]
    return shown[0] if len(shown) == 1 else f"({', '.join(shown)})"
