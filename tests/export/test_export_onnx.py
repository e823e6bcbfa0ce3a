"""ONNX files: the same network, any batch size, a record of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import evenface
from evenface.errors import DataError, UsageError
from evenface.evaluate import Evaluation
from evenface.export.hub import write_hub
from evenface.export.onnx import to_onnx
from evenface.export.parity import compare_embeddings
from evenface.export.quantize import to_int8
from evenface.export.sample import balanced_rows
from evenface.export.ship import export_onnx
from evenface.models import embed, load_run_backbone
from evenface.teachers import load_teacher
from evenface.teachers.record import METADATA_KEY
from untrained_run import DIMENSIONS, write_run

FACES = np.random.default_rng(0).integers(0, 256, (7, 112, 112, 3), dtype=np.uint8)


def unit(embeddings):
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "backbone",
    ["mini_s", "mobilefacenet_small", "iresnet18", "edgeface_xs", "vit_t"],
)
def test_an_exported_network_gives_the_trained_one_s_embeddings_for_any_batch(tmp_path, backbone):
    run = write_run(tmp_path / "student", backbone)
    report = export_onnx(run, tmp_path / "out")
    assert report.parity.holds
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / report.file))
    assert session.get_inputs()[0].shape == ["N", 112, 112, 3]
    expected = unit(embed(load_run_backbone(run), FACES))
    for count in (1, 2, 7):
        (found,) = session.run(None, {"faces": FACES[:count]})
        assert found.shape == (count, DIMENSIONS)
        np.testing.assert_allclose(found, expected[:count], atol=2e-5)


def test_what_is_exported_is_a_model_to_embed_and_evaluate_with(run_folder, tmp_path):
    report = export_onnx(run_folder, tmp_path, name="student")
    model = load_teacher(tmp_path / "student-fp32.onnx")
    expected = unit(load_teacher(run_folder).embed(FACES))
    np.testing.assert_allclose(model.embed(FACES), expected, atol=2e-5)
    assert model.record == report.record
    with pytest.raises(UsageError, match="scales them itself"):
        load_teacher(tmp_path / "student-fp32.onnx", mean=127.5)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_with_float_input_is_the_same_network(run_folder, calibration, tmp_path, precision):
    bounds = {"int8": (0.2, 0.5)}.get(precision)
    more = {"precision": precision, "calibrate": calibration, "max_difference": bounds}
    plain = export_onnx(run_folder, tmp_path, name="student", **more)
    report = export_onnx(run_folder, tmp_path, name="student", input="float", **more)
    assert report.file == f"student-float-{precision}.onnx"
    assert report.record.input == "float"
    assert {p.name for p in tmp_path.glob("export-*")} == {
        f"export-{precision}.json",
        f"export-float-{precision}.json",
    }
    onnx.checker.check_model(onnx.load(tmp_path / report.file), full_check=True)
    session = onnxruntime.InferenceSession(str(tmp_path / report.file))
    (taken,) = session.get_inputs()
    assert (taken.type, taken.shape) == ("tensor(float)", ["N", 3, 112, 112])
    values = ((FACES.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    (found,) = session.run(None, {taken.name: values})
    expected = load_teacher(tmp_path / plain.file).embed(FACES)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    model = load_teacher(tmp_path / report.file)
    assert str(model.preprocessing) == "RGB, (x − 127.5) / 127.5, NCHW"
    np.testing.assert_allclose(model.embed(FACES), expected, atol=1e-3)


def test_half_precision_halves_the_file_and_keeps_the_embeddings(run_folder, tmp_path):
    plain = export_onnx(run_folder, tmp_path)
    half = export_onnx(run_folder, tmp_path, precision="fp16")
    assert half.size_bytes < 0.7 * plain.size_bytes
    assert half.parity.max < 1e-4


def test_int8_is_calibrated_on_as_many_faces_of_each_group(
    run_folder, calibration, audit, tmp_path
):
    report = export_onnx(
        run_folder,
        tmp_path,
        precision="int8",
        calibrate=calibration,
        audit=audit,
        replicates=50,
        max_difference=(0.2, 0.5),
    )
    assert report.calibration == {"north": 64, "south": 32}  # all that there are
    operators = {node.op_type for node in onnx.load(tmp_path / report.file).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / report.file).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.dims
    ]
    assert weights
    # Seven bits, so that pairs of products do not overflow on processors without VNNI.
    assert all(np.abs(w.astype(int)).max() <= 64 for w in weights if w.ndim > 1)
    assert report.compression is not None
    assert set(report.compression.groups) == {"north", "south"}
    assert report.compression.verdict
    assert report.compression.simulated
    written = json.loads((tmp_path / "export-int8.json").read_text())
    assert written == report.model_dump(mode="json")


def test_an_audited_file_carries_its_threshold_and_the_rates_of_every_group(
    run_folder, audit, tmp_path
):
    report = export_onnx(run_folder, tmp_path, audit=audit, target_fmr=1e-1, replicates=20)
    point = report.record.operating_point
    assert point is not None
    evaluation = Evaluation.read(tmp_path / "audit-fp32")
    audited = next(p for p in evaluation.operating_points if p.key == "1e-1")
    assert point.threshold == audited.threshold
    assert point.fnmr == audited.fnmr
    assert point.chosen_on == audited.chosen_on
    assert set(point.fmr) == {"north", "south"}
    assert point.simulated
    assert load_teacher(tmp_path / report.file).record == report.record


def test_a_target_without_enough_pairs_gives_way_to_one_with_a_note(run_folder, audit, tmp_path):
    report = export_onnx(run_folder, tmp_path, audit=audit, target_fmr=1e-5, replicates=5)
    point = report.record.operating_point
    assert point is not None
    assert point.target_fmr > 1e-5
    assert any("too few impostor pairs" in note for note in point.notes)


def test_any_number_of_faces_calibrates(run_folder, calibration):
    plain = to_onnx(load_run_backbone(run_folder))
    for count in (3, 45):
        faces = calibration.images(np.arange(count))
        assert to_int8(plain, faces).graph.node


def test_a_network_that_changed_is_not_written(run_folder, calibration, tmp_path):
    with pytest.raises(DataError, match=r"no longer the same.*--max-difference"):
        export_onnx(
            run_folder,
            tmp_path,
            precision="int8",
            calibrate=calibration,
            max_difference=(1e-9, 1e-9),
        )
    assert not list(tmp_path.glob("*.onnx"))


def test_int8_without_faces_is_refused_before_anything_is_done(run_folder, tmp_path):
    with pytest.raises(UsageError, match="--calibrate"):
        export_onnx(run_folder, tmp_path, precision="int8")


def test_people_in_both_sets_are_told(run_folder, calibration, tmp_path):
    report = export_onnx(
        run_folder,
        tmp_path,
        precision="int8",
        calibrate=calibration,
        audit=calibration,
        replicates=5,
        max_difference=(0.5, 1.0),
    )
    assert any("24 identities are in the calibration and in the audit" in n for n in report.notes)


def test_files_hold_no_paths_of_the_machine(run_folder, tmp_path):
    content = (tmp_path / export_onnx(run_folder, tmp_path).file).read_bytes()
    assert str(Path(evenface.__file__).parent).encode() not in content
    assert b"stack_trace" not in content


def test_a_damaged_record_is_an_error_that_names_the_file(run_folder, tmp_path):
    report = export_onnx(run_folder, tmp_path)
    path = tmp_path / report.file
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = '{"version": 1, "surprise": 2}'
    onnx.save(model, path)
    with pytest.raises(DataError, match=f"{path.name}: its record"):
        load_teacher(path)


def test_parity_is_one_minus_the_cosine():
    angles = np.array([0.0, 0.1, 0.3])
    found = compare_embeddings(
        np.tile([2.0, 0.0], (3, 1)),
        3 * np.stack([np.cos(angles), np.sin(angles)], axis=1),
        (0.02, 0.04),
    )
    np.testing.assert_allclose(
        [found.mean, found.max], [np.mean(1 - np.cos(angles)), 1 - np.cos(0.3)]
    )
    assert not found.holds
    with pytest.raises(DataError, match="image 1 is zero"):
        compare_embeddings(np.array([[1.0, 0], [0, 0]]), np.ones((2, 2)), (1, 1))


def test_a_balanced_sample_is_seeded_and_takes_no_more_of_one_group_for_another(calibration):
    rows, counts = balanced_rows(calibration, 80, group_by=None, seed=3)
    assert counts == {"north": 40, "south": 32}
    groups = calibration.groups()[rows].tolist()
    assert (groups.count("north"), groups.count("south")) == (40, 32)
    again, _ = balanced_rows(calibration, 80, group_by=None, seed=3)
    np.testing.assert_array_equal(rows, again)
    assert len(set(rows.tolist())) == len(rows)


@pytest.mark.parametrize("place", ["export", "hub"])
def test_an_exported_file_that_was_changed_is_refused(run_folder, tmp_path, place):
    out = tmp_path / "export"
    report = export_onnx(run_folder, out, name="student")
    if place == "hub":
        write_hub(run_folder, out, tmp_path / "hub")
    path = tmp_path / place / report.file
    fingerprint = load_teacher(path if place == "export" else path.parent).fingerprint
    model = onnx.load(path)
    model.doc_string = "changed"
    onnx.save(model, path)
    with pytest.raises(DataError, match=r"student-fp32.onnx: not the file that (export-|config)"):
        load_teacher(path if place == "export" else path.parent)
    for beside in (*path.parent.glob("export-*.json"), *path.parent.glob("config.json")):
        beside.unlink()
    assert load_teacher(path).fingerprint != fingerprint
