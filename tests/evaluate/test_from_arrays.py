"""Audits from arrays: equal to those of files and manifests, from every kind of column."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import evenface
from evenface.data.manifest import Manifest
from evenface.errors import DataError, EvenfaceError, UsageError
from evenface.evaluate import (
    Evaluations,
    audit,
    evaluate_scores,
    frame,
    protocol_from_manifest,
    read_scores,
)
from evenface.evaluate.frame import rows
from evenface.evaluate.text import format_estimate
from pattern_people import write_people

RNG = np.random.default_rng(0)
PAIRS = 240
GENUINE = np.tile([True, False], PAIRS // 2)
GROUPS = np.repeat(["north", "south"], PAIRS // 2)
SCORES = RNG.normal(np.where(GENUINE, 1.5, 0.0), np.where(GROUPS == "north", 0.5, 1.0))
FIRST = RNG.integers(0, 12, PAIRS) + 100 * (GROUPS == "south")
SECOND = np.where(GENUINE, FIRST, FIRST + 20)
PEOPLE = np.repeat(np.arange(40), 3)
OF_PEOPLE = np.where(PEOPLE < 20, "north", "south")
EMBEDDINGS = RNG.normal(size=(40, 8))[PEOPLE] + 0.4 * RNG.normal(size=(120, 8))


class Series:
    """What pandas and polars columns have in common."""

    def __init__(self, values: Any, name: str | None = None) -> None:
        self._values, self.name = list(values), name

    def __len__(self) -> int:
        return len(self._values)

    def to_numpy(self) -> np.ndarray:
        return np.array(self._values, dtype=object)


class Frame:
    """What pandas and polars data frames have in common."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Series:
        return Series(self._columns[name], name)


def same(one: Any, other: Any) -> None:
    """Equal but for what the data are called."""
    first, second = ({**e.to_dict(), "protocol": None, "model": None} for e in (one, other))
    assert first == second


def test_scores_give_what_a_file_of_them_gives(tmp_path: Path) -> None:
    names = ("score", "genuine", "group", "identity1", "identity2", "fold")
    fold = np.arange(PAIRS) // 2 % 5
    columns = (SCORES.tolist(), GENUINE.astype(int), GROUPS, FIRST, SECOND, fold)
    with open(tmp_path / "scores.csv", "w", newline="") as file:
        csv.writer(file).writerows([names, *zip(*columns, strict=True)])
    found = audit(
        SCORES, GENUINE, GROUPS, identity_a=FIRST, identity_b=SECOND, fold=fold, replicates=50
    )
    same(found, evaluate_scores(read_scores(tmp_path / "scores.csv"), replicates=50))
    assert found.bootstrap.unit == "identity"


def test_embeddings_give_the_pairs_of_a_manifest(tmp_path: Path) -> None:
    people = [(f"{i:02}", "north" if i < 20 else "south", 3) for i in range(40)]
    manifest: Manifest = write_people(tmp_path, people)
    wanted = protocol_from_manifest(manifest, folds=5, seed=3)
    found = evenface.Protocol.from_arrays(
        manifest.column("identity"), manifest.groups(), folds=5, seed=3
    )
    for kind in ("fold_pairs", "score_pairs"):
        for field in ("a", "b", "genuine", "group", "fold"):
            np.testing.assert_array_equal(
                getattr(getattr(found, kind), field), getattr(getattr(wanted, kind), field)
            )
    assert found.counts == wanted.counts


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    audit(EMBEDDINGS, identity=PEOPLE, groups=OF_PEOPLE, replicates=20).to_table()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "column",
    [list, np.asarray, Series, pa.array, lambda v: np.array(list(v), dtype=object), tuple],
    ids=["list", "numpy", "series", "arrow", "objects", "tuple"],
)
def test_columns_of_every_kind_are_alike(column: Any) -> None:
    wanted = audit(SCORES, GENUINE, GROUPS, replicates=20)
    found = audit(column(SCORES), column(GENUINE), column(GROUPS.tolist()), replicates=20)
    same(found, wanted)
    assert found.protocol.fingerprint == wanted.protocol.fingerprint


def test_pandas_columns_and_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"score": SCORES, "genuine": GENUINE.astype(int), "group": GROUPS})
    frame["group"] = frame["group"].astype("category")
    found = audit(frame["score"], frame["genuine"], frame[["group"]], replicates=20)
    same(found, audit(SCORES, GENUINE, GROUPS, replicates=20))
    assert found.to_frame().set_index(["measure", "group"]).loc[("eer", "north")].value == (
        found.groups["north"].eer.value
    )


