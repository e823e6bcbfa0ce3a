"""Published verification sets as a study's tests: kept with their own pairs and groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bcolz_files import write_carray
from evaluate.made_faces import PixelModel, person, write_rfw, write_set
from evenface.data.manifest import Manifest
from evenface.data.overlap import find_overlap
from evenface.data.published_sets import find_published_set
from evenface.data.verification_sets import prepare_verification_set
from evenface.errors import DataError, UsageError
from evenface.evaluate import Protocol, evaluate_model
from evenface.evaluate.prepared_sets import write_protocol
from evenface.evaluate.protocol_specs import tasks_of
from evenface.evaluate.tasks import Settings
from evenface.study import layout
from evenface.study.benchmarks import draw_benchmarks
from evenface.study.faces import StudyFaces, obtain
from evenface.study.published import keep_verification_set
from evenface.study.spec import load_study, own_faces
from evenface.study.stage_log import StageLog

KEEP = {"simulated": False, "folds": 10, "seed": 0}


@pytest.fixture
def of_groups(tmp_path) -> Path:
    """A folder of two groups, as RFW comes in .bin files."""
    folder = tmp_path / "rfw"
    folder.mkdir()
    for number, group in enumerate(("african", "asian")):
        write_set(folder / f"{group}_test.bin", first=100 * number)
    return folder


def test_a_kept_set_gives_the_results_of_its_file(of_groups, tmp_path):
    keep_verification_set(str(of_groups), "rfw", tmp_path / "kept", **KEEP)
    manifest = Manifest.read(tmp_path / "kept")
    protocol = Protocol.read(tmp_path / "kept" / "protocol.parquet")
    kept = evaluate_model(PixelModel(), manifest, protocol, replicates=100, seed=0)
    (task,) = tasks_of(str(of_groups))
    model = PixelModel()
    embeddings = model.embed(task.faces.images(task.rows))
    embeddings += model.embed(task.faces.images(task.rows)[:, :, ::-1])
    direct = task.measure(embeddings, Settings(replicates=100), model.name)
    assert {g: r.accuracy for g, r in kept.groups.items()} == {
        g: r.accuracy for g, r in direct.groups.items()
    }
    assert list(kept.groups) == ["african", "asian"]
    assert protocol.group_by == ("group",)
    assert set(np.unique(manifest.groups())) == {"african", "asian"}


def test_a_set_without_groups_has_none(tmp_path):
    write_set(tmp_path / "lfw.bin")
    keep_verification_set(str(tmp_path / "lfw.bin"), "lfw", tmp_path / "kept", **KEEP)
    assert Manifest.read(tmp_path / "kept").attributes == ()
    assert Protocol.read(tmp_path / "kept" / "protocol.parquet").group_by == ()


def test_several_sets_at_once_are_refused(tmp_path):
    for name in ("lfw", "cplfw"):
        write_set(tmp_path / f"{name}.bin")
    with pytest.raises(UsageError, match=r"holds 2 verification sets \(cplfw, lfw\)"):
        keep_verification_set(str(tmp_path), "sets", tmp_path / "kept", **KEEP)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "lfw.bin").write_bytes(b"no pickle")
    with pytest.raises(DataError, match=r"lfw\.bin"):
        keep_verification_set(str(tmp_path / "lfw.bin"), "lfw", tmp_path / "kept", **KEEP)


@pytest.mark.parametrize(("name", "students"), [("paper", 32), ("paper-full", 60)])
def test_the_paper_declares_its_grid(name, students):
    from evenface.study.cells import cells

    spec = load_study(name)
    grid = cells(spec)
    assert len(grid) == students
    assert len({cell.id for cell in grid}) == students
    plain = {(c.set, *c.levels.values()) for c in grid if c.teacher is None}
    assert plain == {(c.set, *c.levels.values()) for c in grid if c.teacher}
    assert load_study(name, {"variant": "faithful"}).recipe_name("a-{variant}") == "a-faithful"
    published = [c for c in grid if c.note == "in the reference's configuration"]
    assert {(c.set, *c.levels.values()) for c in published} == {
        ("synthetic", "iresnet50", "adaface")
    }
    assert {c.note for c in grid if c not in published} == {"ours"}
    adaface = {c.set for c in grid if c.levels == {"backbone": "iresnet50", "head": "adaface"}}
    assert adaface == set(spec.training_sets)


@pytest.fixture
def prepared(tmp_path) -> Path:
    """A small RFW as ``evenface data verification-set`` prepares it."""
    published = find_published_set(write_rfw(tmp_path / "RFW"))
    folder = tmp_path / "data" / "rfw"
    write_protocol(
        prepare_verification_set(published, folder, dataset="rfw", licence="none"), folder
    )
    return folder


def test_a_study_keeps_the_pairs_of_a_prepared_folder(prepared, tmp_path):
    given = own_faces(test=prepared)
    assert given["faces.test"] == {"kind": "protocol", "spec": str(prepared)}
    spec = load_study("quick", given)
    log = StageLog(tmp_path / "study")
    manifest = obtain(spec.faces.test, "test", spec, log)
    assert set(manifest.identities()) == set(Manifest.read(prepared).identities())
    faces = StudyFaces(manifest, manifest, manifest, {}, None, {})
    (benchmark,) = draw_benchmarks(spec, faces, log)
    assert benchmark.describe().pairs == "published"
    assert benchmark.statement.startswith("Published pairs.")
    kept, published = benchmark.protocol, Protocol.read(prepared / "protocol.parquet")
    for field in ("a", "b", "genuine", "group", "fold"):
        np.testing.assert_array_equal(
            getattr(kept.fold_pairs, field), getattr(published.fold_pairs, field)
        )


def test_a_study_reads_a_bcolz_array_again_when_its_list_changes(tmp_path):
    pytest.importorskip("numcodecs", reason="the extra bcolz is not installed")
    pictures = [person(k // 2, k % 2) for k in range(8)]
    write_carray(tmp_path / "lfw", pictures, [True, False, True, False])
    given = own_faces(test=tmp_path / "lfw")
    assert given["faces.test"] == {"kind": "protocol", "spec": str(tmp_path / "lfw")}
    spec = load_study("quick", given | {"evaluation.folds": 2})
    log = StageLog(tmp_path / "study")
    for genuine in ([True, False, True, False], [False, True, True, False]):
        np.save(tmp_path / "lfw_list.npy", np.array(genuine))
        obtain(spec.faces.test, "test", spec, log)
        kept = Protocol.read(log.folder / layout.faces("test") / "protocol.parquet")
        assert kept.fold_pairs.genuine.tolist() == genuine


def test_a_study_draws_new_pairs_by_name(prepared, tmp_path):
    settings = {"evaluation.pairs_per_group": 40, "faces.group_by": "ethnicity"}
    given = own_faces(test=Path(f"draw:{prepared}"))
    assert given["faces.test"] == {"kind": "protocol", "spec": f"draw:{prepared}"}
    spec = load_study("quick", given | settings)
    log = StageLog(tmp_path / "study")
    manifest = obtain(spec.faces.test, "test", spec, log)
    faces = StudyFaces(manifest, manifest, manifest, {}, None, {})
    (benchmark,) = draw_benchmarks(spec, faces, log)
    assert benchmark.describe().pairs == "drawn"
    assert benchmark.title == "pairs drawn from rfw"
    assert benchmark.protocol.groups == ("African", "Asian")
    assert len(benchmark.protocol.fold_pairs) == 2 * 40


def test_a_folder_with_pairs_is_no_folder_of_test_faces(prepared, tmp_path):
    spec = load_study(
        "quick", {"faces.test": {"kind": "folder", "path": str(prepared), "origin": "real"}}
    )
    with pytest.raises(UsageError, match=r"holds pairs of its own.*draw:"):
        obtain(spec.faces.test, "test", spec, StageLog(tmp_path / "study"))


def test_people_of_pairs_files_keep_their_names(prepared, tmp_path):
    keep_verification_set(str(tmp_path / "RFW"), "test", tmp_path / "kept", **KEEP)
    names = {name.partition(":")[2] for name in Manifest.read(tmp_path / "kept").identities()}
    assert names == set(Manifest.read(prepared).identities())


def test_a_few_pairs_of_each_group_for_a_rehearsal(of_groups, tmp_path):
    whole = keep_verification_set(str(of_groups), "rfw", tmp_path / "few", few=True, **KEEP)
    (task,) = tasks_of(str(of_groups))
    assert whole.fingerprint == task.protocol.fingerprint
    manifest = Manifest.read(tmp_path / "few")
    protocol = Protocol.read(tmp_path / "few" / "protocol.parquet")
    pairs = protocol.fold_pairs
    assert protocol.groups == ("african", "asian")
    assert set(pairs.fold) == {0, 1}
    for group in (0, 1):
        for fold in (0, 1):
            for genuine in (True, False):
                chosen = (pairs.group == group) & (pairs.fold == fold)
                assert 1 <= (chosen & (pairs.genuine == genuine)).sum() <= 2
    assert len(manifest) == len(protocol.rows) < len(whole.rows)
    # The images are those of the whole set's pairs.
    images = task.faces.images(np.arange(len(task.faces)))
    for a, b, genuine in zip(pairs.a, pairs.b, pairs.genuine, strict=True):
        first, second = manifest.images([a, b])
        rows = [
            (p, q)
            for p, q, same in zip(
                whole.fold_pairs.a, whole.fold_pairs.b, whole.fold_pairs.genuine, strict=True
            )
            if same == genuine and (images[p] == first).all() and (images[q] == second).all()
        ]
        assert rows
    evaluate_model(PixelModel(), manifest, protocol, replicates=100, seed=0)


def test_people_without_names_are_nobody_elses_number(tmp_path):
    write_set(tmp_path / "lfw.bin")
    keep_verification_set(str(tmp_path / "lfw.bin"), "lfw", tmp_path / "kept", **KEEP)
    kept = Manifest.read(tmp_path / "kept")
    numbered = kept.with_column("identity", [str(i) for i in kept.labels()])
    assert find_overlap(numbered, kept).remove == []
