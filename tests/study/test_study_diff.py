"""What differs between two studies, run by run and figure by figure."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from evenface.cli.main import build_app
from evenface.errors import DataError, UsageError
from evenface.study.diff import Figure, diff_studies
from evenface.study.settings import Change, changes, flat
from evenface.study.spec import load_study

QUICK = Path(__file__).parents[2] / "docs" / "results" / "quick" / "results.json"


def study_file(folder: Path, name: str, source: str = "quick", **overrides: Any) -> str:
    path = folder / f"{name}.yaml"
    content = load_study(source, overrides).model_dump(mode="json")
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def quick() -> dict[str, Any]:
    return json.loads(QUICK.read_text("utf-8"))


def with_fingerprints(results: dict[str, Any], prefix: str) -> dict[str, Any]:
    content = copy.deepcopy(results) | {"schema": 3}
    for model in content["models"]:
        model["runs"] = [
            {
                "seed": seed,
                "run": f"runs/{model['id']}-s{seed}",
                "fingerprint": prefix + model["id"],
            }
            for seed in model["seeds"]
        ]
    return content


def written(path: Path, content: dict[str, Any]) -> str:
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def test_a_study_is_the_same_as_itself():
    found = diff_studies("quick", "quick")
    assert not found.settings
    assert {run.state for run in found.runs.values()} == {"same"}
    assert len(found.runs) == 27
    assert found.results is None


def test_a_weight_changes_distilled_runs_only(tmp_path):
    found = diff_studies("quick", study_file(tmp_path, "b", distillation_weight=10.0))
    assert found.settings == {"distillation_weight": Change(39.0625, 10.0)}
    changed = found.named("changed")
    assert all("-kd-" in name for name in changed)
    assert len(changed) == 18
    assert found.runs[changed[0]].changes == {"distill.weight": Change(39.0625, 10.0)}


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        ({"faces.synthetic.look": "studio"}, {"real"}),
        ({"faces.real.identities_per_group": 70}, {"synthetic"}),
        ({"mix.real_fraction": 0.5}, {"real", "synthetic"}),
        ({"faces.test.identities_per_group": 40}, {"real", "synthetic", "mix"}),
        ({"evaluation.replicates": 500}, {"real", "synthetic", "mix"}),
        ({"seed": 1}, set()),
    ],
)
def test_a_change_reaches_what_depends_on_it(tmp_path, overrides, same):
    found = diff_studies("quick", study_file(tmp_path, "b", **overrides))
    unchanged = {name.split("-")[0] for name in found.named("same")}
    assert unchanged == same
    assert not unchanged & {name.split("-")[0] for name in found.named("changed")}


def test_runs_of_one_side_only(tmp_path):
    other = study_file(tmp_path, "b", training_seeds=[0, 3], teachers=["study"])
    found = diff_studies("quick", other)
    assert "real-plain-s3" in found.named("second")
    assert {"real-plain-s1", "real-kd-sface-s0"} <= set(found.named("first"))
    assert "real-plain-s0" in found.named("same")


def test_the_papers_reconstruction_is_part_of_the_full_grid():
    found = diff_studies("paper", "paper-full")
    assert len(found.named("same")) == 32
    assert len(found.named("second")) == 28
    assert not found.named("first")


def test_a_trained_teacher_changes_its_students(tmp_path):
    teacher = {"name": "teacher", "recipe": "teacher-paper-{variant}", "set": "balanced", "seed": 4}
    found = diff_studies("paper", study_file(tmp_path, "b", "paper", teachers=[teacher]))
    assert all("-kd-" in name for name in found.named("changed"))
    assert found.runs[found.named("changed")[0]].changes == {"teacher.seed": Change(0, 4)}


def test_recorded_fingerprints_decide(quick, tmp_path):
    first = written(tmp_path / "a.json", with_fingerprints(quick, "x"))
    content = with_fingerprints(quick, "x")
    content["models"][3]["runs"][0]["fingerprint"] = "another"
    changed = f"{content['models'][3]['id']}-s0"
    found = diff_studies(first, written(tmp_path / "b.json", content))
    assert found.named("changed") == [changed]
    assert found.runs[changed].note
    assert all(run.exact for run in found.runs.values())


def test_equal_and_different_results(quick, tmp_path):
    content = copy.deepcopy(quick)
    evaluation = content["evaluations"]["real-plain"]["groups"]
    before = evaluation["groups"]["asian"]["eer"]["value"]
    evaluation["groups"]["asian"]["eer"]["value"] = 0.25
    del content["evaluations"]["untrained"]
    found = diff_studies(str(QUICK), written(tmp_path / "b.json", content)).results
    assert found is not None
    assert found.different == ("real-plain",)
    assert len(found.equal) == len(quick["evaluations"]) - 2
    assert found.figures == (Figure("real-plain", "groups", "eer of asian", before, 0.25),)


def test_a_folder_of_results(quick):
    found = diff_studies(str(QUICK.parent), str(QUICK))
    assert not found.settings
    assert found.results is not None
    assert not found.results.different


def test_a_folder_of_a_study(tmp_path):
    Path(study_file(tmp_path, "study")).rename(tmp_path / "study.yaml")
    run = tmp_path / "runs" / "real-plain-s0"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"fingerprint": "x"}', encoding="utf-8")
    found = diff_studies(str(tmp_path), str(tmp_path))
    assert found.runs["real-plain-s0"].exact
    assert not found.runs["real-plain-s1"].exact


def test_what_is_no_study_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no study recipe or file"):
        diff_studies("quick", "nothing")
    with pytest.raises(UsageError, match="holds no study"):
        diff_studies("quick", str(tmp_path))
    with pytest.raises(DataError, match=r"b\.json: .*not the results"):
        diff_studies("quick", written(tmp_path / "b.json", {"schema": 3}))
    (tmp_path / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        diff_studies("quick", str(tmp_path))


def test_flat_settings():
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}
    assert changes({"a": 1, "b": 2}, {"b": 2, "c": 3}) == {
        "a": Change(1, None),
        "c": Change(None, 3),
    }


def test_the_command(tmp_path):
    other = study_file(tmp_path, "b", distillation_weight=10.0)
    done = CliRunner().invoke(build_app(), ["study", "diff", "quick", other])
    assert done.exit_code == 0, done.output
    assert "distill.weight: 39.0625 → 10.0" in done.output
    assert "Runs: 9 the same (9 by settings alone, not by fingerprints), 18 changed." in done.output
    done = CliRunner().invoke(build_app(), ["study", "diff", "quick", other, "--json"])
    content = json.loads(done.stdout)
    assert content["settings"] == {"distillation_weight": {"first": 39.0625, "second": 10.0}}
