"""evenface gallery: enrolled once, kept, added to."""

from __future__ import annotations

import json
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evenface import gallery as galleries
from evenface.cli.main import main
from evenface.errors import DataError, UsageError
from evenface.lock import FolderLock
from evenface.recogniser import Recogniser
from toy_onnx import write_recogniser


@pytest.fixture
def recogniser(tmp_path):
    return Recogniser.load(write_recogniser(tmp_path / "toy.onnx").path)


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


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return done.value.code, captured.out, captured.err


def test_people_are_added_listed_identified_and_removed(capsys, tmp_path, album):
    file, model = tmp_path / "staff.parquet", ("--model", tmp_path / "toy.onnx")
    write_recogniser(tmp_path / "toy.onnx")
    extra = tmp_path / "extra.png"
    (album / "cy" / "1.png").rename(extra)
    code, _, err = run(capsys, "gallery", "add", file, album, *model)
    assert code == 0
    assert "5 photographs of 3 people added" in err
    code, _, err = run(capsys, "gallery", "add", file, extra, "--person", "cy", *model)
    assert code == 0
    assert json.loads(run(capsys, "gallery", "list", file, "--json")[1]) == {
        "ada": 2, "bo": 2, "cy": 2,
    }  # fmt: skip
    probe = ("identify", album / "bo" / "1.png", *model, "--json", "--gallery")
    kept, folder = (json.loads(run(capsys, *probe, of)[1]) for of in (file, album))
    assert kept["candidates"][0]["person"] == "bo"
    assert kept["candidates"][0] == folder["candidates"][0]
    assert run(capsys, "gallery", "remove", file, "bo")[0] == 0
    assert run(capsys, "gallery", "list", file)[1].splitlines() == ["ada: 2", "cy: 2"]
    assert "bo" not in {c["person"] for c in json.loads(run(capsys, *probe, file)[1])["candidates"]}
    columns = set(pq.read_table(file).column_names)
    assert columns == {"path", "embedding", "remarks"}  # no photographs


def test_the_same_photograph_is_enrolled_anew(recogniser, tmp_path, album):
    file = tmp_path / "g.parquet"
    assert galleries.add(recogniser, file, album).replaced == 0
    done = galleries.add(recogniser, file, album)
    assert (done.images, done.replaced, done.people) == (6, 6, ["ada", "bo", "cy"])
    assert galleries.people(file) == {"ada": 2, "bo": 2, "cy": 2}


def test_what_fails_leaves_the_gallery_as_it_was(recogniser, tmp_path, album):
    file = tmp_path / "g.parquet"
    galleries.add(recogniser, file, album / "ada", person="ada")
    before = file.read_bytes()
    other = Recogniser.load(write_recogniser(tmp_path / "other.onnx", seed=7).path)
    with pytest.raises(DataError, match="cannot be compared with those of other"):
        galleries.add(other, file, album)
    (album / "bo" / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="--skip-bad"):
        galleries.add(recogniser, file, album)
    with pytest.raises(DataError, match="nobody called 'zoe'"):
        galleries.remove(file, ["ada", "zoe"])
    with pytest.raises(UsageError, match="cannot name a person"):
        galleries.add(recogniser, file, album, person="a/b")
    with pytest.raises(UsageError, match=r"name a \.parquet file"):
        galleries.add(recogniser, tmp_path / "g.csv", album)
    assert file.read_bytes() == before
    done = galleries.add(recogniser, file, album, skip_bad=True)
    assert [name for name, _ in done.skipped] == [str(album / "bo" / "2.png")]
    with pytest.raises(DataError, match="no such file"):
        galleries.people(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(DataError, match="not a table"):
        galleries.people(tmp_path / "text.parquet")


def test_an_emptied_gallery_says_so(recogniser, tmp_path, album):
    from evenface.embedding_table import rank_gallery

    file = tmp_path / "g.parquet"
    galleries.add(recogniser, file, album / "ada", person="ada")
    assert galleries.remove(file, ["ada"]) == 2
    assert galleries.people(file) == {}
    with pytest.raises(DataError, match="nobody is in this gallery"):
        rank_gallery(recogniser, album / "ada" / "0.png", file)
    assert galleries.add(recogniser, file, album).images == 6  # of the same model still


def test_processes_take_turns(recogniser, tmp_path, album, monkeypatch):
    file = tmp_path / "g.parquet"
    people = sorted(album.iterdir())
    threads = [
        threading.Thread(
            target=galleries.add, args=(recogniser, file, of), kwargs={"person": of.name}
        )
        for of in people
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert galleries.people(file) == {"ada": 2, "bo": 2, "cy": 2}
    monkeypatch.setattr(galleries, "_PATIENCE", 0.0)
    with (
        FolderLock(tmp_path, name=".g.parquet.lock"),
        pytest.raises(UsageError, match=r"is changing g\.parquet"),
    ):
        galleries.remove(file, ["ada"])
