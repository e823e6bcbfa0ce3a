"""Mixes: exact shares, balance, no row twice, nothing depends on the order of the rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import ROUND_HALF_DOWN, Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evenface.data.manifest import Manifest
from evenface.data.mix import mix, write_mix
from evenface.errors import DataError, UsageError

Describe = Callable[..., Manifest]
GROUPS = ("east", "north", "west")

# Three groups, each with the numbers of images of its identities; at most 120 images in all.
pools = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=6), min_size=3, max_size=3)
fractions = st.sampled_from([0.0, 0.1, 0.29, 0.5, 0.7, 0.75, 1.0])


def make(describe: Describe, part: str, pool: list[list[int]], prefix: str = "p") -> Manifest:
    people = [
        (f"{prefix}{group[0]}{i}", group, images)
        for group, sizes in zip(GROUPS, pool, strict=True)
        for i, images in enumerate(sizes)
    ]
    return describe(part, people)


def part_of(mixed: Manifest) -> np.ndarray:
    """The part each row comes from; the little sets' origins tell."""
    return mixed.column("origin")


def people_in(mixed: Manifest) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for group, part, name in zip(
        mixed.groups(), part_of(mixed), mixed.column("identity"), strict=True
    ):
        found[group, part].add(name)
    return found


def real_quota(size: int, fraction: float) -> int:
    """``fraction`` of ``size``, rounded, a half up: size minus the synthetic share, a half down."""
    share = (1 - Decimal(str(fraction))) * size
    return size - int(share.quantize(Decimal(1), rounding=ROUND_HALF_DOWN))


@settings(max_examples=40, deadline=None)
@given(real=pools, synthetic=pools, fraction=fractions, seed=st.integers(0, 99))
def test_balanced_by_identities(
    describe: Describe,
    real: list[list[int]],
    synthetic: list[list[int]],
    fraction: float,
    seed: int,
) -> None:
    parts = make(describe, "real", real), make(describe, "synthetic", synthetic)
    try:
        mixed, report = mix(*parts, real_fraction=fraction, seed=seed)
    except UsageError:
        assume(False)
    size = report.total // 3
    found = people_in(mixed)
    for group in GROUPS:
        assert len(found[group, "real"]) == real_quota(size, fraction)
        assert len(found[group, "synthetic"]) == size - real_quota(size, fraction)
    # Taken identities come with all their images.
    images = Counter(mixed.column("identity"))
    sizes = {
        part: dict(zip(GROUPS, pool, strict=True))
        for part, pool in (("real", real), ("synthetic", synthetic))
    }
    for (group, part), names in found.items():
        for name in names:
            assert images[name] == sizes[part][group][int(name[-1])]
    check_rows(mixed, parts)
    with pytest.raises(UsageError, match="cannot be had"):
        mix(*parts, real_fraction=fraction, seed=seed, total=report.total + 3)


@settings(max_examples=40, deadline=None)
@given(real=pools, synthetic=pools, fraction=fractions, seed=st.integers(0, 99))
def test_balanced_by_images(
    describe: Describe,
    real: list[list[int]],
    synthetic: list[list[int]],
    fraction: float,
    seed: int,
) -> None:
    parts = make(describe, "real", real), make(describe, "synthetic", synthetic)
    try:
        mixed, report = mix(*parts, real_fraction=fraction, balance="images", seed=seed)
    except UsageError:
        assume(False)
    size = report.total // 3
    images = Counter(zip(mixed.groups(), part_of(mixed), strict=True))
    for group in GROUPS:
        assert images[group, "real"] == real_quota(size, fraction)
        assert images[group, "synthetic"] == size - real_quota(size, fraction)
    cut = [
        part.truncated_identities for g in report.groups.values() for part in (g.real, g.synthetic)
    ]
    assert max(cut) <= 1
    check_rows(mixed, parts)
    with pytest.raises(UsageError, match="cannot be had"):
        mix(*parts, real_fraction=fraction, balance="images", total=report.total + 3)


def check_rows(mixed: Manifest, parts: tuple[Manifest, Manifest]) -> None:
    rows = list(zip(part_of(mixed), mixed.column("index"), strict=True))
    assert len(set(rows)) == len(rows)
    names = people_in(mixed)
    assert len(set.union(*names.values())) == sum(map(len, names.values()))
    # Attributes and images are those of the source.
    for part, source in zip(("real", "synthetic"), parts, strict=True):
        chosen = np.flatnonzero(part_of(mixed) == part)
        index = mixed.column("index")[chosen]
        np.testing.assert_array_equal(
            mixed.column("ethnicity")[chosen], source.column("ethnicity")[index]
        )
        np.testing.assert_array_equal(mixed.images(chosen[:3]), source.images(index[:3]))


