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
    model, decision = out.splitlines()
    assert model == "model: toy. Error on photographs: not measured."
    assert ": match (threshold 0.9 as given, its error rates are not known)" in decision
    code, out, _ = command("verify", first, second, "--model", toy.path, "--json")
    found = json.loads(out)
    assert 0.9 < found["score"] <= 1
    assert (found["match"], found["operating_point"], found["fmr"]) == (None, None, None)
    assert found["model"]["name"] == "toy"
    assert len(found["model"]["fingerprint"]) == 64


def test_an_audited_model_decides_and_says_how_often_it_errs(command, album, tmp_path):
    from evenface.data.manifest import Manifest

    audit = Manifest.read(write_faces(tmp_path / "faces"))
    report = export_onnx(write_run(tmp_path / "student"), tmp_path, audit=audit, replicates=5)
    model = tmp_path / report.file
    code, out, _ = command(
        "verify", album / "ada" / "0.png", album / "bo" / "0.png", "--model", model
    )
    assert code == 0
    assert "synthetic faces; not valid for photographs" in out
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
    assert out.splitlines()[1].startswith("1. bo: cosine 1.0000")
    assert "may still be a stranger" in out
    code, out, _ = command(
        "identify", probe, "--gallery", album, "--model", toy.path, "--json", "--rank", 2
    )
    found = json.loads(out)
    assert found["candidates"][0] == {"person": "bo", "score": pytest.approx(1), "match": None}
    assert len(found["candidates"]) == 2
    assert found["model"]["name"] == "toy"


def test_a_table_of_embeddings_is_a_gallery(command, toy, album, tmp_path):
    probe, table = album / "bo" / "1.png", tmp_path / "album.parquet"
    assert command("embed", album, "--out", table, "--model", toy.path)[0] == 0
    arguments = ("--model", toy.path, "--threshold", "0.9", "--json")
    _, of_table, _ = command("identify", probe, "--gallery", table, *arguments)
    _, of_folder, _ = command("identify", probe, "--gallery", album, *arguments)
    assert json.loads(of_table) == json.loads(of_folder)
    assert [c["match"] for c in json.loads(of_table)["candidates"]] == [True, False, False]


def test_a_table_of_another_model_is_refused(command, toy, album, tmp_path):
    probe, table = album / "bo" / "1.png", tmp_path / "album.parquet"
    other = write_recogniser(tmp_path / "other.onnx", seed=7)
    assert command("embed", album, "--out", table, "--model", other.path)[0] == 0
    code, _, err = command("identify", probe, "--gallery", table, "--model", toy.path)
    assert code == 1
    assert "holds embeddings of other (fingerprint " in err
    assert "cannot be compared with those of toy (fingerprint " in err
    pq.write_table(pq.read_table(table).replace_schema_metadata(), table)
    _, _, err = command("identify", probe, "--gallery", table, "--model", other.path)
    assert "does not say which model made it" in err
    table.write_bytes(b"no table")
    _, _, err = command("identify", probe, "--gallery", table, "--model", other.path)
    assert "not a table of 'evenface embed'" in err


def test_a_bad_photograph_of_a_gallery_may_be_left_out(command, toy, album):
    (album / "bo" / "2.png").write_bytes(b"no picture")
    arguments = ("identify", album / "bo" / "1.png", "--gallery", album, "--model", toy.path)
    code, _, err = command(*arguments)
    assert code == 1
    assert "bo/2.png: not an image of a known format. Leave such files out with --skip-bad" in err
    code, out, err = command(*arguments, "--skip-bad")
    assert code == 0
    assert "1. bo" in out
    assert "left out: " in err
    code, out, _ = command(*arguments, "--skip-bad", "--json")
    assert [of["file"] for of in json.loads(out)["skipped"]] == [str(album / "bo" / "2.png")]


def test_a_gallery_of_bad_photographs_is_an_error(command, toy, album, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    probe = album / "bo" / "1.png"
    for arguments in (
        ("identify", probe, "--gallery", tmp_path / "bad"),
        ("embed", tmp_path / "bad", "--out", tmp_path / "x.parquet"),
    ):
        code, _, err = command(*arguments, "--model", toy.path, "--skip-bad")
        assert code == 1
        assert "none of its 1 photographs can be embedded" in err
    assert not (tmp_path / "x.parquet").exists()


def test_the_exit_code_tells_match_from_no_match(command, toy, album):
    same = ("verify", album / "ada" / "0.png", album / "ada" / "1.png", "--model", toy.path)
    other = ("verify", album / "ada" / "0.png", album / "bo" / "0.png", "--model", toy.path)
    at = ("--threshold", "0.9")
    assert command(*same, *at, "--exit-code")[0] == 0
    assert command(*other, *at, "--exit-code")[0] == 3
    assert command(*other, *at, "--exit-code", "--json")[0] == 3
    assert command(*other, *at)[0] == 0
    code, _, err = command(*same, "--exit-code")
    assert code == 2
    assert "no threshold of toy is known" in err
    found = ("identify", album / "bo" / "1.png", "--gallery", album, "--model", toy.path)
    assert command(*found, *at, "--exit-code")[0] == 0
    (album / "bo" / "0.png").unlink()
    (album / "bo" / "1.png").rename(album / "probe.png")
    unknown = ("identify", album / "probe.png", "--gallery", album / "cy", "--model", toy.path)
    assert command(*unknown, *at, "--exit-code")[0] == 3


def test_the_threshold_is_of_an_fmr_or_given(command, album):
    pair = (album / "ada" / "0.png", album / "ada" / "1.png", "--model", "small")
    code, _, err = command("verify", *pair, "--fmr", "1e-3", "--threshold", "0.5")
    assert code == 2
    assert "not both" in err
    code, _, err = command("verify", *pair, "--fmr", "1e-4")
    assert code == 2
    assert "small: no threshold is known for FMR 1e-4; known: 1e-3" in err
    code, out, _ = command("verify", *pair, "--fmr", "1e-3")
    assert code == 0
    assert "threshold 0.685 from renders; not valid for photographs" in out


@pytest.mark.parametrize("name", ["verify", "embed", "identify"])
def test_the_first_line_names_the_model_and_how_to_get_a_better_one(
    command, album, tmp_path, monkeypatch, name
):
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(tmp_path / "cache"))
    probe = album / "ada" / "0.png"
    arguments = {
        "verify": (probe, probe),
        "embed": (album, "--out", tmp_path / "t.parquet"),
        "identify": (probe, "--gallery", album),
    }[name]
    code, out, err = command(name, *arguments)
    assert code == 0
    line = (err if name == "embed" else out).splitlines()[0]
    assert line.startswith("model: small ")
    assert "45 % of genuine pairs rejected" in line
    assert line.endswith("evenface assets get sface")
    assert not (tmp_path / "cache").exists()


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
