"""What an ONNX file says of itself, against the package onnx and onnxruntime."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from evenface.errors import DataError
from evenface.teachers.onnx import OnnxTeacher
from evenface.teachers.onnx_graph import OnnxGraph
from toy_onnx import write_recogniser

OPERATIONS = ("Add", "Sub", "Mul", "Div", "RSub", "BatchNormalization", "Cast")


def before(path: Path, steps: list[tuple[str, np.ndarray]], *, constants: bool = False) -> None:
    """Rewrite a model so that these steps come first, each with its constant (1,) or (3,)."""
    model = onnx.load(str(path))
    nodes, value = [], "face"
    for number, (operation, constant) in enumerate(steps):
        shape = (1, 3, 1, 1) if constant.size == 3 else ()
        out, name = f"step{number}", f"constant{number}"
        tensor = numpy_helper.from_array(constant.astype(np.float32).reshape(shape), name)
        inputs = [name, value] if operation == "RSub" else [value, name]
        if operation == "BatchNormalization":
            ones = np.ones(3, np.float32)
            parts = {"scale": constant, "bias": 2 * ones, "mean": 3 * ones, "variance": 4 * ones}
            for part, values in parts.items():
                values = np.broadcast_to(values, 3).astype(np.float32)
                model.graph.initializer.append(numpy_helper.from_array(values, f"{part}{number}"))
            inputs = [value, *(f"{part}{number}" for part in parts)]
            nodes.append(helper.make_node(operation, inputs, [out], epsilon=0.5))
        elif operation == "Cast":
            nodes.append(helper.make_node(operation, [value], [out], to=TensorProto.FLOAT))
        else:
            if constants:
                nodes.append(helper.make_node("Constant", [], [name], value=tensor))
            else:
                model.graph.initializer.append(tensor)
            nodes.append(helper.make_node(operation.removeprefix("R"), inputs, [out]))
        value = out
    for node in model.graph.node:
        node.input[:] = [value if name == "face" else name for name in node.input]
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *kept])
    onnx.save(model, str(path))


numbers = st.floats(0.25, 4).map(lambda value: np.array([value]))
channels = st.lists(st.floats(0.25, 4), min_size=3, max_size=3).map(np.array)
steps = st.lists(st.tuples(st.sampled_from(OPERATIONS), numbers | channels), max_size=5)


@settings(max_examples=25, deadline=None)
@given(steps, st.booleans())
def test_the_scaling_is_what_the_graph_computes(
    tmp_path_factory: pytest.TempPathFactory, chain: list, constants: bool
) -> None:
    path = tmp_path_factory.mktemp("scaling") / "toy.onnx"
    write_recogniser(path)
    before(path, chain, constants=constants)
    scaling = OnnxGraph(path).scaling
    if not any(operation != "Cast" for operation, _ in chain):
        assert scaling is None
        return
    assert scaling is not None
    model = onnx.load(str(path))
    model.graph.output.insert(0, helper.make_empty_tensor_value_info(f"step{len(chain) - 1}"))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    face = np.random.default_rng(0).uniform(0, 255, (1, 3, 112, 112)).astype(np.float32)
    computed = session.run([f"step{len(chain) - 1}"], {"face": face})[0]
    wanted = scaling.a.reshape(1, -1, 1, 1) * face + scaling.b.reshape(1, -1, 1, 1)
    np.testing.assert_allclose(computed, wanted, rtol=1e-3, atol=1e-2)
    assert scaling.operations == tuple(
        operation.removeprefix("R") for operation, _ in chain if operation != "Cast"
    )


@pytest.mark.parametrize(
    ("chain", "shown"),
    [
        ([("Sub", 127.5), ("Mul", 1 / 128)], "(x − 127.5) / 128 (Sub, Mul)"),
        ([("Div", 255.0), ("Sub", 0.5), ("Div", 0.5)], "(x − 127.5) / 127.5 (Div, Sub, Div)"),
    ],
)
def test_a_graph_that_scales_pixels_gets_them_as_they_are(
    tmp_path: Path, faces: np.ndarray, chain: list, shown: str
) -> None:
    toy = write_recogniser(tmp_path / "toy.onnx")
    before(toy.path, [(operation, np.array([value])) for operation, value in chain])
    teacher = OnnxTeacher(toy.path)
    assert teacher.details["scaled in the graph"] == shown
    assert teacher.details["preprocessing"] == "RGB, (x − 0.0) / 1.0, NCHW"
    std = 128 if "128" in shown else 127.5
    wanted = toy.expected((faces.transpose(0, 3, 1, 2) - 127.5) / std)
    np.testing.assert_allclose(teacher.embed(faces), wanted, rtol=1e-3, atol=1e-4)
    # What is declared is applied, and both are shown.
    declared = OnnxTeacher(toy.path, mean=127.5, std=127.5)
    assert "127.5" in declared.details["preprocessing"]
    assert "scaled in the graph" in declared.details


def test_a_graph_that_normalises_further_gets_the_convention(tmp_path: Path) -> None:
    toy = write_recogniser(tmp_path / "toy.onnx")
    before(toy.path, [("BatchNormalization", np.array([1.5]))])
    assert OnnxTeacher(toy.path).details["preprocessing"] == "RGB, (x − 127.5) / 127.5, NCHW"


def external(path: Path, seed: int, location: str = "model.onnx.data") -> None:
    write_recogniser(path, seed=seed)
    model = onnx.load(str(path))
    (path.parent / location).unlink(missing_ok=True)
    onnx.save_model(
        model, str(path), save_as_external_data=True, location=location, size_threshold=0
    )


def test_the_fingerprint_covers_weights_in_other_files(tmp_path: Path, faces: np.ndarray) -> None:
    path = tmp_path / "model.onnx"
    external(path, seed=1)
    assert OnnxGraph(path).external == ("model.onnx.data",)
    content, first = path.read_bytes(), OnnxTeacher(path)
    external(path, seed=2)
    assert path.read_bytes() == content  # the weights alone are other ones
    second = OnnxTeacher(path)
    assert first.fingerprint != second.fingerprint
    assert not np.allclose(first.embed(faces), second.embed(faces))
    external(path, seed=1)
    assert OnnxTeacher(path).fingerprint == first.fingerprint
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(DataError, match=r"its weights are in .*model\.onnx\.data, which is not"):
        OnnxTeacher(path)


def test_weights_are_found_wherever_a_graph_has_them(tmp_path: Path) -> None:
    def tensor(name: str) -> TensorProto:
        made = numpy_helper.from_array(np.ones(4, np.float32), name)
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value=f"{name}.bin")
        made.external_data.add(key="offset", value="0")
        return made

    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor("constant"))], "inner", [], [],
        [tensor("nested")],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)],
        "outer", [], [], [tensor("initializer")],
    )  # fmt: skip
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert OnnxGraph(path).external == ("constant.bin", "initializer.bin", "nested.bin")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / "toy.onnx"
    write_recogniser(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with suppress(DataError):  # and nothing else
        OnnxGraph(path)