@settings(max_examples=20, deadline=None)
@given(
    real=pools,
    synthetic=pools,
    balance=st.sampled_from(["identities", "images", "none"]),
    seed=st.integers(0, 99),
)
def test_independent_of_row_order(
    describe: Describe,
    real: list[list[int]],
    synthetic: list[list[int]],
    balance: str,
    seed: int,
) -> None:
    parts = [make(describe, "real", real), make(describe, "synthetic", synthetic)]
    shuffle = np.random.default_rng(seed).permutation
    turned = [part.select(shuffle(len(part))) for part in parts]
    options = {"real_fraction": 0.5, "balance": balance, "seed": seed}
    try:
        mixed, _ = mix(*parts, **options)
    except UsageError:
        assume(False)
    assert mix(*turned, **options)[0].table.equals(mixed.table)


FIVES = [[5] * 6] * 3


def test_seed_decides_who_is_taken(describe: Describe) -> None:
    parts = make(describe, "real", FIVES), make(describe, "synthetic", FIVES, "q")
    one, same, other = (mix(*parts, total=12, seed=seed)[0].identities() for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_larger_mix_contains_the_smaller(describe: Describe) -> None:
    parts = make(describe, "real", FIVES), make(describe, "synthetic", FIVES, "q")
    small, large = (mix(*parts, total=total)[0].identities() for total in (9, 18))
    assert set(small) < set(large)


def test_a_rest_goes_to_the_first_groups(describe: Describe) -> None:
    parts = make(describe, "real", FIVES), make(describe, "synthetic", FIVES)
    _, report = mix(*parts, total=11, real_fraction=0.5)
    sizes = {
        name: group.real.identities + group.synthetic.identities
        for name, group in report.groups.items()
    }
    assert sizes == {"east": 4, "north": 4, "west": 3}


def test_without_balance_the_groups_stay_as_they_are(describe: Describe) -> None:
    pool = [[2] * 6, [2], []]
    parts = make(describe, "real", pool), make(describe, "synthetic", pool)
    mixed, report = mix(*parts, real_fraction=0.5, balance="none")
    assert report.total == 14
    assert len(mixed) == 28
    lopsided = make(describe, "synthetic", [[2], [], [2]])
    mixed, report = mix(parts[0], lopsided, real_fraction=0.5, balance="none")
    assert report.total == 5  # 3 real (2.5, a half goes to real), 2 synthetic
    assert report.groups["west"].synthetic.identities == 1
    assert report.groups["west"].real.available_identities == 0


def test_a_part_with_a_share_is_never_rounded_away(describe: Describe) -> None:
    parts = make(describe, "real", FIVES), make(describe, "synthetic", FIVES)
    _, report = mix(*parts, real_fraction=0.9, total=18)
    assert report.groups["east"].synthetic.identities == 1
    with pytest.raises(UsageError, match="18 to 21 identities are possible"):
        mix(*parts, real_fraction=0.9, total=15)


def test_rows_without_a_group_take_no_part(describe: Describe) -> None:
    real = describe("real", [("a", "north", 3), ("b", None, 4)])
    synthetic = describe("synthetic", [("c", "north", 3), ("d", None, 2)])
    mixed, report = mix(real, synthetic, real_fraction=0.5)
    assert mixed.identities() == ["a", "c"]
    assert report.rows_without_group == {"real": 4, "synthetic": 2}
    assert len(mix(real, synthetic, real_fraction=0.5, balance="none")[0]) == 12


def test_names_are_prefixed_only_when_they_collide(describe: Describe) -> None:
    real = describe("real", [("a", "north", 1), ("b", "north", 1)])
    apart, report = mix(real, describe("synthetic", [("c", "north", 1)]), real_fraction=0.5)
    assert not report.prefixed
    assert "c" in apart.identities()
    same = describe("synthetic", [("a", "north", 1), ("b", "north", 1)])
    mixed, report = mix(real, same, real_fraction=0.5)
    assert report.prefixed
    assert mixed.identities() == ["real:a", "real:b", "synthetic:a", "synthetic:b"]


def test_report_counts(describe: Describe) -> None:
    real = describe("real", [("a", "north", 3), ("b", "north", 3), ("c", "south", 2)])
    synthetic = describe("synthetic", [("d", "north", 5), ("e", "south", 5)])
    mixed, report = mix(real, synthetic, real_fraction=0.5, balance="images", seed=4)
    assert report.total == len(mixed) == report.images == 8
    south = report.groups["south"]
    assert (south.real.available_identities, south.real.available_images) == (1, 2)
    assert (south.real.images, south.real.truncated_identities) == (2, 0)
    assert (south.synthetic.images, south.synthetic.truncated_identities) == (2, 1)
    assert south.real_fraction_images == 0.5
    assert report.identities == len(mixed.identities())


def test_only_one_part(describe: Describe) -> None:
    real = describe("real", [("a", "north", 3), ("b", "south", 2)])
    synthetic = describe("synthetic", [("c", "west", 3)])
    assert mix(real, synthetic, real_fraction=1.0)[0].identities() == ["a", "b"]
    assert mix(real, synthetic, real_fraction=0.0)[0].identities() == ["c"]


def test_infeasible_requests_say_what_there_is(describe: Describe) -> None:
    real = describe("real", [("a", "north", 3), ("b", "north", 3), ("c", "south", 2)])
    synthetic = describe("synthetic", [("d", "north", 5), ("e", "south", 5)])
    with pytest.raises(UsageError) as caught:
        mix(real, synthetic, real_fraction=0.5, total=8)
    assert "north: real 2 of 2, synthetic 2 of 1" in str(caught.value)
    assert "south: real 2 of 1, synthetic 2 of 1" in str(caught.value)
    assert "4 to 4 identities are possible" in str(caught.value)
    only_north = describe("synthetic", [("d", "north", 5)])
    with pytest.raises(UsageError, match="south: real 1 of 1, synthetic 1 of 0"):
        mix(real, only_north, real_fraction=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"real_fraction": 1.5}, "between 0 and 1"),
        ({"real_fraction": float("nan")}, "between 0 and 1"),
        ({"balance": "people"}, "balance is one of"),
        ({"total": 0}, "cannot be had"),
        ({"total": 2}, "cannot be had"),
        ({"group_by": "age"}, "no attribute 'age'"),
    ],
)
def test_wrong_requests(describe: Describe, options: dict, message: str) -> None:
    parts = make(describe, "real", FIVES), make(describe, "synthetic", FIVES)
    with pytest.raises(UsageError, match=message):
        mix(*parts, **options)


