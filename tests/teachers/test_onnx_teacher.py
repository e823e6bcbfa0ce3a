import os
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from evenface.errors import DataError, MissingDependencyError, UsageError
from evenface.teachers import load_teacher
from evenface.teachers.onnx import OnnxTeacher
from evenface.teachers.openvino import OpenVinoModel
from evenface.teachers.preprocessing import Preprocessing
from toy_onnx import ToyRecogniser, write_graph, write_recogniser

NCHW = ["N", 3, 112, 112]


def convention(images):
    return (images.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5


def cosine(first, second):
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.sum(first * second, axis=1) / norms


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_embeddings_equal_an_independent_computation(tmp_path, faces, layout, batch):
    toy = write_recogniser(tmp_path / "toy.onnx", layout=layout, batch=batch)
    embeddings = OnnxTeacher(toy.path).embed(faces)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, toy.expected(convention(faces)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_openvino_gives_the_same_embeddings(tmp_path, faces, layout, batch):
    toy = write_recogniser(tmp_path / "toy.onnx", layout=layout, batch=batch)
    for threads in (1, 3):
        teacher = OnnxTeacher(toy.path, engine="openvino", threads=threads)
        expected = toy.expected(convention(faces))
        np.testing.assert_allclose(teacher.embed(faces), expected, rtol=1e-4, atol=1e-4)
    assert teacher.details["provider"] == "openvino"
    assert teacher.embed(faces[:0]).shape == (0, teacher.embedding_size)
    assert teacher.fingerprint == OnnxTeacher(toy.path).fingerprint


def test_onnxruntime_leaves_no_files_and_sends_nothing(recogniser, tmp_path):
    (tmp_path / "home").mkdir()
    code = f"from evenface.teachers.onnx import OnnxTeacher; OnnxTeacher({str(recogniser.path)!r})"
    fresh = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path / "home"))
    environment = {name: v for name, v in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-B", "-c", code], env=environment | fresh, check=True)
    assert not list((tmp_path / "home").rglob("*"))


def test_signals_are_handled_after_several_models_of_openvino(recogniser):
    code = (
        "import gc, signal\n"
        "from evenface.teachers.onnx import OnnxTeacher\n"
        f"path = {str(recogniser.path)!r}\n"
        "models = [OnnxTeacher(path, engine='openvino') for _ in range(3)]\n"
        "while models: del models[0]; gc.collect()\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "handled"), done.stderr


def test_bfloat16_is_near_and_has_its_own_fingerprint(recogniser, faces):
    plain = OnnxTeacher(recogniser.path)
    low = load_teacher(recogniser.path, engine="openvino-bf16")
    assert cosine(low.embed(faces), plain.embed(faces)).min() > 0.99
    assert low.fingerprint != plain.fingerprint


def test_an_engine_that_computes_something_else_is_refused(recogniser, monkeypatch):
    monkeypatch.setattr(OpenVinoModel, "__call__", lambda self, inputs: np.eye(len(inputs), 6))
    with pytest.raises(DataError, match="use the engine onnxruntime"):
        OnnxTeacher(recogniser.path, engine="openvino")


def test_openvino_must_be_installed(recogniser, monkeypatch):
    monkeypatch.setitem(sys.modules, "evenface.teachers.openvino", None)
    with pytest.raises(MissingDependencyError, match=r"evenface\[openvino\]"):
        OnnxTeacher(recogniser.path, engine="openvino")


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_fixed_batch_is_filled_up_where_it_may_not_be_lifted(tmp_path, faces, batch):
    toy = write_recogniser(tmp_path / "toy.onnx", batch=batch)
    teacher = OnnxTeacher(toy.path, relax_batch=False)
    assert teacher.details["fixed batch lifted"] == "no, not wanted"
    np.testing.assert_allclose(
        teacher.embed(faces), toy.expected(convention(faces)), rtol=1e-4, atol=1e-5
    )


def test_declared_preprocessing_is_used(recogniser, faces):
    teacher = OnnxTeacher(recogniser.path, mean=(1.0, 2.0, 3.0), std=4.0, order="BGR")
    values = ((faces - np.array([1.0, 2.0, 3.0])) / 4.0)[..., ::-1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(
        teacher.embed(faces), recogniser.expected(values), rtol=1e-4, atol=1e-4
    )


def test_declared_layout_decides_where_the_file_leaves_it_open(tmp_path, faces):
    toy = write_recogniser(tmp_path / "toy.onnx", layout="NHWC", side="side")
    embeddings = OnnxTeacher(toy.path, layout="NHWC").embed(faces)
    np.testing.assert_allclose(embeddings, toy.expected(convention(faces)), rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="N×3×H×W"):
        OnnxTeacher(toy.path, layout="NCHW")


def test_half_precision_models_are_fed_half_precision(tmp_path, faces):
    toy = write_recogniser(tmp_path / "half.onnx", dtype=np.float16)
    embeddings = OnnxTeacher(toy.path).embed(faces)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, toy.expected(convention(faces)), atol=0.02)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 11])
