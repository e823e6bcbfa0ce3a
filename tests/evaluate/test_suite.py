"""Several models on several protocols, and what the command does with them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_faces import PixelModel, write_set

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate import Evaluation, evaluate_model, protocol_from_manifest
from evenface.evaluate.embedding_files import read_embeddings
from evenface.evaluate.identification import IdentificationResult
from evenface.evaluate.protocol_specs import ProtocolOptions, tasks_of
from evenface.evaluate.subjects import ModelSubject, TableSubject
from evenface.evaluate.suite import folder_name, run_suite
from evenface.evaluate.tasks import Settings

QUICK = Settings(replicates=5)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    folder = tmp_path / "sets"
    folder.mkdir()
    write_set(folder / "lfw.bin")
    write_set(folder / "agedb_30.bin", first=50)
    return folder


@pytest.fixture
def dataset(two_groups: Manifest, tmp_path: Path) -> Path:
    split = np.where(np.arange(len(two_groups)) % 4 < 2, "gallery", "probe")
    two_groups.with_column("split", split).write(tmp_path / "set.parquet")
    return tmp_path / "set.parquet"


def test_each_image_is_embedded_once_per_view(dataset: Path, tmp_path: Path) -> None:
    tasks = [
        *tasks_of(str(dataset), ProtocolOptions(pairs_per_group=40)),
        *tasks_of(f"identify:{dataset}"),
    ]
    model = PixelModel()
    entries = run_suite([ModelSubject(model)], tasks, tmp_path / "out", settings=QUICK)
    assert [entry.reused for entry in entries] == [False, False]
    times = Counter(model.seen)
    # 192 images and their mirror images.
    assert len(times) == 384
    assert set(times.values()) == {1}


def test_what_is_done_is_not_done_again(sets: Path, tmp_path: Path) -> None:
    tasks = tasks_of(str(sets))
    out = tmp_path / "out"
    first = run_suite([ModelSubject(PixelModel())], tasks, out, settings=QUICK)
    again = PixelModel()
    second = run_suite([ModelSubject(again)], tasks, out, settings=QUICK)
    assert all(entry.reused for entry in second)
    assert not again.seen
    assert [e.result.model_dump(mode="json") for e in first] == [
        e.result.model_dump(mode="json") for e in second
    ]
    # Other settings: anew, from the embeddings that are kept.
    third = run_suite([ModelSubject(again)], tasks, out, settings=Settings(replicates=6))
    assert not any(entry.reused for entry in third)
    assert not again.seen
    # A damaged result is made again.
    (out / "pixels" / "lfw" / "evaluation.json").write_text("{}")
    fourth = run_suite([ModelSubject(again)], tasks, out, settings=Settings(replicates=6))
    assert {e.protocol: e.reused for e in fourth} == {"agedb_30": True, "lfw": False}


def test_an_interrupted_run_goes_on(sets: Path, tmp_path: Path) -> None:
    class Failing(PixelModel):
        def embed(self, images: np.ndarray) -> np.ndarray:
            if len(self.seen) > 90:
                raise KeyboardInterrupt
            return super().embed(images)

    tasks = tasks_of(str(sets))
    with pytest.raises(KeyboardInterrupt):
        run_suite([ModelSubject(Failing())], tasks, tmp_path / "a", settings=QUICK)
    model = PixelModel()
    resumed = run_suite([ModelSubject(model)], tasks, tmp_path / "a", settings=QUICK)
    whole = run_suite([ModelSubject(PixelModel())], tasks, tmp_path / "b", settings=QUICK)
    assert [entry.reused for entry in resumed] == [True, False]
    assert len(model.seen) < 80
    for one, other in zip(resumed, whole, strict=True):
        assert one.result.model_dump(mode="json") == other.result.model_dump(mode="json")


def test_results_of_two_settings_are_never_mixed(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = tasks_of(str(sets / "lfw.bin"))
    subject = ModelSubject(PixelModel())
    run_suite([subject], tasks, tmp_path, settings=QUICK)

    def interrupted(self: Evaluation, folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_suite([subject], tasks, tmp_path, settings=Settings(replicates=7))
    (entry,) = run_suite([subject], tasks, tmp_path, settings=QUICK)
    assert not entry.reused


def test_embeddings_of_a_file_are_evaluated_as_the_model_that_made_them(
    sets: Path, tmp_path: Path
) -> None:
    (task,) = tasks_of(str(sets / "lfw.bin"))
    model = PixelModel()
    images = task.faces.images(task.order)
    values = model.embed(images) + model.embed(np.ascontiguousarray(images[:, :, ::-1]))
    np.save(tmp_path / "made.npy", values)
    table = TableSubject(read_embeddings(tmp_path / "made.npy"))
    entries = run_suite([ModelSubject(model), table], [task], tmp_path / "out", settings=QUICK)
    first, second = (entry.result for entry in entries)
    assert isinstance(first, Evaluation)
    assert isinstance(second, Evaluation)
    assert second.model == "made"
    assert first.groups["all"].model_dump() == second.groups["all"].model_dump()


def test_summaries(sets: Path, tmp_path: Path) -> None:
    run_suite([ModelSubject(PixelModel())], tasks_of(str(sets)), tmp_path, settings=QUICK)
    with open(tmp_path / "summary.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["protocol"] for row in rows} == {"lfw", "agedb_30"}
    accuracy = next(r for r in rows if (r["protocol"], r["measure"]) == ("lfw", "accuracy"))
    result = Evaluation.read(tmp_path / "pixels" / "lfw")
    assert float(accuracy["value"]) == result.groups["all"].accuracy.value
    text = (tmp_path / "summary.md").read_text()
    assert "## lfw" in text
    assert "| pixels |" in text


def test_nothing_to_do_and_double_names(sets: Path, tmp_path: Path) -> None:
    tasks = tasks_of(str(sets))
    with pytest.raises(UsageError, match="nothing to evaluate"):
        run_suite([], tasks, tmp_path)
    with pytest.raises(UsageError, match="two models are called 'pixels'"):
        run_suite([ModelSubject(PixelModel())] * 2, tasks, tmp_path)
    assert folder_name("../a b/c:d") == "a_b_c_d"
    assert folder_name("..") == "unnamed"


def test_a_plain_function_is_a_model(two_groups: Manifest) -> None:
    protocol = protocol_from_manifest(two_groups, pairs_per_group=40)
    model = PixelModel()
    results = [
        evaluate_model(given, two_groups, protocol, replicates=0) for given in (model, model.embed)
    ]
    assert results[1].model == "embed"
    assert results[0].groups == results[1].groups


# --- the command ---------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working folder."""
    name = f"model_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "def embed(images):\n    return images[:, 8::16, 8::16].reshape(len(images), -1) - 127.5\n"
    )
    monkeypatch.chdir(tmp_path)
    return f"{name}:embed"