def test_an_identity_in_two_groups(describe: Describe) -> None:
    real = describe("real", [("a", "north", 3), ("a", "south", 3)])
    with pytest.raises(UsageError, match="'a' is in two groups"):
        mix(real, describe("synthetic", [("c", "north", 1), ("d", "south", 1)]))


def test_overlapping_parts(describe: Describe) -> None:
    real = describe("real", [("a", "north", 3), ("b", "north", 3)])
    with pytest.raises(UsageError, match="in the mix twice"):
        mix(real, real, real_fraction=0.5)


def test_no_shared_attribute(describe: Describe, stores: Path) -> None:
    plain = Manifest.from_columns(
        stores / "synthetic", index=[0], identity="x", origin="synthetic", dataset="d", licence="l"
    )
    with pytest.raises(UsageError, match="share no attribute"):
        mix(describe("real", [("a", "north", 3)]), plain)


def test_one_group_where_only_one_part_declares_any(describe: Describe, stores: Path) -> None:
    plain = Manifest.from_columns(
        stores / "synthetic", index=[0], identity="x", origin="synthetic", dataset="d", licence="l"
    )
    _, report = mix(describe("real", [("a", "north", 3)]), plain, real_fraction=0.5, group_by=())
    assert list(report.groups) == ["all"]
    assert report.total == 2


def test_an_interrupted_write_leaves_a_folder_that_can_be_written(
    describe: Describe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed, report = mix(make(describe, "real", FIVES), make(describe, "synthetic", FIVES), total=6)
    with monkeypatch.context() as patch:
        patch.setattr("evenface.data.mix.write_json", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_mix(mixed, report, tmp_path / "mix")
    assert not list(tmp_path.glob("*mix*"))
    write_mix(mixed, report, tmp_path / "mix")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_any_attribute_all_are_one_group(stores: Path) -> None:
    one, other = (
        Manifest.from_columns(
            stores / part, index=[0, 1], identity=["x", "y"], origin=part, dataset="d", licence="l"
        )
        for part in ("real", "synthetic")
    )
    _, report = mix(one, other, real_fraction=0.5)
    assert list(report.groups) == ["all"]
    assert report.total == 4


def test_written_mix_points_at_the_images(describe: Describe, tmp_path: Path) -> None:
    parts = make(describe, "real", FIVES), make(describe, "synthetic", FIVES)
    mixed, report = mix(*parts, total=6)
    write_mix(mixed, report, tmp_path / "mix")
    write_mix(mixed, report, tmp_path / "mix")
    assert {path.name for path in (tmp_path / "mix").iterdir()} == {
        "manifest.parquet",
        "mix-report.json",
    }
    again = Manifest.read(tmp_path / "mix")
    np.testing.assert_array_equal(again.images(), mixed.images())
    assert again.fingerprint == mixed.fingerprint
    with pytest.raises(DataError, match="holds something else"):
        write_mix(*mix(*parts, total=9), tmp_path / "mix")


@pytest.mark.parametrize(
    ("balance", "total", "digest"),
    [
        ("identities", None, "96b95e490ddd6a29"),
        ("identities", 20, "d39ebda8f0a3588d"),
        ("images", None, "94ce667ac38a8421"),
        ("images", 20, "fc7eb45c3d64c8f8"),
        ("none", None, "602c45c0c3ac61f3"),
        ("none", 20, "cccefd058a0f4f11"),
    ],
)
def test_draws_stay_what_they_were(
    describe: Describe, balance: str, total: int | None, digest: str
) -> None:
    """Published results depend on who was drawn: recorded before sources, caps and selections."""
    pool = [[1 + (i * 7 + len(group)) % 5 for i in range(9)] for group in GROUPS]
    parts = make(describe, "real", pool, ""), make(describe, "synthetic", pool, "")
    mixed, _ = mix(*parts, balance=balance, total=total, seed=5)  # type: ignore[arg-type]
    rows = list(zip(mixed.column("identity").tolist(), mixed.column("index").tolist(), strict=True))
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] == digest
