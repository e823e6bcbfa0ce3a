"""evenface verify, embed and identify on the command line."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evenface.cli.main import main
from evenface.export.ship import export_onnx
from toy_onnx import write_recogniser
from untrained_run import write_faces, write_run


@pytest.fixture
def command(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


@pytest.fixture
def toy(tmp_path):
    return write_recogniser(tmp_path / "toy.onnx")


@pytest.fixture
def album(tmp_path):
    """Two photographs of each of three people: patterns with noise."""
    random = np.random.default_rng(0)
    for person in ("ada", "bo", "cy"):
        (tmp_path / "album" / person).mkdir(parents=True)
        pattern = random.integers(40, 216, (4, 4, 3)).repeat(28, axis=0).repeat(28, axis=1)
        for number in range(2):
            pixels = pattern + random.integers(-20, 20, (112, 112, 3))
            path = tmp_path / "album" / person / f"{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return tmp_path / "album"


def test_two_photographs_are_compared(command, toy, album):
    first, second = album / "ada" / "0.png", album / "ada" / "1.png"
    code, out, _ = command("verify", first, second, "--model", toy.path, "--threshold", "0.9")
    assert code == 0
    assert ": match at threshold 0.9000" in out
    assert "not known" in out
    code, out, _ = command("verify", first, second, "--model", toy.path, "--json")
    found = json.loads(out)
    assert 0.9 < found["score"] <= 1
    assert (found["match"], found["operating_point"]) == (None, None)


def test_an_audited_model_decides_and_says_how_often_it_errs(command, album, tmp_path):
    from evenface.data.manifest import Manifest

    audit = Manifest.read(write_faces(tmp_path / "faces"))
    report = export_onnx(write_run(tmp_path / "student"), tmp_path, audit=audit, replicates=5)
    model = tmp_path / report.file
    code, out, _ = command(
        "verify", album / "ada" / "0.png", album / "bo" / "0.png", "--model", model
    )
    assert code == 0
    assert "at threshold" in out
    assert "SIMULATED" in out
    for group in ("north", "south"):
        assert f"{group}: " in out


def test_a_folder_becomes_a_table_of_embeddings(command, toy, album, tmp_path):
    table = tmp_path / "out" / "album.parquet"
    code, _, err = command("embed", album, "--out", table, "--model", toy.path)
    assert code == 0, err
    read = pq.read_table(table)
    assert read.column("path").to_pylist()[:2] == ["ada/0.png", "ada/1.png"]
    vectors = np.array(read.column("embedding").to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > cosines[0, 2:].max()


def test_a_bad_photograph_stops_unless_it_may_be_left_out(command, toy, album, tmp_path):
    (album / "bo" / "2.png").write_bytes(b"no picture")
    arguments = ("embed", album, "--out", tmp_path / "t.parquet", "--model", toy.path)
    code, _, err = command(*arguments)
    assert code == 1
    assert "bo/2.png: not an image of a known format" in err
    assert not (tmp_path / "t.parquet").exists()
    code, _, err = command(*arguments, "--skip-bad")
    assert code == 0
    assert "6 embeddings, 1 left out" in err


def test_a_person_is_found_in_a_gallery(command, toy, album):
    probe = album / "bo" / "1.png"
    code, out, _ = command("identify", probe, "--gallery", album, "--model", toy.path)
    assert code == 0
    assert out.startswith("1. bo: cosine 1.0000")
    assert "may still be a stranger" in out
    code, out, _ = command(
        "identify", probe, "--gallery", album, "--model", toy.path, "--json", "--rank", 2
    )
    assert json.loads(out)[0]["person"] == "bo"
    assert len(json.loads(out)) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("embed", "{empty}", "--out", "{empty}/x.parquet"), "no photographs in it"),
        (("embed", "{empty}", "--out", "{empty}/x.csv"), ".parquet"),
        (("identify", "{empty}/nobody.png", "--gallery", "{empty}"), "no such file"),
        (("verify", "{empty}", "{empty}"), "no such file"),
    ],
)
def test_what_is_missing_is_said_in_a_line(command, toy, tmp_path, arguments, expected):
    (tmp_path / "empty").mkdir()
    filled = [a.format(empty=tmp_path / "empty") for a in arguments]
    code, _, err = command(*filled, "--model", toy.path)
    assert code in (1, 2)
    assert expected in err
    assert "Traceback" not in err