def test_an_embedding_does_not_depend_on_its_company(recogniser, faces, count):
    teacher = OnnxTeacher(recogniser.path)
    embeddings = teacher.embed(faces[:count])
    assert embeddings.shape == (count, teacher.embedding_size)
    np.testing.assert_allclose(embeddings, teacher.embed(faces)[:count], rtol=1e-5, atol=1e-6)


def test_number_of_threads_does_not_matter(recogniser, faces):
    one = OnnxTeacher(recogniser.path, threads=1).embed(faces)
    np.testing.assert_array_equal(one, OnnxTeacher(recogniser.path, threads=5).embed(faces))


def test_fingerprint_covers_weights_and_preprocessing_only(tmp_path):
    first = write_recogniser(tmp_path / "first.onnx")
    copy = write_recogniser(tmp_path / "copy.onnx")
    other = write_recogniser(tmp_path / "other.onnx", seed=1)
    reference = OnnxTeacher(first.path).fingerprint
    assert OnnxTeacher(copy.path, threads=1).fingerprint == reference
    assert OnnxTeacher(copy.path, mean=127.5, std=127.5).fingerprint == reference
    assert OnnxTeacher(other.path).fingerprint != reference
    assert OnnxTeacher(first.path, order="BGR").fingerprint != reference
    assert OnnxTeacher(first.path, std=128.0).fingerprint != reference


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 112, 112, 3), np.float32),
        np.zeros((112, 112, 3), np.uint8),
        np.zeros((1, 3, 112, 112), np.uint8),
        np.zeros((1, 96, 112, 3), np.uint8),
    ],
)
def test_images_of_another_kind_are_refused(recogniser, images):
    with pytest.raises(ValueError, match=r"images must be uint8 of shape \(N, 112, 112, 3\)"):
        OnnxTeacher(recogniser.path).embed(images)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.onnx: no such file"):
        OnnxTeacher(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("content", [b"", b"no model at all", "half"])
def test_unreadable_model_is_named(tmp_path, recogniser, content):
    path = tmp_path / "broken.onnx"
    whole = recogniser.path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(DataError, match=r"broken\.onnx: "):
        OnnxTeacher(path)


def test_wrong_input_shape_tells_expected_and_found(tmp_path):
    path = tmp_path / "rows.onnx"
    write_graph(path, "Relu", {"data": [1, 3, 112]}, {"out": [1, 3, 112]})
    with pytest.raises(DataError, match=r"N×3×H×W or N×H×W×3.*'data' 1×3×112"):
        OnnxTeacher(path)


def test_two_inputs_are_refused(tmp_path):
    path = tmp_path / "two.onnx"
    write_graph(path, "Add", {"left": NCHW, "right": NCHW}, {"sum": NCHW})
    with pytest.raises(DataError, match=r"one input is expected.*'left'.*'right'"):
        OnnxTeacher(path)


def test_an_output_with_two_dimensions_of_size_one_is_a_vector(tmp_path, faces):
    expected = write_recogniser(tmp_path / "image.onnx", ending="image")
    for engine in ("onnxruntime", "openvino"):
        found = OnnxTeacher(expected.path, engine=engine).embed(faces)
        np.testing.assert_allclose(
            found, expected.expected(convention(faces)), rtol=1e-4, atol=1e-4
        )


def test_output_that_is_no_vector_is_refused(tmp_path):
    toy = write_recogniser(tmp_path / "map.onnx", ending="map")
    with pytest.raises(DataError, match=r"or \(4, D, 1, 1\) with D > 1, it has \(4, 3, 2, 1\)"):
        OnnxTeacher(toy.path)


def add_outputs(path, **outputs):
    """Give the toy further outputs: name → operator on the embedding and the output's shape."""
    model = onnx.load(path)
    for name, (operator, shape) in outputs.items():
        options = {"axes": [1]} if operator == "ReduceL2" else {}
        model.graph.node.append(helper.make_node(operator, ["plain"], [name], **options))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    onnx.save(model, path)


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_an_embedding_with_its_norm_needs_no_option(tmp_path, faces, batch, engine):
    toy = write_recogniser(tmp_path / "adaface.onnx", batch=batch)
    add_outputs(toy.path, norm=("ReduceL2", [batch, 1]))
    teacher = OnnxTeacher(toy.path, engine=engine)
    assert teacher.details["output"] == "plain"
    np.testing.assert_allclose(
        teacher.embed(faces), toy.expected(convention(faces)), rtol=1e-4, atol=1e-4
    )


def test_the_embedding_is_chosen_among_several_outputs(recogniser, faces):
    add_outputs(recogniser.path, other=("Neg", ["N", 6]), norm=("ReduceL2", ["N", 1]))
    with pytest.raises(DataError, match=r"'plain' N×6, 'other' N×6, 'norm' N×1.*--output NAME"):
        OnnxTeacher(recogniser.path)
    plain, other = (OnnxTeacher(recogniser.path, output=name) for name in ("plain", "other"))
    np.testing.assert_array_equal(other.embed(faces), -plain.embed(faces))
    assert plain.fingerprint != other.fingerprint
    assert load_teacher(recogniser.path, output="1").fingerprint == other.fingerprint
    with pytest.raises(UsageError, match=r"no output '3'; there are 'plain' N×6"):
        OnnxTeacher(recogniser.path, output="3")
    with pytest.raises(DataError, match=r"'norm' must have .* it has \(4, 1\)"):
        OnnxTeacher(recogniser.path, output="norm")
    recogniser.path.with_name("toy.onnx.json").write_text('{"output": "other"}')
    assert OnnxTeacher(recogniser.path).fingerprint == other.fingerprint
    assert OnnxTeacher(recogniser.path, output=0).fingerprint == plain.fingerprint


def test_faces_are_cropped_for_an_input_of_112x96(tmp_path, faces):
    toy = write_recogniser(tmp_path / "sphere.onnx", side=(112, 96))
    with pytest.raises(UsageError, match=r"sphere.onnx: .* the input is 112×96.*crop .*resize"):
        OnnxTeacher(toy.path)
    teacher = OnnxTeacher(toy.path, fit="crop")
    expected = toy.expected(convention(faces[:, :, 8:104]))
    np.testing.assert_allclose(teacher.embed(faces), expected, rtol=1e-4, atol=1e-5)
    assert "crop to 112×96" in teacher.details["preprocessing"]
    assert OnnxTeacher(toy.path, fit="resize").fingerprint != teacher.fingerprint


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_faces_are_scaled_for_an_input_of_160x160(tmp_path, faces, layout):
    toy = write_recogniser(tmp_path / "facenet.onnx", side=(160, 160), layout=layout)
    toy.path.with_name("facenet.onnx.json").write_text('{"fit": "resize"}')
    scaled = np.stack(
        [cv2.resize(face, (160, 160), interpolation=cv2.INTER_LINEAR) for face in faces]
    )
    np.testing.assert_allclose(
        OnnxTeacher(toy.path).embed(faces), toy.expected(convention(scaled)), atol=0.05
    )
    with pytest.raises(UsageError, match="160×160 cannot be cropped from 112×112"):
        OnnxTeacher(toy.path, fit="crop")


def test_a_size_that_the_file_leaves_open_is_declared(tmp_path, faces):
    toy = write_recogniser(tmp_path / "open.onnx", side="side")
    sidecar = toy.path.with_name("open.onnx.json")
    sidecar.write_text('{"size": [112, 112]}')
    assert OnnxTeacher(toy.path).fingerprint
    sidecar.write_text('{"size": [128, 128]}')
    with pytest.raises(DataError, match=r"open.onnx.json: .*the input is 128×128"):
        OnnxTeacher(toy.path)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_model_of_grey_faces_gets_grey_faces(tmp_path, faces, layout):
    toy = write_recogniser(tmp_path / "grey.onnx", channels=1, layout=layout)
    teacher = OnnxTeacher(toy.path, mean=0.0, std=255.0)
    grey = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces])
    np.testing.assert_allclose(
        teacher.embed(faces), toy.expected(grey[:, None] / 255), rtol=1e-3, atol=1e-3
    )
    assert teacher.preprocessing.order == "grey"
    with pytest.raises(UsageError, match=r"its input has 1 channel.* cannot be BGR"):
        OnnxTeacher(toy.path, order="BGR")
    coloured = write_recogniser(tmp_path / "coloured.onnx")
    with pytest.raises(UsageError, match=r"its input has 3 channel.* cannot be grey"):
        OnnxTeacher(coloured.path, order="grey")


