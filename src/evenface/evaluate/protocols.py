"""Verification protocols: which pairs are compared, in which folds, in which groups."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evenface.errors import DataError, UsageError
from evenface.evaluate.pairs import (
    Impostors,
    Rows,
    count_genuine,
    genuine_pairs,
    impostor_pairs,
    impostor_pairs_across,
)
from evenface.files import atomic_path
from evenface.seeds import generator

if TYPE_CHECKING:
    from evenface.columns import Column, Table
    from evenface.data.manifest import Manifest

LEAST_CAP, PAIRS_PER_PERSON, MOST_FOLD_PAIRS = 6000, 24, 100_000
"""Of the default number of fold pairs, see :func:`default_fold_pairs`. 6,000 is RFW's number."""
DEFAULT_MAX_PAIRS = 100_000
"""Most genuine, and most impostor, pairs a group for EER, AUC and TAR@FAR."""

PROTOCOL_NAME = "protocol.parquet"
"""Of the file beside a data set's manifest."""

PairsOrigin = Literal["published", "drawn"]
"""Whether pairs come from the set's own list, or were drawn by this program."""


def pairs_statement(pairs: PairsOrigin | None, seed: int) -> str:
    """Where pairs come from, as a sentence; empty where that is not recorded."""
    if pairs is None:
        return ""
    if pairs == "published":
        return "Pairs: published, as the set's own list has them."
    return f"Pairs: drawn by evenface from the labelled images, seed {seed}."


_METADATA_KEY = b"evenface-protocol"
_VERSION = 2

# Draws at most so many impostor pairs of one group: in a fold, or in all where it is None.
_Draw = Callable[[int | None, int], tuple[Rows, Rows]]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of manifest rows; every array is (P,)."""

    a: Rows
    b: Rows
    genuine: NDArray[np.bool_]
    group: NDArray[np.int64]
    """Index into :attr:`Protocol.groups`."""
    fold: NDArray[np.int64]
    """Fold 0 … F − 1 of the pair's group; −1 for pairs that belong to no fold."""

    def __len__(self) -> int:
        return len(self.a)

    def select(self, rows: NDArray[Any]) -> Pairs:
        """The pairs of a mask or of indices."""
        return Pairs(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def concat(parts: Sequence[Pairs]) -> Pairs:
        """One after the other."""
        return Pairs(
            *(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Pairs))
        )


@dataclass(frozen=True)
class GroupCounts:
    """What a protocol found of one group."""

    images: int
    identities: int
    single_image_identities: int
    """Identities with one image: they take part in impostor pairs only."""


