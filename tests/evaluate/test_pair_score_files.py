"""Scores of a set's pairs from elsewhere: every pair has exactly one, whatever the order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenface import Protocol
from evenface.errors import DataError
from evenface.evaluate import evaluate_embeddings
from evenface.evaluate.evaluation import PairScores, evaluate_pair_scores
from evenface.evaluate.pair_score_files import read_pair_scores

PEOPLE = np.repeat(np.arange(8), 3)
NAMES = [f"p{person}/{row}.jpg" for row, person in enumerate(PEOPLE)]
ORDER = np.arange(len(PEOPLE))


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return Protocol.from_arrays(PEOPLE, [f"g{person % 2}" for person in PEOPLE], folds=2)


@pytest.fixture(scope="module")
def unit() -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(8, 6))
    values = centres[PEOPLE] + 0.8 * np.random.default_rng(1).normal(size=(len(PEOPLE), 6))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def rows_of(unit: np.ndarray, called) -> list[tuple[str, str, float]]:
    """Every two images, the later first."""
    count = len(unit)
    return [
        (called(b), called(a), float(unit[a] @ unit[b]))
        for a in range(count)
        for b in range(a + 1, count)
    ]


def write(path: Path, rows) -> Path:
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(["image1,image2,score", *lines]), encoding="utf-8")
    return path


def test_cosines_by_name_or_number_give_the_evaluation_of_the_embeddings(tmp_path, protocol, unit):
    by_name = write(tmp_path / "a.csv", rows_of(unit, lambda row: NAMES[row]))
    bare = write(tmp_path / "b.csv", rows_of(unit, lambda row: NAMES[row].removesuffix(".jpg")))
    by_number = tmp_path / "c.parquet"
    columns = zip(*rows_of(unit, lambda row: row), strict=True)
    pq.write_table(pa.table(list(columns), names=["image1", "image2", "score"]), by_number)
    expected = evaluate_embeddings(unit, protocol, replicates=50, detail=False)
    for file, names in ((by_name, NAMES), (bare, NAMES), (by_number, None)):
        scores = read_pair_scores(file).of_protocol(protocol, ORDER, names, cosine=True)
        found = evaluate_pair_scores(scores, protocol, replicates=50, detail=False)
        for group, ours in found.groups.items():
            theirs = expected.groups[group]
            assert ours.accuracy.value == pytest.approx(theirs.accuracy.value, abs=1e-12)
            assert ours.eer.low == pytest.approx(theirs.eer.low, abs=1e-6)


def test_distances_are_turned_round(tmp_path, protocol, unit):
    turned = [(a, b, -score) for a, b, score in rows_of(unit, lambda row: NAMES[row])]
    file = read_pair_scores(write(tmp_path / "a.csv", turned))
    scores = file.of_protocol(protocol, ORDER, NAMES, distance=True)
    pairs = protocol.score_pairs
    assert scores.pairs == pytest.approx((unit[pairs.a] * unit[pairs.b]).sum(axis=1))
    assert not scores.on_grid


def test_a_pair_without_a_score_or_with_two_is_named(tmp_path, protocol, unit):
    rows = rows_of(unit, lambda row: NAMES[row])
    pair = protocol.fold_pairs
    gone = {NAMES[pair.a[0]], NAMES[pair.b[0]]}
    short = write(tmp_path / "a.csv", [row for row in rows if {row[0], row[1]} != gone])
    with pytest.raises(DataError, match=rf"a\.csv: no score of .*{NAMES[pair.a[0]]}"):
        read_pair_scores(short).of_protocol(protocol, ORDER, NAMES)
    twice = write(tmp_path / "b.csv", [*rows, (rows[0][1], rows[0][0], 9.0)])
    with pytest.raises(DataError, match=rf"b\.csv: row {len(rows) + 1}: .* another score"):
        read_pair_scores(twice).of_protocol(protocol, ORDER, NAMES)
    wide = write(tmp_path / "c.csv", [(a, b, 3 * score) for a, b, score in rows])
    with pytest.raises(DataError, match="no cosine"):
        read_pair_scores(wide).of_protocol(protocol, ORDER, NAMES, cosine=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image1,image2,score\n", "no rows"),
        ("image1,score\na,1\n", "no column 'image2'"),
        ("image1,image2,score\na,,1\n", "row 1 has no image2"),
        ("image1,image2,score\na,b,x\n", "row 1: score 'x' is no finite number"),
        ("image1,image2,score\na,b,inf\n", "row 1: score"),
        ("image1,image2,score,score\na,b,1,2\n", "2 columns 'score'"),
        ("image1,image2,score\na,b\n", "not a readable file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, text, told):
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told):
        read_pair_scores(path)


def test_scores_must_fit_the_protocol(protocol):
    folds, pairs = np.zeros(len(protocol.fold_pairs)), np.zeros(len(protocol.score_pairs))
    with pytest.raises(DataError, match="scores of shape"):
        evaluate_pair_scores(PairScores(folds[1:], pairs), protocol)
    with pytest.raises(DataError, match="pair 0 is not finite"):
        evaluate_pair_scores(PairScores(folds, pairs + np.nan), protocol)