def test_integer_input_is_refused(tmp_path):
    path = tmp_path / "bytes.onnx"
    write_graph(path, "Identity", {"face": NCHW}, {"same": NCHW}, TensorProto.INT64)
    with pytest.raises(DataError, match=r"'face' must be float32, float16 or uint8.*int64"):
        OnnxTeacher(path)


def test_nan_from_the_start_is_told(tmp_path):
    toy = write_recogniser(tmp_path / "nan.onnx", ending="nan")
    with pytest.raises(DataError, match=r"nan\.onnx: the model gives NaN.*preprocessing"):
        OnnxTeacher(toy.path)


def test_one_embedding_for_all_images_is_refused(tmp_path):
    toy = write_recogniser(tmp_path / "constant.onnx", ending="constant")
    with pytest.raises(DataError, match=r"constant\.onnx: .*one embedding for 4 different"):
        OnnxTeacher(toy.path)


def test_nan_of_one_image_names_it(tmp_path, faces):
    toy = write_recogniser(tmp_path / "inverse.onnx", ending="inverse")
    teacher = OnnxTeacher(toy.path, mean=0.0, std=1.0)
    faces[5] = 0
    with pytest.raises(DataError, match=r"1 of 11 images .* the first is image 5"):
        teacher.embed(faces)