def test_functions_on_several_protocols(
    sets: Path, dataset: Path, tmp_path: Path, function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = (function, "--protocol", sets, "--protocol", f"identify:{dataset}", "--out", out)
    assert run(*arguments, "--replicates", 5, "--check-colours") == 0
    printed = capsys.readouterr()
    assert "## lfw" in printed.out
    assert "it gets RGB" in printed.err
    assert "channel order on agedb_30: d′" in printed.err
    assert Evaluation.read(out / "embed" / "lfw").groups["all"].accuracy.value > 0.9
    found = IdentificationResult.read(out / "embed" / "identify-set")
    assert found.simulated
    assert "SIMULATED" in (out / "summary.md").read_text()
    assert json.loads((out / "embed" / "model.json").read_text())["function"].endswith(":embed")


def test_one_identification_is_shown(
    dataset: Path, tmp_path: Path, function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = f"identify:{dataset}"
    assert run(function, "--protocol", protocol, "--out", tmp_path / "o", "--replicates", 5) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("SIMULATED")
    assert "rank-1 rate" in printed
    assert "every probe's person is in the gallery" in printed


def test_a_table_of_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{rng.normal(2 * (k % 2)):.4f},{k % 2},{'ab'[k % 4 // 2]}" for k in range(200)]
    path = tmp_path / "vendor.csv"
    path.write_text("\n".join(["score,genuine,group", *rows]))
    assert run(path, "--out", tmp_path / "out", "--replicates", 5) == 0
    assert "vendor on" in capsys.readouterr().out
    assert Evaluation.read(tmp_path / "out").bootstrap.unit == "pair"
    assert run(path, "--distance", "--replicates", 5, "--json") == 0
    (flipped,) = json.loads(capsys.readouterr().out)
    assert flipped["groups"]["a"]["auc"]["value"] < 0.5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("sface",), 2, "give MODEL and DATASET"),
        (("a", "b", "c"), 2, "give MODEL and DATASET"),
        (("sface", "--protocol", "x.bin"), 2, "--protocol needs --out"),
        (("nothing:there", "--protocol", "x", "--out", "o"), 2, "cannot import 'nothing'"),
        (("os:nothing", "--protocol", "x", "--out", "o"), 2, "no attribute 'nothing'"),
        (("os:sep", "--protocol", "x", "--out", "o"), 2, "os:sep is a str"),
        (("none.npy", "--protocol", "x", "--out", "o"), 1, "none.npy: no such file"),
        (("a.csv", "b.csv", "--distance", "--cosine"), 2, "exclude each other"),
        (("a.csv", "sface"), 2, "need neither model nor protocol"),
        (("a.csv",), 1, "a.csv: no such file"),
    ],
)
def test_bad_requests(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == code
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_protocol_of_another_dataset(dataset: Path, make_manifest, tmp_path: Path) -> None:
    (task,) = tasks_of(str(dataset))
    task.write(tmp_path)
    path = tmp_path / "protocol.parquet"
    (again,) = tasks_of(f"{path}@{dataset}")
    assert again.fingerprint == task.fingerprint
    make_manifest({"a": [4] * 20}).write(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="drawn from another manifest"):
        tasks_of(f"{path}@{tmp_path / 'other.parquet'}")
    with pytest.raises(UsageError, match="name the data set"):
        tasks_of(str(path))
