"""A whole study on the user's own folders: results, report, repetition, interruption, refusals."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from evenface.errors import DataError, EvenfaceError, UsageError
from evenface.lock import FolderLock
from evenface.study.run import run_study
from evenface.study.spec import load_study, own_faces

OVERRIDES = {
    "student.overrides": {
        "schedule.steps": 6,
        "schedule.warmup_steps": 1,
        "batch_size": 8,
        "log_every": 2,
    },
    "training_seeds": [0, 1],
    "evaluation.real_people": [],
    "evaluation.replicates": 100,
    "evaluation.folds": 2,
}


def own_study(face_folders: dict[str, Path], teacher_file: Path, **changes):
    folders = own_faces(face_folders["real"], face_folders["synthetic"])
    return load_study("smoke", folders | {"teachers": [str(teacher_file)]} | OVERRIDES | changes)


@pytest.fixture(scope="module")
def finished(face_folders, teacher_file, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("study") / "own"
    run_study(own_study(face_folders, teacher_file), out, command="evenface study run smoke …")
    return out


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text("utf-8"))


def without_clock(results: dict) -> dict:
    """What must not depend on when, how often or how fast a study was run."""
    kept = {
        key: value for key, value in results.items() if key not in ("stages", "machine", "pareto")
    }
    kept["study"] = {k: v for k, v in results["study"].items() if k != "finished_at"}
    kept["models"] = [
        {
            **m,
            "seconds": None,
            "energy_wh": None,
            "runs": [{**r, "seconds": None} for r in m["runs"]],
        }
        for m in results["models"]
    ]
    return kept


def test_every_arm_is_evaluated_on_people_it_has_not_seen(finished):
    results = results_of(finished)
    arms = [f"{s}-{kd}" for s in ("real", "synthetic", "mix") for kd in ("plain", "kd-toy-teacher")]
    assert [m["id"] for m in results["models"]] == ["teacher-toy-teacher", "untrained", *arms]
    assert all(m["steps"] == 6 for m in results["models"] if m["kind"] == "student")
    assert set(results["evaluations"]) == {m["id"] for m in results["models"]}
    groups = results["evaluations"]["mix-plain"]["groups"]
    assert set(groups["groups"]) == {"african", "asian"}
    assert [of_seed["seed"] for of_seed in groups["seeds"]] == [0, 1]
    from evenface.data.manifest import Manifest

    tested = set(Manifest.read(finished / "benchmarks" / "groups").identities())
    for name in ("real", "synthetic", "mix"):
        learned = {
            identity.removeprefix("real:")
            for identity in Manifest.read(finished / "sets" / name).identities()
        }
        assert learned
        assert not learned & tested


def test_both_shares_of_real_faces_are_counted(finished):
    from evenface.data.manifest import Manifest

    for entry in results_of(finished)["sets"]:
        manifest = Manifest.read(finished / "sets" / entry["name"])
        real = manifest.column("origin") == "real"
        people = set(manifest.column("identity")[real])
        assert entry["real_share"] == {
            "identities": pytest.approx(len(people) / len(manifest.identities())),
            "images": pytest.approx(real.mean()),
        }


def test_own_faces_are_not_called_simulated(finished):
    results = results_of(finished)
    assert results["study"]["simulated"] is False
    assert results["study"]["statement"].startswith("Nothing was simulated by this program")
    assert results["samples"] == {}
    page = (finished / "report.html").read_text("utf-8")
    assert "Nothing was simulated by this program" in page


def test_claims_are_answered_from_the_evaluations(finished):
    results = results_of(finished)
    claims = {claim["id"] for claim in results["claims"]}
    assert {"kd-raises-accuracy:real", "gap-closed", "mix-matches-real"} <= claims
    row = next(
        d
        for d in results["differences"]
        if (d["set"], d["group"], d["metric"]) == ("real", "mean", "accuracy")
    )
    plain, distilled = (
        results["evaluations"][f"real-{kd}"]["groups"]["overall"]["accuracy"]["value"]
        for kd in ("plain", "kd-toy-teacher")
    )
    assert row["value"] == pytest.approx(distilled - plain)


def test_repeating_keeps_what_is_finished(finished, face_folders, teacher_file):
    before = results_of(finished)
    weights = finished / "runs" / "mix-kd-toy-teacher-s1" / "weights.safetensors"
    written = weights.stat().st_mtime_ns
    run_study(own_study(face_folders, teacher_file), finished, command="evenface study run smoke …")
    after = results_of(finished)
    assert weights.stat().st_mtime_ns == written
    assert all(stage["reused"] for stage in after["stages"])
    assert without_clock(after) == without_clock(before)


def test_killed_study_continues_to_the_same_results(
    finished, face_folders, teacher_file, tmp_path, capsys
):
    """SIGTERM while students train; what the second call makes equals an uninterrupted study."""
    out = tmp_path / "killed"
    settings = [f"--set={key}={json.dumps(value)}" for key, value in OVERRIDES.items()]
    command = [sys.executable, "-m", "evenface.cli.main", "study", "run", "smoke", *settings]
    command += ["--out", str(out), "--teacher", str(teacher_file)]
    command += ["--real", str(face_folders["real"]), "--synthetic", str(face_folders["synthetic"])]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "runs" / "real-plain-s0" / "log.jsonl").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted. Rerun the same command to continue" in said
    assert "Traceback" not in said
    assert not (out / "results.json").exists()

    capsys.readouterr()
    run_study(own_study(face_folders, teacher_file), out, command="evenface study run smoke …")
    assert re.search(r"^real-plain-s0: resumed at step \d+ of \d+$", capsys.readouterr().err, re.M)
    assert without_clock(results_of(out)) == without_clock(results_of(finished))


def test_assets_that_cannot_be_fetched_stop_the_study_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    refused = pytest.raises(EvenfaceError, match="asset 'orl' could not be fetched")
    with refused as stopped:
        run_study(load_study("quick"), tmp_path / "out", command="")
    assert str(stopped.value).endswith(
        "Or run the study without them: --teacher study --set evaluation.real_people=[]"
    )
    said = capsys.readouterr().err.splitlines()
    announced = [line.split(":")[0] for line in said if line.startswith("Fetching")]
    assert announced[:2] == ["Fetching orl", "Fetching openpeople"]
    assert "Fetching sface" in announced
    assert not (tmp_path / "out" / "data").exists()


def test_another_study_in_the_same_folder_is_refused(finished, face_folders, teacher_file):
    other = own_study(face_folders, teacher_file, name="other")
    with pytest.raises(UsageError, match="holds the study 'smoke'"):
        run_study(other, finished, command="")


def test_a_changed_factor_computes_what_depends_on_it_only(
    finished, face_folders, teacher_file, tmp_path
):
    out = shutil.copytree(finished, tmp_path / "copy")
    backbones = {"mini_s": {"backbone.name": "mini_s"}, "mini_m": {"backbone.name": "mini_m"}}
    factors = {"factors": {"backbone": backbones}, "training_sets": ["real"]}
    run_study(own_study(face_folders, teacher_file, **factors), out, command="")
    results = results_of(out)
    students = {m["id"]: m for m in results["models"] if m["kind"] == "student"}
    assert list(students) == [
        f"real-{b}-{kd}" for b in backbones for kd in ("plain", "kd-toy-teacher")
    ]
    assert students["real-mini_m-plain"]["levels"] == {"backbone": "mini_m"}
    assert {m["backbone"] for m in students.values()} == set(backbones)
    built = [stage["name"] for stage in results["stages"] if not stage["reused"]]
    assert not [name for name in built if name.startswith(("import", "draw", "training set"))]
    before = {m["id"]: m for m in results_of(finished)["models"]}
    old, new = before["real-plain"]["runs"], students["real-mini_s-plain"]["runs"]
    assert [r["fingerprint"] for r in old] == [r["fingerprint"] for r in new]
    same = [results_of(f)["evaluations"] for f in (finished, out)]
    assert (
        same[0]["real-plain"]["groups"]["groups"]
        == same[1]["real-mini_s-plain"]["groups"]["groups"]
    )


def test_a_failing_run_is_a_hole_and_the_others_go_on(face_folders, teacher_file, tmp_path):
    rates = {"good": {}, "bad": {"optimizer.lr": 1e30}}
    changes = {"factors": {"rate": rates}, "training_sets": ["real"], "training_seeds": [0]}
    spec = own_study(face_folders, teacher_file, **changes)
    run_study(spec, tmp_path / "out", command="")
    results = results_of(tmp_path / "out")
    failed = {(f["model"], f["seed"]): f for f in results["failures"]}
    assert set(failed) == {("real-bad-plain", 0), ("real-bad-kd-toy-teacher", 0)}
    assert all("step" in f["error"] and f["attempts"] == 2 for f in failed.values())
    assert "real-good-plain" in results["evaluations"]
    assert not results["evaluations"].get("real-bad-plain")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "real, bad, without KD" in page


def test_an_unknown_claim_is_told_before_faces_are_made(face_folders, teacher_file, tmp_path):
    spec = own_study(face_folders, teacher_file, claims=["gap-close"])
    with pytest.raises(UsageError, match="unknown claim 'gap-close'; did you mean 'gap-closed'"):
        run_study(spec, tmp_path / "out", command="")
    assert not (tmp_path / "out" / "data").exists()


def test_a_study_trains_its_teacher(face_folders, teacher_file, tmp_path):
    teacher = {
        "recipe": "student-mini",
        "set": "real",
        "overrides": {**OVERRIDES["student.overrides"], "backbone.embedding_size": 16},
    }
    spec = own_study(face_folders, teacher_file, teachers=[teacher], training_seeds=[0])
    run_study(spec, tmp_path / "out", command="")
    results = results_of(tmp_path / "out")
    assert results["teachers"][0]["id"] == "teacher"
    assert "trained by this study on the training set “real”" in results["teachers"][0]["origin"]
    students = [m for m in results["models"] if m["kind"] == "student"]
    assert {m["teacher"] for m in students} == {None, "teacher"}
    assert {m["embedding_size"] for m in students} == {16}


def test_a_folder_that_holds_something_else_is_refused(face_folders, teacher_file, tmp_path):
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(UsageError, match="is not empty and is not a study"):
        run_study(own_study(face_folders, teacher_file), tmp_path, command="")


def test_runs_of_another_study_are_taken(finished, face_folders, teacher_file, tmp_path):
    out = tmp_path / "again"
    spec = own_study(face_folders, teacher_file)
    run_study(spec, out, command="evenface study run smoke …", reuse=[finished])
    reused = {stage["name"]: stage["reused"] for stage in results_of(out)["stages"]}
    assert reused["train 12 students"]
    assert reused["evaluate 14 networks"]
    assert reused["teacher toy-teacher embeds: real"]
    assert not reused["training set: mix"]  # its manifest leads to the study's own images
    weights = "runs/mix-plain-s0/weights.safetensors"
    assert (out / weights).samefile(finished / weights)
    assert without_clock(results_of(out)) == without_clock(results_of(finished))


def test_a_folder_serves_one_process_at_a_time(finished, face_folders, teacher_file, tmp_path):
    out = shutil.copytree(finished, tmp_path / "copy")
    before = (out / "study.yaml").read_bytes()
    again = own_study(face_folders, teacher_file, workers=1)
    refused = pytest.raises(UsageError, match=r"process \d+ on \S+ is running this study")
    with FolderLock(out), refused:
        run_study(again, out, command="")
    assert (out / "study.yaml").read_bytes() == before


def test_damaged_settings_are_named(finished, face_folders, teacher_file, tmp_path):
    out = shutil.copytree(finished, tmp_path / "copy")
    (out / "study.yaml").write_text("- no\n- mapping\n")
    with pytest.raises(DataError, match=r"study\.yaml: damaged"):
        run_study(own_study(face_folders, teacher_file), out, command="")


def test_workers_may_change_between_calls(finished, face_folders, teacher_file, tmp_path):
    out = shutil.copytree(finished, tmp_path / "copy")
    again = own_study(face_folders, teacher_file, workers=1)
    run_study(again, out, command="evenface study run smoke …")
    assert all(stage["reused"] for stage in results_of(out)["stages"])


def test_epochs_are_those_of_the_real_faces(face_folders, teacher_file, tmp_path):
    """Sets of other sizes take the same steps, and the rate falls at the same step."""
    overrides = {
        "training_seeds": [0],
        "training_sets": ["real", "synthetic"],
        "student.overrides": {"schedule.epochs": 2, "batch_size": 8, "log_every": 1},
        "student.recipe": "student-paper",
    }
    overrides["student.overrides"] |= {"backbone.name": "mini_s", "schedule.milestones": [1]}
    spec = own_study(face_folders, teacher_file, **overrides)
    run_study(spec, tmp_path / "out", command="")
    students = [m for m in results_of(tmp_path / "out")["models"] if m["kind"] == "student"]
    real = next(s for s in results_of(tmp_path / "out")["sets"] if s["name"] == "real")
    assert {m["steps"] for m in students} == {2 * (real["images"] // 8)}
    for run in sorted((tmp_path / "out" / "runs").glob("*-s0")):
        if (run / "log.jsonl").exists():
            log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
            falls = [a["step"] for a, b in pairwise(log) if b["lr"] < a["lr"]]
            assert falls == [real["images"] // 8]


def test_a_set_smaller_than_a_batch_is_refused(face_folders, teacher_file, tmp_path):
    spec = own_study(face_folders, teacher_file, **{"student.overrides": {"schedule.steps": 6}})
    with pytest.raises(UsageError, match="fewer than a batch of 64"):
        run_study(spec, tmp_path / "out", command="")


def test_an_unknown_student_is_told_before_faces_are_made(face_folders, teacher_file, tmp_path):
    changes = {"student.overrides": {"backbone.name": "vit"}}
    spec = own_study(face_folders, teacher_file, **changes)
    with pytest.raises(UsageError, match="unknown backbone 'vit'"):
        run_study(spec, tmp_path / "out", command="")
    assert not (tmp_path / "out" / "data").exists()


def test_rendered_people_may_not_be_trained_and_tested_on(tmp_path):
    tiny = {"identities_per_group": 1, "images_per_identity": 2, "look": "plain"}
    overrides = {
        "faces.real": {"kind": "render", "split": "train", **tiny},
        "faces.synthetic": {"kind": "render", "split": "validation", **tiny},
        "faces.test": {"kind": "render", "split": "train", **tiny},
    }
    with pytest.raises(UsageError, match="3 identities are both in the real and the test faces"):
        run_study(load_study("smoke", overrides), tmp_path / "out", command="")


def test_a_damaged_model_is_named_and_can_be_trained_again(
    finished, face_folders, teacher_file, tmp_path
):
    out = shutil.copytree(finished, tmp_path / "copy")
    run = out / "runs" / "mix-plain-s1"
    (run / "weights.safetensors").write_bytes(b"half")
    spec = own_study(face_folders, teacher_file)
    with pytest.raises(DataError, match=r"weights\.safetensors: not .*Delete .*mix-plain-s1"):
        run_study(spec, out, command="evenface study run smoke …")
    shutil.rmtree(run)
    run_study(spec, out, command="evenface study run smoke …")
    assert without_clock(results_of(out)) == without_clock(results_of(finished))


def test_missing_folder_is_a_usage_error(face_folders, teacher_file, tmp_path):
    folders = face_folders | {"real": tmp_path / "nowhere"}
    with pytest.raises(UsageError, match="nowhere: no such file or folder"):
        run_study(own_study(folders, teacher_file), tmp_path / "out", command="")


def test_teachers_of_several_sizes_are_refused(face_folders, teacher_file, tmp_path, sface_path):
    spec = own_study(face_folders, teacher_file, teachers=["sface", str(teacher_file)])
    with pytest.raises(UsageError, match="sface has 128, toy-teacher has 6"):
        run_study(spec, tmp_path / "out", command="")
