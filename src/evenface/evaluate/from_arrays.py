"""Audits from arrays: scores or embeddings with labels in, evaluations out. No disk is touched.

:func:`audit` is ``evenface.audit``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evenface.columns import (
    Column,
    Table,
    as_array,
    group_labels,
    matrix,
    numbers,
    same_length,
    texts,
)
from evenface.display import display
from evenface.errors import DataError, UsageError
from evenface.evaluate import frame
from evenface.evaluate.bootstrap import PairedDifference
from evenface.evaluate.comparison import Comparison, compare_evaluations
from evenface.evaluate.evaluation import evaluate_embeddings
from evenface.evaluate.pair_lists import PairList, protocol_from_lists
from evenface.evaluate.pairs import Impostors, Rows
from evenface.evaluate.protocols import (
    DEFAULT_MAX_PAIRS,
    LabelledRows,
    Protocol,
    draw_protocol,
)
from evenface.evaluate.results import Evaluation
from evenface.evaluate.score_evaluation import evaluate_scores
from evenface.evaluate.score_table import ScoreTable, score_table
from evenface.evaluate.verification import auc

Kind = Literal["similarity", "cosine", "distance"]
"""What scores are: higher for more alike, the same within [−1, 1], or lower for more alike."""

_NO_GROUP = "\0"
"""In the place of the group of a row that is left out."""
_SURE = 4.0
"""Standard deviations below chance at which scores are taken for distances."""


class Evaluations(Mapping[str, Evaluation]):
    """Evaluations of several models on the same pairs, by the models' names.

    A mapping: ``found["a"]`` is an :class:`evenface.Evaluation`.

    >>> import evenface
    >>> genuine = [1, 1, 1, 1, 0, 0, 0, 0]
    >>> found = evenface.audit(
    ...     {
    ...         "old": [0.9, 0.8, 0.3, 0.6, 0.5, 0.4, 0.2, 0.1],
    ...         "new": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.1],
    ...     },
    ...     genuine,
    ...     replicates=100,
    ... )
    >>> list(found)
    ['old', 'new']
    >>> found.compare("old", "new", "auc", group="all").value
    0.125
    """

    def __init__(self, models: Mapping[str, Evaluation]) -> None:
        self._models = dict(models)

    def __getitem__(self, model: str) -> Evaluation:
        return self._models[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __repr__(self) -> str:
        return f"Evaluations({', '.join(map(repr, self))})"

    @overload
    def compare(self, first: str, second: str) -> Comparison: ...
    @overload
    def compare(
        self, first: str, second: str, measure: str, *, group: str | None = None
    ) -> PairedDifference: ...
    def compare(
        self, first: str, second: str, measure: str | None = None, *, group: str | None = None
    ) -> Comparison | PairedDifference:
        """``second − first`` on the same pairs and resamples.

        Args:
            first, second: names of models.
            measure: one measure, see :meth:`Evaluation.compare`; None to compare all, with p-values
                adjusted over groups.
            group: for measures of a group.

        Raises:
            UsageError: no such model.
            ValueError: as :meth:`Evaluation.compare`, or there are no replicates.
        """
        for name in (first, second):
            if name not in self:
                raise UsageError(f"no model {name!r}; there are {', '.join(self)}")
        if measure is None:
            return compare_evaluations(self[first], self[second])
        return self[first].compare(self[second], measure, group=group)

    def to_dict(self) -> dict[str, Any]:
        """Model → the content of its ``evaluation.json``."""
        return {name: evaluation.to_dict() for name, evaluation in self.items()}

    def to_table(self) -> pa.Table:
        """As :meth:`Evaluation.to_table`, the models one after the other."""
        return frame.to_table(self)

    def to_frame(self) -> Any:
        """As :meth:`Evaluation.to_frame`, the models one after the other."""
        return frame.to_frame(self)

    def report(self, folder: str | Path) -> Path:
        """As :meth:`Evaluation.report`; later models are compared with the first."""
        return display().report(self, Path(folder))

    def _repr_html_(self) -> str:
        return frame.to_html(self)

    def __str__(self) -> str:
        return frame.to_text(self)


class _Options(TypedDict, total=False):
    """Keywords of :func:`audit`, for its overloads."""

    identity: Column | None
    identity_a: Column | None
    identity_b: Column | None
    groups_b: Column | Table | None
    fold: Column | None
    kind: Kind | None
    missing: float | None
    group_by: str | Sequence[str] | None
    cross: bool
    protocol: Protocol | None
    folds: int
    pairs_per_group: int | None
    max_pairs: int
    impostors: Impostors
    simulated: bool
    replicates: int
    seed: int
    level: float
    detail: bool
    model: str | None
    name: str | None


@overload
def audit(
    data: Mapping[str, Any],
    genuine: Column | None = None,
    groups: Column | Table | None = None,
    **options: Unpack[_Options],
) -> Evaluations: ...
@overload
def audit(
    data: Sequence[Any] | NDArray[Any],
    genuine: Column | None = None,
    groups: Column | Table | None = None,
    **options: Unpack[_Options],
) -> Evaluation: ...
@overload
def audit(
    data: Any,
    genuine: Column | None = None,
    groups: Column | Table | None = None,
    **options: Unpack[_Options],
) -> Any: ...
def audit(
    data: Any,
    genuine: Column | None = None,
    groups: Column | Table | None = None,
    *,
    identity: Column | None = None,
    identity_a: Column | None = None,
    identity_b: Column | None = None,
    groups_b: Column | Table | None = None,
    fold: Column | None = None,
    kind: Kind | None = None,
    missing: float | None = None,
    group_by: str | Sequence[str] | None = None,
    cross: bool = False,
    protocol: Protocol | None = None,
    folds: int = 10,
    pairs_per_group: int | None = None,
    max_pairs: int = DEFAULT_MAX_PAIRS,
    impostors: Impostors = "within",
    simulated: bool = False,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    detail: bool = True,
    model: str | None = None,
    name: str | None = None,
) -> Any:
    """Error rates per group and fairness over groups, with intervals, from arrays.

    From scores, ``audit(scores, genuine, groups)``: a row is a pair. From embeddings,
    ``audit(embeddings, identity=…, groups=…)``: a row is an image, and pairs are drawn as
    :func:`evenface.evaluate.protocol_from_manifest` does. Columns may be lists, NumPy arrays,
    pandas, polars or Arrow columns. Rows without a group are left out, with a note.

    **Intervals.** From embeddings, and from scores with ``identity_a`` and ``identity_b``, people
    are resampled: the intervals say how the figures would vary with other people. Without names,
    pairs are resampled as if they were independent. Pairs that share people are not, so these
    intervals are too narrow; ``notes`` says so. Results on few people are marked.

    >>> import numpy as np, evenface
    >>> rng = np.random.default_rng(0)
    >>> genuine = np.tile([True, False], 400)
    >>> groups = np.repeat(["north", "south"], 400)
    >>> scores = rng.normal(np.where(genuine, 2.0, 0.0), np.where(groups == "north", 0.5, 1.0))
    >>> found = evenface.audit(scores, genuine, groups, replicates=200)
    >>> for group, result in found.groups.items():
    ...     print(f"{group}: EER {result.eer.value:.1%}")
    north: EER 2.5%
    south: EER 17.5%
    >>> found.to_table().select(["measure", "group", "value", "low", "high"]).num_rows > 100
    True

    From embeddings:

    >>> people = np.repeat(np.arange(60), 4)
    >>> centres = rng.normal(size=(60, 16))
    >>> embeddings = centres[people] + 0.3 * rng.normal(size=(240, 16))
    >>> found = evenface.audit(
    ...     embeddings, identity=people, groups=np.where(people < 30, "north", "south")
    ... )
    >>> found.groups["north"].identities
    30

    Args:
        data: (P,) scores, or (N, D) embeddings; or several models' by name, for one
            :class:`Evaluations` on the same pairs.
        genuine: (P,) whether a pair shows one person: true/false, 1/0, yes/no, genuine/impostor.
            None to tell from ``identity_a`` and ``identity_b``.
        groups: the group of each row (of both images of a pair, or of the first); or a table of
            attributes, a mapping or a data frame, of which ``group_by`` or ``cross`` choose. None
            for one group.
        identity: (N,) who each image shows; for embeddings.
        identity_a, identity_b: (P,) who the two images of a pair show; for scores.
        groups_b: (P,) the group of the second image; pairs across groups go into the cross-table
            only. For scores.
        fold: (P,) number of each pair's fold. For scores; None deals pairs to ten folds.
        kind: of the scores: "similarity" (higher for more alike), "cosine" (within [−1, 1], so that
            the field's grid of thresholds applies to accuracies) or "distance" (lower for more
            alike). None for similarities, refused where they clearly behave as distances.
        missing: the score that says that a comparison failed, such as ``-math.inf``; NaN and None
            always say so. Failed pairs are failures to enrol or acquire: their rates by group are
            in ``failed_pairs``, generalised error rates (``gfmr``, ``gfnmr``) beside the plain
            ones at each operating point.
        group_by: the attribute of ``groups``, or several to cross.
        cross: cross all attributes of ``groups``.
        protocol: which pairs of the embeddings to compare, see :meth:`Protocol.from_arrays`;
            instead of ``identity``, ``groups`` and what draws pairs.
        folds, pairs_per_group, max_pairs, impostors: how pairs are drawn from embeddings, as in
            :func:`evenface.evaluate.protocol_from_manifest`.
        simulated: whether the images are synthetic; results then say so.
        replicates: bootstrap replicates; 0 for no intervals.
        seed: of pairs, folds and bootstrap.
        level: coverage of the intervals, in (0, 1).
        detail: whether to measure more than the core: exact thresholds, operating points, the
            cross-table, calibration and curves.
        model: name of the only model.
        name: what results call the data; "scores" or "embeddings" if not given.

    Raises:
        UsageError: arguments that do not belong together, or scores that are distances.
        DataError: lengths that differ, values of a wrong type, infinite scores, contradicting
            labels, or a group without genuine or impostor pairs; the row or group is named.
        ValueError: a setting out of range.
    """
    several = isinstance(data, Mapping)
    models: dict[str, Any] = (
        {str(key): value for key, value in data.items()} if several else {model or "model": data}
    )
    if not models:
        raise UsageError("no model to audit: the mapping is empty")
    settings: dict[str, Any] = {
        "replicates": replicates, "seed": seed, "level": level, "detail": detail,
    }  # fmt: skip
    of_pairs: dict[str, Any] = {
        "genuine": genuine, "identity_a": identity_a, "identity_b": identity_b,
        "groups_b": groups_b, "fold": fold, "kind": kind, "missing": missing,
    }  # fmt: skip
    from_embeddings = identity is not None or protocol is not None
    if from_embeddings:
        _refuse(of_pairs, "belongs to scores of pairs, and identity and protocol to embeddings")
        if protocol is None:
            protocol = protocol_from_arrays(
                identity,
                groups,
                group_by=group_by,
                cross=cross,
                folds=folds,
                pairs_per_group=pairs_per_group,
                max_pairs=max_pairs,
                impostors=impostors,
                simulated=simulated,
                seed=seed,
                name=name or "embeddings",
            )
        else:
            _refuse({"identity": identity, "groups": groups}, "is part of the protocol")
        evaluations = {}
        for key, value in models.items():
            values = matrix(_called("embeddings", key, several), value)
            same_length("embeddings", len(values), len(protocol.identity), "image")
            evaluations[key] = evaluate_embeddings(
                values, protocol, model=key if several else model, **settings
            )
    else:
        tables = _score_tables(
            models, several, groups=groups, group_by=group_by, cross=cross, **of_pairs
        )
        evaluations = {
            key: evaluate_scores(
                table,
                cosine=kind == "cosine",
                simulated=simulated,
                model=key if several else model,
                name=name or "scores",
                **settings,
            )
            for key, table in tables.items()
        }
    return Evaluations(evaluations) if several else next(iter(evaluations.values()))


def protocol_from_arrays(
    identity: Column,
    groups: Column | Table | None = None,
    *,
    pairs: tuple[Column, Column] | None = None,
    fold: Column | None = None,
    group_by: str | Sequence[str] | None = None,
    cross: bool = False,
    folds: int = 10,
    pairs_per_group: int | None = None,
    max_pairs: int = DEFAULT_MAX_PAIRS,
    impostors: Impostors = "within",
    simulated: bool = False,
    seed: int = 0,
    name: str = "arrays",
) -> Protocol:
    """As :meth:`Protocol.from_arrays`."""
    people = texts("identity", identity)
    if None in people:
        raise DataError(f"identity: row {people.index(None)} has no value")
    by, labels = group_labels(groups, len(people), group_by=group_by, cross=cross, of="image")
    numbered = np.unique(np.array(people), return_inverse=True)[1].astype(np.int64)
    digest = hashlib.sha256(json.dumps([people, labels]).encode()).hexdigest()
    if pairs is None:
        _refuse({"fold": fold}, "needs pairs: drawn pairs are dealt to folds")
        return draw_protocol(
            LabelledRows(
                people=numbered,
                groups=np.array(labels, dtype=object),
                group_by=by,
                origins=np.full(len(people), "synthetic" if simulated else "real"),
                fingerprint=digest,
            ),
            folds=folds,
            pairs_per_group=pairs_per_group,
            max_pairs=max_pairs,
            impostors=impostors,
            seed=seed,
            name=name,
        )
    a, b = (_rows_of(f"pairs[{end}]", pairs[end], len(people)) for end in (0, 1))
    same_length("pairs[1]", len(b), len(a), "pair")
    of_fold = None if fold is None else numbers("fold", fold)
    if of_fold is not None:
        same_length("fold", len(of_fold), len(a), "pair")
        if not (of_fold == np.floor(of_fold)).all():
            raise DataError(f"fold: row {int((of_fold != np.floor(of_fold)).argmax())} is no "
                            "whole number")  # fmt: skip
    group = np.array(labels, dtype=object)
    if (across := group[a] != group[b]).any():
        row = int(across.argmax())
        raise DataError(
            f"pairs: row {row} is of {group[a[row]]} and {group[b[row]]} ({int(across.sum()):,} "
            "pairs across groups); give pairs within a group"
        )
    lists = []
    for label in sorted({label for label in group[a] if label is not None}):
        chosen = group[a] == label
        lists.append(
            PairList(
                group=label,
                a=a[chosen],
                b=b[chosen],
                genuine=numbered[a[chosen]] == numbered[b[chosen]],
                fold=None if of_fold is None else of_fold[chosen].astype(np.int64),
            )
        )
    return protocol_from_lists(
        lists,
        rows=len(people),
        image_fingerprint=digest,
        name=name,
        identity=numbered,
        folds=folds,
        seed=seed,
        simulated=simulated,
    )


def _score_tables(
    models: Mapping[str, Any],
    several: bool,
    *,
    genuine: Column | None,
    groups: Column | Table | None,
    identity_a: Column | None,
    identity_b: Column | None,
    groups_b: Column | Table | None,
    fold: Column | None,
    kind: Kind | None,
    missing: float | None,
    group_by: str | Sequence[str] | None,
    cross: bool,
) -> dict[str, ScoreTable]:
    """A checked table for each model; labels are read once."""
    if kind is not None and kind not in get_args(Kind):
        raise UsageError(f"kind is one of {', '.join(get_args(Kind))}; got {kind!r}")
    if (identity_a is None) != (identity_b is None):
        raise UsageError("give identity_a and identity_b, or neither")
    if genuine is None and identity_a is None:
        raise UsageError(
            "give genuine (whether each pair shows one person) for scores, or identity (who each "
            "image shows) for embeddings"
        )
    scores = {}
    for key, value in models.items():
        what = _called("scores", key, several)
        if np.ndim(value) == 2:
            raise UsageError(
                f"{what}: have the shape {np.shape(value)}, a score is one number a pair. Give "
                "identity instead of genuine to audit embeddings"
            )
        scores[key] = numbers(what, value)
    rows = len(next(iter(scores.values())))
    for key, values in scores.items():
        same_length(_called("scores", key, several), len(values), rows, "pair")
    columns: dict[str, Any] = {}
    if identity_a is not None:
        for end, column, people in (
            ("identity_a", "identity1", identity_a),
            ("identity_b", "identity2", identity_b),
        ):
            columns[column] = texts(end, people)
            same_length(end, len(columns[column]), rows, "pair")
            if None in columns[column]:
                raise DataError(
                    f"{end}: row {columns[column].index(None)} has no value. Name both people of "
                    "every pair, or leave identity_a and identity_b out"
                )
        columns["genuine"] = np.array(columns["identity1"]) == np.array(columns["identity2"])
    if genuine is not None:
        columns["genuine"] = _truths(genuine)
        same_length("genuine", len(columns["genuine"]), rows, "pair")
    left_out = np.zeros(rows, dtype=bool)
    for what, column, given in (("groups", "group", groups), ("groups_b", "group2", groups_b)):
        if given is not None:
            _, labels = group_labels(
                given, rows, group_by=group_by, cross=cross, of="pair", what=what
            )
            columns[column] = np.array(labels, dtype=object)
            left_out |= np.array([label is None for label in labels])
    for column in ("group", "group2"):
        if column in columns:
            columns[column][left_out] = _NO_GROUP
    if groups is None:
        _refuse({"groups_b": groups_b, "group_by": group_by}, "needs groups")
        if cross:
            raise UsageError("cross needs groups")
    if fold is not None:
        columns["fold"] = numbers("fold", fold)
        same_length("fold", len(columns["fold"]), rows, "pair")
    found = {}
    for key, values in scores.items():
        what = _called("scores", key, several)
        read = score_table(
            pa.table({**columns, "score": np.where(left_out, 0.0, values)}),
            name=what,
            distance=kind == "distance",
            missing=missing,
            first_row=0,
        )
        if left_out.any():
            read = _select(read, ~left_out)
        _check_kinds(read)
        if kind is None:
            _refuse_distances(what, read)
        found[key] = read
    return found


def _select(table: ScoreTable, kept: NDArray[np.bool_]) -> ScoreTable:
    arrays = ("score", "genuine", "group1", "group2", "fold", "identity1", "identity2")
    note = f"{int((~kept).sum()):,} of {len(kept):,} pairs without a group are left out"
    return replace(
        table,
        notes=(note, *table.notes),
        **{name: getattr(table, name)[kept] for name in arrays},
    )


def _truths(genuine: Column) -> Any:
    """Booleans where the column has nothing but 0 and 1, else text."""
    values = as_array("genuine", genuine)
    if values.dtype.kind in "bui" and np.isin(values, (0, 1)).all():
        return values.astype(bool)
    return texts("genuine", genuine)


def _check_kinds(table: ScoreTable) -> None:
    if table.genuine.all() or not table.genuine.any():
        kind, other = ("genuine", "impostor") if table.genuine.all() else ("impostor", "genuine")
        raise DataError(
            f"genuine: all {len(table):,} pairs are {kind} pairs; error rates need {other} pairs "
            "too"
        )


def _refuse_distances(what: str, table: ScoreTable) -> None:
    scored = ~np.isnan(table.score)
    genuine = int(table.genuine[scored].sum())
    impostors = int(scored.sum()) - genuine
    if not genuine or not impostors:
        return  # refused with the group's name
    area = auc(table.score[scored], table.genuine[scored])
    # Standard deviation of the Mann–Whitney statistic where scores tell nothing.
    chance = np.sqrt((genuine + impostors + 1) / (12 * genuine * impostors))
    if area < 0.5 - _SURE * chance:
        raise UsageError(
            f"{what}: genuine pairs score lower than impostor pairs (AUC {area:.3f}). If lower is "
            "more alike, pass kind='distance'; if not, kind='similarity' audits them as they are"
        )


def _rows_of(what: str, column: Column, rows: int) -> Rows:
    values = as_array(what, column)
    if values.dtype.kind not in "ui":
        raise DataError(f"{what}: expected row numbers (integers), got {values.dtype}")
    bad = (values < 0) | (values >= rows)
    if bad.any():
        raise DataError(f"{what}: row {int(bad.argmax())} is {values[bad][0]}; there are {rows:,} "
                        "images")  # fmt: skip
    return values.astype(np.int64)


def _called(what: str, model: str, several: bool) -> str:
    return f"{what} of {model!r}" if several else what


def _refuse(given: Mapping[str, Any], why: str) -> None:
    """UsageError for the first argument that was given."""
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} {why}")
