"""evenface export on the command line: ONNX, card, hub folder."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import pytest
import yaml

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.evaluate import Evaluation, protocol_from_manifest


@pytest.fixture
def export(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["export", *map(str, arguments)])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


def test_a_run_becomes_a_file_a_card_and_a_folder_for_a_hub(
    export, run_folder, calibration_folder, audit_folder, tmp_path
):
    out = tmp_path / "out"
    code, said, _ = export(
        run_folder,
        *("--out", out, "--precision", "int8", "--calibrate", calibration_folder),
        *("--audit", audit_folder, "--max-difference", "0.2,0.5", "--finetune", "--steps", 5),
    )
    assert code == 0
    assert "student-int8.onnx: int8" in said
    assert "int8, calibrated" in said
    assert "int8, fine-tuned" in said
    assert said.count("(kept)") == 1
    learned = json.loads((out / "export-int8.json").read_text())["finetuning"]
    assert learned["steps"] == 5
    assert set(learned["variants"]) == {"calibrated", "fine-tuned"}
    kept = learned["variants"][learned["kept"]]
    report = json.loads((out / "export-int8.json").read_text())
    assert (kept["parity"], kept["compression"]) == (report["parity"], report["compression"])
    assert "calibrated on: north 64, south 32" in said
    assert "SIMULATED" in said

    assert export(run_folder, "--out", out, "--format", "model-card")[0] == 0
    card = (out / "README.md").read_text()
    assert card.index("Measured on simulated faces") < card.index("## Intended use")
    for expected in (
        *("| north |", "| south |", "name: untrained", "cannot be verified", "t" * 16),
        *("- origins: synthetic 400\n", "- data sets: squares 400\n"),
        *("as declared at import: CC0-1.0 400\n", "declare them: north 250\n"),
    ):
        assert expected in card

    assert export(run_folder, "--out", out, "--format", "hub")[0] == 0
    hub = tmp_path / "out-hub"
    held = {path.name for path in hub.iterdir()}
    assert held == {
        *("README.md", "config.json", "recipe.yaml", "run.json", "weights.safetensors"),
        "student-int8.onnx",
    }
    front = (hub / "README.md").read_text().split("---")[1]
    assert yaml.safe_load(front)["library_name"] == "evenface"
    assert json.loads((hub / "config.json").read_text())["backbone"] == "mini_s"
    code, _, err = export(run_folder, "--out", out, "--format", "hub")
    assert code == 1
    assert "exists already" in err


def test_an_audit_uses_the_pairs_of_its_folder_and_says_so(
    export, run_folder, audit_folder, tmp_path
):
    faces = tmp_path / "faces"
    shutil.copytree(audit_folder, faces)
    drawn = protocol_from_manifest(Manifest.read(faces), pairs_per_group=40, seed=9)
    replace(drawn, pairs="published").write(faces / "protocol.parquet")
    used = {}
    for pairs, spec in (("published", faces), ("drawn", f"draw:{faces}")):
        out = tmp_path / pairs
        code, said, _ = export(run_folder, "--out", out, "--audit", spec)
        assert code == 0
        assert f"audit: Pairs: {pairs}" in said
        used[pairs] = Evaluation.read(out / "audit-fp32").protocol
        assert used[pairs].pairs == pairs
        assert export(run_folder, "--out", out, "--format", "model-card")[0] == 0
        assert f"Pairs: {pairs}" in (out / "README.md").read_text()
    assert used["published"].fingerprint == drawn.fingerprint
    assert used["drawn"].fingerprint != drawn.fingerprint


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--precision", "int8"], "--calibrate"),
        (["--max-difference", "small"], "MEAN,MAX"),
        (["--format", "model-card"], "nothing was exported here yet"),
        (["--precision", "int4"], "int4"),
        (["--finetune"], "--precision int8 and --audit"),
        (["--steps", "3"], "--steps belongs to --finetune"),
        (["--teacher", "sface"], "--teacher belongs to --finetune"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(export, run_folder, tmp_path, arguments, expected):
    code, _, err = export(run_folder, "--out", tmp_path / "out", *arguments)
    assert code != 0
    assert expected in err
    assert "Traceback" not in err


def test_a_folder_without_a_run_is_refused(export, tmp_path):
    code, _, err = export(tmp_path, "--out", tmp_path / "out")
    assert code == 1
    assert "run.json" in err


def test_without_the_extra_its_name_is_said(export, run_folder, monkeypatch):
    for module in list(sys.modules):
        if module.startswith("evenface.export"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, err = export(run_folder)
    assert code == 1
    assert 'evenface[export]"' in err
