"""Tables of scores: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenface.errors import DataError
from evenface.evaluate.score_evaluation import evaluate_scores
from evenface.evaluate.score_table import is_score_table, read_scores


def table(tmp_path: Path, text: str, name: str = "scores.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_reads_labels_as_text_and_numbers_people_within_groups(tmp_path: Path) -> None:
    read = read_scores(
        table(
            tmp_path,
            "score,genuine,group,group2,fold,identity1,identity2,more\n"
            "0.9,1,a,a,3,01,01,x\n"
            "0.1,0,a,b,3,01,1,x\n"
            "0.8,true,b,b,7,1,1,x\n"
            "0.2,impostor,b,b,7,1,01,x\n",
        )
    )
    assert read.groups == ("a", "b")
    assert read.score.tolist() == [0.9, 0.1, 0.8, 0.2]
    assert read.genuine.tolist() == [True, False, True, False]
    assert read.group1.tolist() == [0, 0, 1, 1]
    assert read.group2.tolist() == [0, 1, 1, 1]
    assert read.fold.tolist() == [0, 0, 1, 1]
    # "01" of group a, "01" of group b and "1" of group b are three people.
    assert len(set(read.identity1) | set(read.identity2)) == 3
    assert read.identity1[0] == read.identity2[0]


def test_defaults_and_distances(tmp_path: Path) -> None:
    read = read_scores(table(tmp_path, "score,genuine\n1.5,0\n0.5,1\n"), distance=True)
    assert read.score.tolist() == [-1.5, -0.5]
    assert read.groups == ("all",)
    assert read.fold.tolist() == read.identity1.tolist() == [-1, -1]


def test_parquet_equals_csv(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    columns = {"score": [0.25, 0.5], "genuine": [False, True], "group": ["a", "b"], "fold": [0, 4]}
    pq.write_table(pa.table(columns), path)
    text = "score,genuine,group,fold\n0.25,false,a,0\n0.5,true,b,4\n"
    first, second = read_scores(path), read_scores(table(tmp_path, text))
    for name in ("score", "genuine", "group1", "group2", "fold"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert is_score_table(path)
    assert is_score_table(tmp_path / "any.tsv")
    assert not is_score_table(tmp_path / "absent.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("genuine\n1\n", "no column 'score'"),
        ("score,group\n1,a\n", "no column 'genuine'"),
        ("score,genuine\n", "no rows"),
        ("", "not a readable table"),
        ("score,genuine\n,1\nnan,0\n", "no pair has a score"),
        ("score,genuine\ninf,1\n", "row 1 has an infinite score"),
        ("score,genuine\n0.5,1\n-inf,0\n", "row 2 has an infinite score.*--missing=-inf"),
        ("score,genuine\nhigh,1\n", "row 1: score 'high' is no number"),
        ("score,genuine\n0.5,1\n0.5,maybe\n", "row 2: genuine is 'maybe'"),
        ("score,genuine\n0.5,\n", "row 1: genuine is None"),
        ("score,genuine,group\n0.5,1,\n", "row 1 has no group"),
        ("score,genuine,group2\n0.5,1,a\n", "'group2' needs the column 'group'"),
        ("score,genuine,identity1\n0.5,1,a\n", "'identity1' needs the column 'identity2'"),
        ("score,genuine,fold\n0.5,1,1.5\n", "row 1: fold is '1.5'"),
        ("score,genuine,fold\n0.5,1,-1\n", "row 1: fold is '-1'"),
        ("score,genuine,fold\n0.5,1,inf\n", "row 1: fold is 'inf'"),
        ("score,genuine,group,group2\n0.5,1,a,b\n", "row 1 is genuine, but its groups differ"),
        ("score,genuine,identity1,identity2\n0.5,1,x,y\n", "is genuine, but names two"),
        ("score,genuine,identity1,identity2\n0.5,0,x,x\n", "names one identity twice"),
        ("score,score,genuine\n1,1,1\n", "several columns 'score'"),
        ("score,genuine\n1,1\n1,1,1\n", "not a readable table"),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    path = table(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        read_scores(path)
    assert "scores.csv" in str(error.value)


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_scores(tmp_path / "none.csv")


def test_constant_scores_give_a_defined_result(tmp_path: Path) -> None:
    rows = "".join(f"0.5,{k % 2},{'ab'[k // 20]}\n" for k in range(40))
    read = read_scores(table(tmp_path, "score,genuine,group\n" + rows))
    assert "all 40 scores are equal" in read.notes[0]
    result = evaluate_scores(read, replicates=20)
    assert result.groups["a"].auc.value == 0.5
    assert any("scores are equal" in note for note in result.protocol.notes)