@dataclass(frozen=True, eq=False)
class Protocol:
    """A verification set over the rows of one manifest.

    ``fold_pairs`` are for the 10-fold accuracy: as many genuine as impostor pairs in every fold,
    ordered by group and fold. ``score_pairs`` are for EER, AUC, ROC and TAR@FAR: all pairs within
    each group up to a cap, without folds; or, where a published list of pairs is all there is,
    these with their folds. Both kinds stay within a group.
    """

    name: str
    groups: tuple[str, ...]
    group_by: tuple[str, ...]
    fold_pairs: Pairs
    score_pairs: Pairs
    identity: Rows
    """(N,) identity of each manifest row, numbered over (group, identity); −1 for unused rows."""
    counts: tuple[GroupCounts, ...]
    """One for each group."""
    origins: dict[str, int]
    """Images used, by origin ("real", "synthetic")."""
    manifest_fingerprint: str
    folds: int
    seed: int
    notes: tuple[str, ...]
    """What a reader of the results must know: capped pairs, folds that share identities, …"""
    cross_table: bool = True
    """Whether any two images of different identities may be compared as impostors of their groups:
    not where identities are inferred, so that two may be one person, nor where pairs of a group
    take in images of others."""
    pairs: PairsOrigin | None = None
    """None where an older file does not record it."""
    pairs_per_group: int | None = None
    """Most fold pairs of a group that were to be drawn; None for published pairs, and where an
    older file does not record it."""

    @property
    def simulated(self) -> bool:
        """Whether any image used is synthetic."""
        return self.origins.get("synthetic", 0) > 0

    @property
    def pairs_statement(self) -> str:
        """Where the pairs come from, as a sentence."""
        return pairs_statement(self.pairs, self.seed)

    @cached_property
    def rows(self) -> Rows:
        """Sorted manifest rows that occur in a pair."""
        pairs = (self.fold_pairs, self.score_pairs)
        return np.unique(np.concatenate([side for p in pairs for side in (p.a, p.b)]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pairs, groups and identities: equal fingerprints, comparable results."""
        digest = hashlib.sha256(json.dumps([self.groups, self.manifest_fingerprint]).encode())
        for pairs in (self.fold_pairs, self.score_pairs):
            for field in fields(pairs):
                digest.update(np.ascontiguousarray(getattr(pairs, field.name), "<i8").data)
        digest.update(np.ascontiguousarray(self.identity, dtype="<i8").data)
        return digest.hexdigest()

    @staticmethod
    def from_arrays(
        identity: Column,
        groups: Column | Table | None = None,
        *,
        pairs: tuple[Column, Column] | None = None,
        fold: Column | None = None,
        **options: Any,
    ) -> Protocol:
        """A protocol over the rows of arrays: drawn, seeded and balanced, or of given pairs.

        >>> from evenface import Protocol
        >>> protocol = Protocol.from_arrays([1, 1, 2, 2, 3, 3, 4, 4], folds=2)
        >>> len(protocol.score_pairs), int(protocol.score_pairs.genuine.sum())
        (28, 4)
        >>> given = Protocol.from_arrays(
        ...     [1, 1, 2, 2], pairs=([0, 2, 0, 1], [1, 3, 2, 3]), folds=2
        ... )
        >>> given.fold_pairs.genuine.tolist()
        [True, False, True, False]

        Args:
            identity: (N,) who each image shows.
            groups: the group of each image, or a table of attributes; as in
                :func:`evenface.audit`, with ``group_by`` and ``cross`` among ``options``.
            pairs: row numbers of the first and of the second image of each pair, both of one
                group; None to draw pairs.
            fold: number of each given pair's fold; None deals pairs to folds.
            options: ``group_by``, ``cross``, ``simulated``, ``name``, ``seed`` and ``folds``; for
                drawn pairs ``pairs_per_group``, ``max_pairs`` and ``impostors`` as in
                :func:`protocol_from_manifest`.

        Raises:
            UsageError, DataError, ValueError: as :func:`evenface.audit`; pairs across groups.
        """
        from evenface.evaluate.from_arrays import protocol_from_arrays

        return protocol_from_arrays(identity, groups, pairs=pairs, fold=fold, **options)

    def write(self, path: Path) -> None:
        """Write as one Parquet file (pairs as rows, the rest in the schema's metadata)."""
        pairs = Pairs.concat([self.fold_pairs, self.score_pairs])
        columns: dict[str, Any] = {f.name: getattr(pairs, f.name) for f in fields(Pairs)}
        columns["scored"] = np.arange(len(pairs)) >= len(self.fold_pairs)
        columns["identity_a"] = self.identity[pairs.a]
        columns["identity_b"] = self.identity[pairs.b]
        header = {
            "version": _VERSION,
            "name": self.name,
            "groups": self.groups,
            "group_by": self.group_by,
            "manifest_rows": len(self.identity),
            "counts": [asdict(c) for c in self.counts],
            "origins": self.origins,
            "manifest_fingerprint": self.manifest_fingerprint,
            "folds": self.folds,
            "seed": self.seed,
            "notes": self.notes,
            "cross_table": self.cross_table,
            "pairs": self.pairs,
            "pairs_per_group": self.pairs_per_group,
        }
        table = pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(header)})
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what :meth:`write` wrote.

        Raises:
            DataError: no such file, or no (or a damaged) protocol.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such protocol file")
        try:
            table = pq.read_table(path)
            header = json.loads((table.schema.metadata or {})[_METADATA_KEY])
            if header["version"] != _VERSION:
                raise DataError(f"{path}: protocol version {header['version']}, not {_VERSION}")
            columns = {name: table.column(name).to_numpy() for name in table.column_names}
            _check_content(header, columns)
            pairs = Pairs(*(columns[field.name] for field in fields(Pairs)))
            identity = np.full(header["manifest_rows"], -1, dtype=np.int64)
            identity[pairs.a] = columns["identity_a"]
            identity[pairs.b] = columns["identity_b"]
            return cls(
                name=header["name"],
                groups=tuple(header["groups"]),
                group_by=tuple(header["group_by"]),
                fold_pairs=pairs.select(~columns["scored"]),
                score_pairs=pairs.select(columns["scored"]),
                identity=identity,
                counts=tuple(GroupCounts(**counts) for counts in header["counts"]),
                origins=header["origins"],
                manifest_fingerprint=header["manifest_fingerprint"],
                folds=header["folds"],
                seed=header["seed"],
                notes=tuple(header["notes"]),
                cross_table=header["cross_table"],
                pairs=header.get("pairs"),
                pairs_per_group=header.get("pairs_per_group"),
            )
        except _DAMAGE as error:
            raise DataError(f"{path}: not a readable protocol ({error})") from None


_DAMAGE = (
    pa.ArrowException, OSError, KeyError, TypeError, ValueError, IndexError, AttributeError,
    RecursionError,
)  # fmt: skip
"""What reading a damaged protocol raises."""
_MOST_ROWS = 10**9


def _check_content(header: dict[str, Any], columns: dict[str, np.ndarray]) -> None:
    """ValueError for content that :meth:`Protocol.write` does not write."""
    lists = [header["groups"], header["group_by"], header["notes"]]
    if not all(isinstance(texts, list) for texts in lists) or not all(
        isinstance(text, str) for text in (header["name"], *chain.from_iterable(lists))
    ):
        raise ValueError("names, groups and notes must be text")
    rows, groups, folds = header["manifest_rows"], len(header["groups"]), header["folds"]
    if not all(type(number) is int for number in (rows, folds, header["seed"])):
        raise ValueError("numbers of rows, folds and the seed must be whole")
    if not 0 <= rows <= _MOST_ROWS or folds < 0 or len(header["counts"]) != groups:
        raise ValueError("its counts do not fit each other")
    numbers = (value for of in header["counts"] for value in of.values())
    if not all(type(n) is int and n >= 0 for n in (*numbers, *header["origins"].values())):
        raise ValueError("counts must be whole numbers")
    for name, least, most in (
        ("a", 0, rows),
        ("b", 0, rows),
        ("group", 0, groups),
        ("fold", -1, folds),
        ("identity_a", -1, len(columns["a"]) * 2 + rows),
        ("identity_b", -1, len(columns["b"]) * 2 + rows),
    ):
        values = columns[name]
        if values.dtype.kind != "i" or (len(values) and not least <= values.min()):
            raise ValueError(f"column {name!r} must hold whole numbers from {least}")
        if len(values) and values.max() >= most:
            raise ValueError(
                f"column {name!r} holds {values.max()}, at most {most - 1} is possible"
            )
    for name in ("genuine", "scored"):
        if columns[name].dtype != bool:
            raise ValueError(f"column {name!r} must hold truth values")


def holds_protocol(path: Path) -> bool:
    """Whether a Parquet file is one that :meth:`Protocol.write` wrote."""
    try:
        return _METADATA_KEY in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def protocol_from_manifest(
    manifest: Manifest,
    *,
    group_by: str | Sequence[str] | None = None,
    folds: int = 10,
    pairs_per_group: int | None = None,
    max_pairs: int = DEFAULT_MAX_PAIRS,
    impostors: Impostors = "within",
    seed: int = 0,
    name: str = "manifest",
) -> Protocol:
    """Draw a verification protocol from a manifest, seeded, balanced per group.

    Fold pairs: half genuine, half impostor in every fold, all folds of a group of one size.
    Folds are disjoint in identity where a group has at least two identities a fold, one of them
    with two images; else pairs, not identities, are dealt to the folds, and ``notes`` says so.

    Score pairs: every genuine and every impostor pair of the group, at most ``max_pairs`` of each.

    Args:
        manifest: the images; rows without a value of a grouping attribute are left out.
        group_by: as in ``Manifest.groups``: None for the first attribute, () for one group "all".
        folds: number of folds, at least 2.
        pairs_per_group: most fold pairs a group; None for :func:`default_fold_pairs` of the group
            with the fewest people, so that all groups are cut alike.
        max_pairs: most score pairs of each kind a group.
        impostors: "within": both images of an impostor pair are of its group; "across": the first
            is of its group, the second of any other.
        seed: equal seeds and manifests give equal protocols.
        name: what results call this protocol.

    Raises:
        ValueError: ``folds`` < 2, or limits too small for one pair of each kind a fold.
        UsageError: an unknown attribute; impostors across a single group.
        DataError: groups without genuine pairs, or with a single identity; all are named.
    """
    if group_by is None:
        group_by = manifest.attributes[:1]
    by = (group_by,) if isinstance(group_by, str) else tuple(group_by)
    labels = manifest.groups(by).astype(object)  # first, to refuse an unknown attribute
    named = manifest.named()
    if not named.any():
        raise DataError(
            "the images have no identity, so that no pairs can be drawn. Such a set serves "
            "distillation without labels, labelling, and embedding"
        )
    labels[~named] = None
    for attribute in by:
        labels[[value is None for value in manifest.column(attribute)]] = None
    return draw_protocol(
        LabelledRows(
            people=manifest.labels(),
            groups=labels,
            group_by=by,
            origins=manifest.column("origin"),
            fingerprint=manifest.fingerprint,
        ),
        folds=folds,
        pairs_per_group=pairs_per_group,
        max_pairs=max_pairs,
        impostors=impostors,
        seed=seed,
        name=name,
    )


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """What a protocol is drawn from; arrays are (N,)."""

    people: Rows
    """Number of each row's identity."""
    groups: NDArray[np.object_]
    """Name of each row's group; None for rows to be left out."""
    group_by: tuple[str, ...]
    """Attributes that define the groups."""
    origins: NDArray[Any]
    """ "real" or "synthetic"."""
    fingerprint: str


def draw_protocol(
    labelled: LabelledRows,
    *,
    folds: int = 10,
    pairs_per_group: int | None = None,
    max_pairs: int = DEFAULT_MAX_PAIRS,
    impostors: Impostors = "within",
    seed: int = 0,
    name: str,
) -> Protocol:
    """Draw from labels alone; all else as in :func:`protocol_from_manifest`."""
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    if pairs_per_group is not None and pairs_per_group < 2 * folds:
        raise ValueError(
            f"pairs_per_group must be at least 2 · folds = {2 * folds}, got {pairs_per_group}"
        )
    if max_pairs < 1:
        raise ValueError(f"max_pairs must be positive, got {max_pairs}")
    people, count = labelled.people, len(labelled.people)
    used, notes = _labelled(labelled)
    groups, group_of = np.unique(labelled.groups[used].astype(str), return_inverse=True)
    names = tuple(str(group) for group in groups)
    code = people[used]
    _, code = np.unique(group_of * (code.max() + 1) + code, return_inverse=True)
    identity = np.full(count, -1, dtype=np.int64)
    identity[used] = code
    _refuse_unusable(names, group_of, code)
    fewest = min(len(np.unique(code[group_of == g])) for g in range(len(names)))
    limit = default_fold_pairs(fewest) if pairs_per_group is None else pairs_per_group
    if impostors == "across":
        if len(names) < 2:
            raise UsageError(f"impostors across groups need two groups; there is {names[0]!r}")
        notes.append("impostor pairs are of one image of the group and one of any other group")

    rngs = [generator(seed, "protocol", group) for group in names]
    fold_of = np.full(count, -1, dtype=np.int64)
    rows_of = [used[group_of == g] for g in range(len(names))]
    dealt = [
        _identity_folds(identity[rows], folds, rng) for rows, rng in zip(rows_of, rngs, strict=True)
    ]
    # Pairs across groups need folds of all groups.
    whole = impostors == "within" or all(found is not None for found in dealt)
    for rows, found in zip(rows_of, dealt, strict=True):
        if found is not None and whole:
            fold_of[rows] = found
    fold_parts, score_parts, counts = [], [], []
    for g, group in enumerate(names):
        rows, rng = rows_of[g], rngs[g]
        sizes = np.unique(identity[rows], return_counts=True)[1]
        counts.append(GroupCounts(len(rows), len(sizes), int((sizes == 1).sum())))
        others = None if impostors == "within" else used[group_of != g]
        draw = _impostors(rows, others, identity, people, fold_of, rng)
        in_folds, fold_notes = _fold_pairs(
            rows, identity[rows], fold_of[rows], g, group, folds, limit, draw, rng
        )
        scored, score_notes = _score_pairs(
            rows, identity[rows], others, g, group, max_pairs, draw, rng
        )
        fold_parts.append(in_folds)
        score_parts.append(scored)
        notes += [*_single_notes(group, counts[-1]), *fold_notes, *score_notes]
    notes += _size_notes(names, fold_parts)

    origins = Counter(str(origin) for origin in labelled.origins[used])
    return Protocol(
        name=name,
        groups=names,
        group_by=labelled.group_by,
        fold_pairs=Pairs.concat(fold_parts),
        score_pairs=Pairs.concat(score_parts),
        identity=identity,
        counts=tuple(counts),
        origins=dict(sorted(origins.items())),
        manifest_fingerprint=labelled.fingerprint,
        folds=folds,
        seed=seed,
        notes=tuple(notes),
        cross_table=impostors == "within",
        pairs="drawn",
        pairs_per_group=limit,
    )


def default_fold_pairs(people: int) -> int:
    """Most fold pairs of a group of so many people: 24 a person, within 6,000 to 100,000.

    The variance of an accuracy has a part that falls with the people and one that falls with the
    pairs. With fewer than 24 pairs a person (12 genuine, which five or six images give, and 12
    impostors) the pairs limit what more people could show; twice as many narrow an interval by a
    tenth, see ``docs/evaluation.md``.
    """
    return min(max(LEAST_CAP, PAIRS_PER_PERSON * people), MOST_FOLD_PAIRS)


def _impostors(
    rows: Rows,
    others: Rows | None,
    identity: Rows,
    people: Rows,
    fold_of: Rows,
    rng: np.random.Generator,
) -> _Draw:
    """How impostor pairs of a group of ``rows`` are drawn: with ``others``, if given."""

    def draw(fold: int | None, limit: int) -> tuple[Rows, Rows]:
        inside = rows if fold is None else rows[fold_of[rows] == fold]
        if others is None:
            return impostor_pairs(inside, identity[inside], limit, rng)
        outside = others if fold is None else others[fold_of[others] == fold]
        return impostor_pairs_across(inside, outside, people, limit, rng)

    return draw


def _labelled(labelled: LabelledRows) -> tuple[Rows, list[str]]:
    used = np.flatnonzero(np.array([group is not None for group in labelled.groups]))
    left_out = len(labelled.groups) - len(used)
    by = labelled.group_by
    if not len(used):
        raise DataError(f"no image of the manifest has a value of {' and '.join(by)}")
    if not left_out:
        return used, []
    return used, [f"{left_out:,} images without a value of {' or '.join(by)} are left out"]


def _refuse_unusable(names: tuple[str, ...], group_of: Rows, code: Rows) -> None:
    problems = []
    for g, group in enumerate(names):
        codes = code[group_of == g]
        if count_genuine(codes) == 0:
            problems.append(
                f"group {group!r} has no genuine pair ({len(codes):,} images of as many identities)"
            )
        elif len(np.unique(codes)) < 2:
            problems.append(f"group {group!r} has one identity, so no impostor pair")
    if problems:
        raise DataError(
            "cannot verify: "
            + "; ".join(problems)
            + ". Add images, leave these groups out, or evaluate without groups "
            "(--group-by none)."
        )


def _fold_pairs(
    rows: Rows,
    identity: Rows,
    fold_of: Rows,
    g: int,
    group: str,
    folds: int,
    limit: int,
    draw_impostors: _Draw,
    rng: np.random.Generator,
) -> tuple[Pairs, list[str]]:
    """Balanced pairs of one group in folds of one size, ordered by fold; and notes.

    ``fold_of`` is (n,) of the group's rows, all −1 where identities are too few for folds.
    """
    notes: list[str] = []
    if (fold_of < 0).all():
        genuine = genuine_pairs(rows, identity, limit // 2, rng)
        impostor = draw_impostors(None, limit // 2)
        pools = [_deal(pairs, folds, rng) for pairs in (genuine, impostor)]
        if min(len(pools[0]), len(pools[1])) < 2:
            raise DataError(
                f"group {group!r} has {len(genuine[0])} genuine and {len(impostor[0])} impostor "
                "pairs: two of each are needed for folds. Add images or evaluate without "
                "groups (--group-by none)."
            )
        notes.append(
            f"group {group!r}: {len(np.unique(identity)):,} identities are too few for {folds} "
            "folds disjoint in identity; pairs were dealt to folds, which share identities"
        )
    else:
        share = limit // (2 * folds)
        pools = [
            [
                genuine_pairs(rows[fold_of == f], identity[fold_of == f], share, rng)
                for f in range(folds)
            ],
            [draw_impostors(f, share) for f in range(folds)],
        ]
    used_folds = min(len(pools[0]), len(pools[1]))
    if used_folds < folds:
        notes.append(f"group {group!r}: pairs suffice for {used_folds} folds only")
    size = min(len(pairs[0]) for pool in pools for pairs in pool[:used_folds])
    parts = []
    for f in range(used_folds):
        for pool, is_genuine in zip(pools, (True, False), strict=True):
            a, b = _some(pool[f], size, rng)
            parts.append(_as_pairs(a, b, is_genuine, g, f))
    return Pairs.concat(parts), notes


def _identity_folds(identity: Rows, folds: int, rng: np.random.Generator) -> Rows | None:
    """(n,) fold of each row with identities kept whole, or None when there are too few.

    Identities are dealt in snake order from the one with most images to the one with fewest
    (equals at random), which gives every fold as many identities and nearly as many pairs.
    """
    found, inverse, sizes = np.unique(identity, return_inverse=True, return_counts=True)
    if len(found) < 2 * folds or (sizes > 1).sum() < folds:
        return None
    order = np.lexsort((rng.random(len(found)), -sizes))
    snake = np.concatenate([np.arange(folds), np.arange(folds)[::-1]])
    fold_of_identity = np.empty(len(found), dtype=np.int64)
    fold_of_identity[order] = np.resize(snake, len(found))
    return fold_of_identity[inverse]


def _deal(
    pairs: tuple[Rows, Rows], folds: int, rng: np.random.Generator
) -> list[tuple[Rows, Rows]]:
    """Shuffle pairs into ``folds`` equal parts (fewer parts where there are fewer pairs)."""
    count = len(pairs[0])
    shuffled = rng.permutation(count)
    size = max(1, count // folds)
    parts = np.split(shuffled[: size * min(folds, count)], min(folds, count)) if count else []
    return [(pairs[0][part], pairs[1][part]) for part in parts]


def _some(pairs: tuple[Rows, Rows], size: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    chosen = np.sort(rng.choice(len(pairs[0]), size, replace=False))
    return pairs[0][chosen], pairs[1][chosen]


def _score_pairs(
    rows: Rows,
    identity: Rows,
    others: Rows | None,
    g: int,
    group: str,
    max_pairs: int,
    draw_impostors: _Draw,
    rng: np.random.Generator,
) -> tuple[Pairs, list[str]]:
    parts, notes = [], []
    genuine = count_genuine(identity)
    impostor = len(rows) * (len(rows) - 1) // 2 - genuine
    if others is not None:
        impostor = len(rows) * len(others)
    for is_genuine, available in ((True, genuine), (False, impostor)):
        a, b = (
            genuine_pairs(rows, identity, max_pairs, rng)
            if is_genuine
            else draw_impostors(None, max_pairs)
        )
        parts.append(_as_pairs(a, b, is_genuine, g, -1))
        if available > max_pairs:
            kind = "genuine" if is_genuine else "impostor"
            notes.append(
                f"group {group!r}: {max_pairs:,} of {available:,} {kind} pairs were drawn for "
                "EER, AUC and TAR@FAR"
            )
    return Pairs.concat(parts), notes


def _as_pairs(a: Rows, b: Rows, is_genuine: bool, group: int, fold: int) -> Pairs:
    size = len(a)
    return Pairs(
        a,
        b,
        np.full(size, is_genuine),
        np.full(size, group, dtype=np.int64),
        np.full(size, fold, dtype=np.int64),
    )


def _single_notes(group: str, counts: GroupCounts) -> list[str]:
    if not counts.single_image_identities:
        return []
    return [
        f"group {group!r}: {counts.single_image_identities:,} of {counts.identities:,} identities "
        "have one image and take part in impostor pairs only"
    ]


def _size_notes(names: tuple[str, ...], parts: list[Pairs]) -> list[str]:
    sizes = [len(part) for part in parts]
    if len(set(sizes)) == 1:
        return []
    listed = ", ".join(f"{name} {size:,}" for name, size in zip(names, sizes, strict=True))
    return [f"groups differ in the number of fold pairs: {listed}"]