@pytest.mark.assets
def test_sface_equals_opencv(sface_path, faces):
    smooth = np.stack([cv2.GaussianBlur(face, (0, 0), 4) for face in faces])
    images = np.concatenate([faces, smooth])
    opencv = cv2.FaceRecognizerSF_create(str(sface_path), "")
    expected = np.concatenate([opencv.feature(image[..., ::-1].copy()) for image in images])
    teacher = load_teacher("sface")
    assert (teacher.name, teacher.embedding_size) == ("sface", 128)
    assert cosine(teacher.embed(images), expected).min() > 1 - 1e-5


@pytest.mark.assets
def test_sface_by_path_is_recognised(sface_path):
    by_path = OnnxTeacher(sface_path)
    assert by_path.fingerprint == load_teacher("sface").fingerprint
    assert by_path.preprocessing.mean == 0.0


@pytest.mark.assets
def test_sface_without_rewriting_gives_the_same(sface_path, faces):
    slow = OnnxTeacher(sface_path, relax_batch=False)
    fast = OnnxTeacher(sface_path)
    assert fast.details["fixed batch lifted"].startswith("yes")
    np.testing.assert_allclose(fast.embed(faces), slow.embed(faces), rtol=1e-3, atol=1e-4)


def test_preprocessing_declared_beside_the_file(recogniser: ToyRecogniser, faces) -> None:
    sidecar = recogniser.path.with_name("toy.onnx.json")
    sidecar.write_text('{"mean": [1, 2, 3], "std": 4, "order": "BGR"}')
    teacher = OnnxTeacher(recogniser.path)
    assert teacher.preprocessing == Preprocessing((1, 2, 3), 4, "BGR")
    assert OnnxTeacher(recogniser.path, std=2.0).preprocessing.std == 2.0
    for content in ("[]", "{", '{"std": 0}', '{"mean": "grey"}', '{"scale": 1}'):
        sidecar.write_text(content)
        with pytest.raises(DataError, match=r"toy.onnx.json: declares no preprocessing"):
            OnnxTeacher(recogniser.path)


def test_preprocessing_declared_in_the_metadata(recogniser: ToyRecogniser) -> None:
    model = onnx.load(recogniser.path)
    model.metadata_props.add(key="preprocessing", value='{"mean": 0.0, "std": 255.0}')
    onnx.save(model, recogniser.path)
    assert OnnxTeacher(recogniser.path).preprocessing == Preprocessing(0.0, 255.0)


def test_a_loop_that_may_never_end_is_refused(tmp_path):
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    step = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["N", 3]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["N", 3]),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["face"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Loop", ["", "true", "flat"], ["embedding"], body=step),
        ],
        "endless",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3])],
        [true],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "endless.onnx"))
    with pytest.raises(DataError, match=r"endless\.onnx: this ONNX model has a loop"):
        OnnxTeacher(tmp_path / "endless.onnx")
