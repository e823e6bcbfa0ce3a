"""A small study of starved groups through every stage: sets, teachers, twins, contrasts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.evaluate import Evaluation
from evenface.study.embedding import embed_part, tasks
from evenface.study.plan import plan_study
from evenface.study.rehearsal import rehearse_study
from evenface.study.run import run_study
from evenface.study.spec import load_study, own_faces

STARVED = {
    f"starved-{group}": {"kind": "real", "identities": 4, "images": 4, "groups": {group: 0.5}}
    for group in ("african", "asian")
}
SMALL = {
    "schedule.steps": 4,
    "schedule.warmup_steps": 1,
    "batch_size": 8,
    "log_every": 2,
}
PLAIN = {"starved": "starved-{group}-usual-plain", "even": "balanced-usual-plain"}
OVERRIDES = {
    "training_sets": {
        "balanced": {"kind": "real", "identities": 4, "images": 4, "groups": {}},
        **STARVED,
    },
    "student.overrides": SMALL,
    "training_seeds": [0, 1, 2],
    "factors": {"training": {"usual": {}, "twin": {"seed": 100}}},
    "constraints": [
        {"when": {"training": "twin"}, "require": {"teacher": "none"}},
        {"when": {"training": "twin"}, "require": {"set": list(STARVED)}},
        {"when": {"teacher": "other"}, "require": {"set": []}},  # it is there to be shuffled
        {"when": {"teacher": "shuffled"}, "require": {"set": "balanced"}},
    ],
    "evaluation": {
        "folds": 2,
        "replicates": 100,
        "score_pairs": 200,
        "targets": ["1e-1"],
        "flip": False,
        "real_people": [],
        "random_groups": True,
    },
    "claims": ["declared-contrasts", "random-groups"],
    "claim_settings": {
        "endpoints": {"absolute": {"measure": "fnmr@1e-1", "scale": "points", "margin": 0.02}},
        "contrasts": {
            "kd": {
                "question": "Does it hurt less?",
                "expect": "less",
                "primary": True,
                "first": {
                    "name": "with KD",
                    "starved": "starved-{group}-usual-kd-small",
                    "even": "balanced-usual-kd-small",
                },
                "second": {"name": "without KD", **PLAIN},
            },
            "twins": {
                "question": "Do twins differ by nothing?",
                "expect": "nothing",
                "first": {**PLAIN, "name": "of twins", "starved": "starved-{group}-twin-plain"},
                "second": {"name": "of the others", **PLAIN},
            },
        },
    },
}


def bias_study(face_folders: dict[str, Path], teacher_file: Path, **changes: object):
    small = {
        "name": "small",
        "recipe": "student-mini",
        "set": "balanced",
        "seed": 500,
        "each_seed": True,
        "overrides": {**SMALL, "backbone.embedding_size": 128},
    }
    teachers = [
        small,
        small | {"name": "other", "seed": 900, "each_seed": False},
        {"name": "shuffled", "shuffle": "other"},
    ]
    folders = own_faces(face_folders["real"], face_folders["synthetic"])
    overrides = folders | {"faces.test.fraction": 0.34, "teachers": teachers} | OVERRIDES
    return load_study("smoke", overrides | changes)


@pytest.fixture(scope="module")
def finished(face_folders, teacher_file, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("bias") / "bias"
    run_study(bias_study(face_folders, teacher_file), out, command="evenface study run bias …")
    return out


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text("utf-8"))


def test_sets_keep_their_size_and_starve_one_group(finished):
    sets = {of["name"]: of for of in results_of(finished)["sets"]}
    assert {of["images"] for of in sets.values()} == {16}
    counts = {n: {g: c["identities"] for g, c in of["groups"].items()} for n, of in sets.items()}
    assert counts["balanced"] == {"african": 2, "asian": 2}
    assert counts["starved-african"] == {"african": 1, "asian": 3}
    assert sets["starved-asian"]["title"].endswith("50 % of the identities of asian")


def test_every_contrast_is_answered_and_random_groups_are_no_test_of_their_own(finished):
    results = results_of(finished)
    assert [claim["id"] for claim in results["claims"]] == [
        "declared-contrasts:kd:absolute",
        "declared-contrasts:twins:absolute",
        "random-groups:kd:absolute",
    ]
    assert [benchmark["id"] for benchmark in results["benchmarks"]] == ["groups"]
    assert "random-groups" not in results["evaluations"]["balanced-usual-plain"]
    page = (finished / "report.html").read_text("utf-8")
    assert "Does it hurt less, in points of FNMR at one threshold?" in page


def test_each_seed_has_its_own_teacher_which_is_an_arm(finished):
    models = {of["id"]: of for of in results_of(finished)["models"]}
    assert [run["seed"] for run in models["teacher-small"]["runs"]] == [0, 1, 2]
    assert "teacher-shuffled" not in models
    caches = [
        EmbeddingCache.open(finished / f"sets/balanced/embeddings-small-s{seed}")
        for seed in range(3)
    ]
    assert len({cache.record.teacher_fingerprint for cache in caches}) == 3


def test_shuffled_embeddings_belong_to_other_images(finished):
    own, shuffled = (
        EmbeddingCache.open(finished / f"embeddings/{name}/real") for name in ("other", "shuffled")
    )
    for view in ("original", "flip"):
        before, after = own.view(view), shuffled.view(view)
        assert not np.array_equal(before, after)
        assert sorted(map(tuple, before)) == sorted(map(tuple, after))
    assert own.record.teacher_fingerprint != shuffled.record.teacher_fingerprint


def test_twins_are_other_networks_and_thresholds_come_from_other_people(finished):
    models = {of["id"]: of for of in results_of(finished)["models"]}
    prints = {
        kind: {run["fingerprint"] for run in models[f"starved-asian-{kind}-plain"]["runs"]}
        for kind in ("usual", "twin")
    }
    assert len(prints["usual"] | prints["twin"]) == 6
    evaluation = Evaluation.read(finished / "evaluations/balanced-usual-plain-s0/groups")
    assert [point.key for point in evaluation.operating_points] == ["1e-1"]
    assert evaluation.operating_points[0].chosen_on == "other half of the identities"
    assert evaluation.calibration is None
    random = Manifest.read(finished / "benchmarks/random-groups")
    test = Manifest.read(finished / "benchmarks/groups")
    assert sorted(random.groups()) == sorted(test.groups())
    assert random.image_fingerprint == test.image_fingerprint


def test_the_same_command_does_nothing_again_and_the_plan_says_so(
    finished, face_folders, teacher_file
):
    spec = bias_study(face_folders, teacher_file)
    before = {p: p.stat().st_mtime_ns for p in (finished / "runs").rglob("weights*")}
    plan = plan_study(spec, finished)
    assert {run.state for run in (*plan.teachers, *plan.runs)} == {"finished"}
    claims = results_of(finished)["claims"]
    run_study(spec, finished, command="again")
    assert {p: p.stat().st_mtime_ns for p in (finished / "runs").rglob("weights*")} == before
    assert results_of(finished)["claims"] == claims


def test_a_rehearsal_passes_every_teacher_and_set(face_folders, teacher_file, tmp_path):
    made = rehearse_study(bias_study(face_folders, teacher_file), tmp_path / "bias", command="")
    assert [finding for finding in made.findings if finding.state == "fails"] == []
    assert sum(need.stage.startswith("embed ") for need in made.needs) == 2  # none to be shuffled


def test_shuffled_embeddings_wait_for_those_that_jobs_make(face_folders, teacher_file, tmp_path):
    spec, out = bias_study(face_folders, teacher_file), tmp_path / "bias"
    assert run_study(spec, out, command="", embeddings_later=True) == out / "embeddings"
    begun = tasks(out)
    networks = {folder.parent.name for folder in begun}
    assert networks == {"small-s0", "small-s1", "small-s2", "other"}
    for folder in begun:
        embed_part(folder, 0, 1)
    assert run_study(spec, out, command="", prepare_only=True) == out / "runs.json"
    assert (out / "embeddings/shuffled/real/cache.json").is_file()


def test_faults_are_named_before_anything_is_done(face_folders, teacher_file, tmp_path):
    def refused(match: str, **changes: object) -> None:
        def run() -> None:
            spec = bias_study(face_folders, teacher_file, **changes)
            run_study(spec, tmp_path / "out", command="")

        with pytest.raises(UsageError, match=match):
            run()
        assert not (tmp_path / "out" / "runs").exists()

    refused(r"needs '1e-3' in evaluation.targets",
            **{"claim_settings.endpoints.absolute.measure": "fnmr@1e-3"})  # fmt: skip
    refused(
        r"no arm is called starved-\{group\}-usual-kd-smal; did you mean",
        **{"claim_settings.contrasts.kd.first.starved": "starved-{group}-usual-kd-smal"},
    )
    refused(r"starve: images needs images", **{"training_sets.balanced.starve": "images",
                                               "training_sets.balanced.images": None})  # fmt: skip
    refused(r"training set balanced: no group elf",
            **{"training_sets.balanced.groups": {"elf": 0.5}})  # fmt: skip
    refused(r"shuffles 'nobody', which is no teacher named before it",
            teachers=[str(teacher_file), {"name": "shuffled", "shuffle": "nobody"}],
            constraints=[])  # fmt: skip