def test_a_table_of_attributes_is_chosen_from_or_crossed() -> None:
    gender = np.where(np.arange(PAIRS) // 2 % 2, "f", "m")
    for table in (
        {"region": GROUPS, "gender": gender},
        Frame({"region": GROUPS, "gender": gender}),
        pa.table({"region": GROUPS.tolist(), "gender": gender.tolist()}),
    ):
        with pytest.raises(UsageError, match=r"2 attributes \(region, gender\).*cross=True"):
            audit(SCORES, GENUINE, table)
        one = audit(SCORES, GENUINE, table, group_by="gender", replicates=0)
        assert list(one.groups) == ["f", "m"]
        every = audit(SCORES, GENUINE, table, cross=True, replicates=0)
        assert list(every.groups) == ["north × f", "north × m", "south × f", "south × m"]
        assert every.groups["north × f"].genuine_pairs == 30
        turned = audit(SCORES, GENUINE, table, group_by=["gender", "region"], replicates=0)
        assert next(iter(turned.groups)) == "f × north"


@pytest.mark.parametrize("missing", [None, float("nan"), ""])
def test_rows_without_a_group_are_left_out_and_said(missing: Any) -> None:
    groups = np.array(GROUPS, dtype=object)
    groups[:40] = missing
    scores = SCORES.copy()
    scores[3] = np.nan  # of a row that is left out
    found = audit(scores, GENUINE, groups, replicates=20)
    same(
        found.model_copy(update={"notes": []}),
        audit(SCORES[40:], GENUINE[40:], GROUPS[40:], replicates=20).model_copy(
            update={"notes": []}
        ),
    )
    assert any("40 of 240 pairs without a group" in note for note in found.protocol.notes)


def test_identities_tell_genuine_pairs() -> None:
    named = audit(SCORES, groups=GROUPS, identity_a=FIRST, identity_b=SECOND, replicates=20)
    same(
        named,
        audit(SCORES, GENUINE, GROUPS, identity_a=FIRST, identity_b=SECOND, replicates=20),
    )


def test_distances_are_negated_similarities() -> None:
    found = audit(-SCORES, GENUINE, GROUPS, kind="distance", replicates=20)
    assert found.groups == audit(SCORES, GENUINE, GROUPS, replicates=20).groups
    with pytest.raises(UsageError, match="kind='distance'"):
        audit(-SCORES, GENUINE, GROUPS)
    as_they_are = audit(-SCORES, GENUINE, GROUPS, kind="similarity", replicates=0)
    assert as_they_are.groups["north"].auc.value < 0.2
    assert any("genuine pairs score lower" in note for note in as_they_are.protocol.notes)
    audit(RNG.normal(size=PAIRS), GENUINE, GROUPS, replicates=0)  # chance is no distance


def test_intervals_without_names_are_said_to_be_too_narrow() -> None:
    found = audit(SCORES, GENUINE, GROUPS, replicates=20)
    assert found.bootstrap.unit == "pair"
    assert any("too narrow" in note for note in found.protocol.notes)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((SCORES, GENUINE[:-1]), {}, "genuine: 239 values for 240 pairs"),
        ((SCORES, GENUINE, GROUPS[:7]), {}, "groups .*: 7 values for 240 pairs"),
        ((SCORES, np.ones(PAIRS, bool)), {}, "all 240 pairs are genuine"),
        ((SCORES, np.zeros(PAIRS, int)), {}, "all 240 pairs are impostor"),
        ((SCORES, np.full(PAIRS, "perhaps")), {}, "row 0: genuine is 'perhaps'"),
        ((np.where(np.arange(PAIRS) == 5, np.inf, SCORES), GENUINE), {}, "scores: row 5 has an in"),
        ((SCORES.astype(str), GENUINE), {}, "scores: expected numbers, got <U"),
        ((SCORES * 1j, GENUINE), {}, "scores: expected numbers, got complex"),
        (([*SCORES[:-1], "x"], GENUINE), {}, "scores: expected numbers"),
        (("scores.csv", GENUINE), {}, "scores: expected one value for each row"),
        ((SCORES,), {}, "give genuine .* or identity"),
        ((EMBEDDINGS, GENUINE), {}, "Give identity instead of genuine"),
        ((EMBEDDINGS, GENUINE), {"identity": PEOPLE}, "genuine belongs to scores"),
        ((EMBEDDINGS,), {"identity": PEOPLE[:-1]}, "embeddings: 120 values for 119 images"),
        ((SCORES,), {"identity": PEOPLE}, r"embeddings: expected the shape \(N, D\)"),
        ((SCORES, GENUINE), {"identity_a": FIRST}, "identity_a and identity_b, or neither"),
        ((SCORES, GENUINE), {"kind": "similar"}, "kind is one of similarity, cosine, distance"),
        ((SCORES, GENUINE), {"cross": True}, "cross need"),
        ((SCORES, GENUINE, GROUPS), {"group_by": "age"}, "no attribute 'age'; there are group"),
        ((SCORES, GENUINE, {"a": [None] * PAIRS}), {}, "no row has a value of a"),
        ((SCORES, GENUINE), {"identity_a": FIRST, "identity_b": FIRST}, "names one identity"),
        (({},), {"identity": PEOPLE}, "no model to audit"),
        ((SCORES, GENUINE), {"kind": "cosine"}, "is no cosine"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(EvenfaceError, match=message):
        audit(*arguments, **options)


def test_a_bad_embedding_is_named() -> None:
    bad = EMBEDDINGS.copy()
    bad[7, 0] = np.nan
    with pytest.raises(DataError, match="7"):
        audit(bad, identity=PEOPLE, replicates=0)


def test_given_pairs() -> None:
    a, b = np.triu_indices(len(PEOPLE), k=1)
    within = OF_PEOPLE[a] == OF_PEOPLE[b]
    with pytest.raises(DataError, match="pairs across groups"):
        evenface.Protocol.from_arrays(PEOPLE, OF_PEOPLE, pairs=(a, b))
    protocol = evenface.Protocol.from_arrays(PEOPLE, OF_PEOPLE, pairs=(a[within], b[within]))
    found = audit(EMBEDDINGS, protocol=protocol, replicates=0)
    drawn = audit(EMBEDDINGS, identity=PEOPLE, groups=OF_PEOPLE, replicates=0)
    for group in ("north", "south"):  # all pairs, drawn or given
        assert found.groups[group].eer == drawn.groups[group].eer
    assert found.protocol.pairs == "published"


def test_models_by_name_are_compared_on_the_same_pairs() -> None:
    noisy = EMBEDDINGS + RNG.normal(size=EMBEDDINGS.shape)
    found = audit(
        {"noisy": noisy, "good": EMBEDDINGS}, identity=PEOPLE, groups=OF_PEOPLE, replicates=50
    )
    assert isinstance(found, Evaluations)
    assert list(found) == ["noisy", "good"]
    assert found["good"].model == "good"
    difference = found.compare("noisy", "good", "auc", group="north")
    alone = [
        audit(e, identity=PEOPLE, groups=OF_PEOPLE, replicates=50) for e in (noisy, EMBEDDINGS)
    ]
    assert difference == alone[0].compare(alone[1], "auc", group="north")
    assert found.compare("noisy", "good").second == "good"
    with pytest.raises(UsageError, match="no model 'other'; there are noisy, good"):
        found.compare("noisy", "other")
    assert set(found.to_table().column("model").to_pylist()) == {"noisy", "good"}
    assert list(found.to_dict()) == ["noisy", "good"]


@pytest.fixture(scope="module")
def evaluation() -> Any:
    groups = np.where(OF_PEOPLE == "north", "<b>north</b>", "south")
    return audit(
        EMBEDDINGS, identity=PEOPLE, groups=groups, replicates=50, model="m", simulated=True
    )


def test_every_measure_that_is_compared_is_in_the_table(evaluation: Any) -> None:
    found = list(rows(evaluation))
    assert set(evaluation.replicates) <= {row.measure for row in found}
    for row in found:
        if row.measure in evaluation.replicates:
            estimate = evaluation.estimate(row.measure, row.group)
            assert (row.value, row.low, row.high) == (estimate.value, estimate.low, estimate.high)
    assert len({row[:3] for row in found}) == len(found)
    table = evaluation.to_table()
    assert table.num_rows == len(found)
    assert table.column("value").null_count < table.num_rows / 2


def test_a_frame_without_pandas_says_what_to_do(
    evaluation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "find_spec", lambda name: None)
    with pytest.raises(EvenfaceError, match=r"pip install pandas.*to_table"):
        evaluation.to_frame()


def test_the_notebook_s_table_is_whole_escaped_and_says_simulated(evaluation: Any) -> None:
    html = evaluation._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;north" in html
    assert "SIMULATED" in html
    assert "http" not in html
    assert f"{100 * evaluation.groups['south'].eer.value:.2f} [" in html
    opened: list[str] = []

    class Check(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Check().feed(html)
    assert opened == []


def test_the_console_s_table_has_a_line_for_each_group(evaluation: Any) -> None:
    simulated, title, heads, *rest = str(evaluation).splitlines()
    assert simulated.startswith("SIMULATED")
    assert title.startswith("m on ")
    assert heads.startswith("group")
    south = next(line for line in rest if line.startswith("south"))
    assert format_estimate(evaluation.groups["south"].eer) in south
    assert repr(evaluation) == str(evaluation)


def test_the_dictionary_is_json(evaluation: Any) -> None:
    assert json.loads(json.dumps(evaluation.to_dict()))["model"] == "m"


def test_evaluating_imports_no_report() -> None:
    code = (
        "import sys; from evenface import audit; audit([1., 2, 0, 0], [1, 1, 0, 0], replicates=0)"
        "._repr_html_(); print([m for m in sys.modules if 'evenface.report' in m or m == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
