"""Files of scores: both layouts, the join, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenface.data.labels.predictions import read_predictions
from evenface.data.labels.scores import IdentityScores, decide
from evenface.errors import DataError


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "scores.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_reference_layout(write) -> None:
    path = write(
        "0.7,0.1,0.1,0.1,0,data/African/m.01/1.jpg\n"
        "0.2,0.1,0.1,0.6,0,data/African/m.01/2.jpg\n"
        "0,0,0,0,1,m.02/1.jpg\n"
        "0,0,1,0,0,m.03/1.jpg\n"
    )
    scores, unmatched = read_predictions(path, ["m.01", "m.02", "m.09"])
    assert scores.classes == ("Caucasian", "Asian", "Indian", "African", "other")
    assert scores.identities == ("m.01", "m.02")
    assert scores.images.tolist() == [2, 1]
    np.testing.assert_allclose(scores.scores[0], [0.45, 0.1, 0.1, 0.35, 0])
    assert unmatched == ["m.03"]
    assert decide(scores, 0.4).labels.tolist() == ["Caucasian", None]  # "other" is no label
    assert decide(scores, 0.5).labels.tolist() == [None, None]


def test_columns_named_in_a_header(write) -> None:
    path = write("identity,east,path,west\np1,3,x,1\np1,1,y,1\np2,0,z,2\n")
    scores, unmatched = read_predictions(path, ["p1", "p2"])
    assert scores.classes == ("east", "west")
    np.testing.assert_allclose(scores.scores, [[0.625, 0.375], [0, 1]])
    assert unmatched == []


def test_group_and_identity_in_the_path(write) -> None:
    path = write("path,a,b\nx\\north\\p1\\1.jpg,1,0\nsouth/p1/1.jpg,0,1\np2/1.jpg,1,1\n")
    scores, unmatched = read_predictions(path, ["north/p1", "south/p1", "p2"])
    assert scores.identities == ("north/p1", "south/p1", "p2")
    assert scores.scores.tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    assert unmatched == []
    assert decide(scores, 0.5).labels.tolist() == ["a", "b", "a"]  # of equals the first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("path,a,b\n", "it has no lines"),
        ("0.1,0.2,p/1.jpg\n", "line 1: no header, and 3 cells"),
        ("name,a,b\n", "neither path nor identity"),
        ("path,a\np/1.jpg,1\n", "fewer than two classes"),
        ("path,a,a\n", "occurs twice"),
        ("path,a,\n", "a column has no name"),
        ("path,a,b\np/1.jpg,1\n", "line 2: 2 cells, expected 3"),
        ("path,a,b\np/1.jpg,1,x\n", "line 2: 'x' in column 'b' is no score"),
        ("path,a,b\np/1.jpg,1,-2\n", "'-2' in column 'b' is no score"),
        ("path,a,b\np/1.jpg,1,nan\n", "'nan' in column 'b' is no score"),
        ("path,a,b\np/1.jpg,0,0\n", "the scores sum to 0"),
        ("path,a,b\np/1.jpg,1,0\n\np/1.jpg,1,0\n", "line 4: 'p/1.jpg' is listed twice"),
        ("path,a,b\n1.jpg,1,0\n", "has no folder that names the identity"),
        ("path,a,b\nq/1.jpg,1,0\n", "none of its 1 identities is in the data set, e.g. 'q'"),
        (b"path,a,b\np/\xff.jpg,1,0\n", "no CSV text"),
        ('path,a,b\n"p/1.jpg,1,0\n', "no CSV text"),
    ],
)
def test_what_cannot_be_read(write, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_predictions(write(text), ["p"])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_predictions(tmp_path / "gone.csv", ["p"])


def test_selecting_identities() -> None:
    scores = IdentityScores(
        ("a", "b"), ("x", "y"), np.array([[0.9, 0.1], [0.2, 0.8]]), np.arange(2)
    )
    assert scores.select(np.array([False, True])).identities == ("y",)
