import json

import numpy as np
import pytest

from evenface.cli.main import main
from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.teachers import load_teacher


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


@pytest.fixture
def dataset(tmp_path, faces):
    folder = tmp_path / "faces"
    with ImageStoreWriter(folder) as writer:
        writer.append(faces)
    Manifest.from_columns(
        folder,
        index=np.arange(len(faces)),
        identity=[f"person-{i // 2}" for i in range(len(faces))],
        origin="synthetic",
        dataset="noise",
        licence="CC0-1.0",
    ).write(folder / "manifest.parquet")
    return folder


def test_info_tells_what_the_teacher_is(recogniser, capsys):
    code, out, _ = run(capsys, "teacher", "info", recogniser.path, "--order", "BGR", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["name"] == "toy"
    assert facts["embedding size"] == 6
    assert facts["fingerprint"] == load_teacher(recogniser.path, order="BGR").fingerprint
    code, out, _ = run(capsys, "teacher", "info", recogniser.path)
    assert code == 0
    assert "toy.onnx" in out


def test_embed_writes_a_cache_of_both_views(recogniser, dataset, faces, tmp_path, capsys):
    code, out, err = run(
        capsys, "teacher", "embed", recogniser.path, dataset, "--out", tmp_path / "cache"
    )
    assert code == 0
    assert "11 images × 2 views (original, flip), 6-d float32" in out
    assert "embed flip: 11/11" in err
    teacher = load_teacher(recogniser.path)
    cache = EmbeddingCache.open(
        tmp_path / "cache",
        teacher_fingerprint=teacher.fingerprint,
        image_fingerprint=Manifest.read(dataset).image_fingerprint,
    )
    np.testing.assert_allclose(cache.view(), teacher.embed(faces), rtol=1e-5)
    np.testing.assert_allclose(cache.view("flip"), teacher.embed(faces[:, :, ::-1]), rtol=1e-5)


def test_embed_refuses_the_cache_of_another_teacher(recogniser, dataset, tmp_path, capsys):
    command = ("teacher", "embed", recogniser.path, dataset, "--out", tmp_path / "cache")
    assert run(capsys, *command)[0] == 0
    code, _, err = run(capsys, *command, "--order", "BGR")
    assert code == 1
    assert "was made from other teacher" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nobody", "FACES", "--out", "OUT"], 2, "teacher 'nobody' is not recognised"),
        (["TOY", "FACES"], 2, "--out"),
        (["TOY", "FACES", "--out", "OUT", "--dtype", "int8"], 2, "int8"),
        (["TOY", "FACES", "--out", "OUT", "--order", "GBR"], 2, "GBR"),
        (["TOY", "FACES", "--out", "OUT", "--std", "0"], 2, "--std"),
        (["TOY", "FACES", "--out", "OUT", "--backbone", "x"], 2, "option 'backbone'"),
        (["TOY", "NOWHERE", "--out", "OUT"], 1, "no such manifest"),
    ],
)
def test_mistakes_are_told(recogniser, dataset, tmp_path, capsys, arguments, code, message):
    places = {
        "TOY": recogniser.path,
        "FACES": dataset,
        "OUT": tmp_path / "cache",
        "NOWHERE": tmp_path / "nowhere",
    }
    found, _, err = run(
        capsys, "teacher", "embed", *(places.get(argument, argument) for argument in arguments)
    )
    assert found == code
    assert message in err
    assert "Traceback" not in err
