"""Mixes of several sources: units, weights, caps, totals, what cannot be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evenface.data.cells import TOO_SMALL
from evenface.data.manifest import Manifest
from evenface.data.mix import InfeasibleMixError, MixRules, Source, mix_sources
from evenface.errors import UsageError

Describe = Callable[..., Manifest]
GROUPS = ("east", "north", "west")

sizes = st.lists(st.integers(1, 6), min_size=1, max_size=6)
pools = st.lists(sizes, min_size=3, max_size=3)


def people(pool: Sequence[Sequence[int]], prefix: str) -> list[tuple[str, str, int]]:
    return [
        (f"{prefix}{group[0]}{i}", group, images)
        for group, identities in zip(GROUPS, pool, strict=True)
        for i, images in enumerate(identities)
    ]


@pytest.fixture(scope="module")
def three(stores: Path, describe: Describe) -> Callable[..., list[Source]]:
    """A real source and two synthetic ones over halves of one store, by images per identity."""

    def make(
        real: Sequence[Sequence[int]],
        first: Sequence[Sequence[int]],
        second: Sequence[Sequence[int]],
        weights: tuple[float | None, float | None] = (None, None),
    ) -> list[Source]:
        a = describe("synthetic", people(first, "a"))
        whole = describe("synthetic", [*people(first, "a"), *people(second, "b")])
        b = whole.select(np.arange(len(a), len(whole)))
        return [
            Source("real", "real", describe("real", people(real, "r"))),
            Source("a", "synthetic", a, weights[0]),
            Source("b", "synthetic", b, weights[1]),
        ]

    return make


half_pools = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=3, max_size=3)
rules = st.builds(
    MixRules,
    real_fraction=st.sampled_from([0.3, 0.5, 0.7]),
    balance=st.sampled_from(["identities", "images", "none"]),
    real_fraction_of=st.sampled_from([None, "identities", "images"]),
    max_images=st.sampled_from([None, 1, 2]),
    seed=st.integers(0, 9),
)


@settings(max_examples=25, deadline=None)
@given(pools, half_pools, half_pools, rules, st.randoms(use_true_random=False))
def test_quotas_add_up_and_order_changes_nothing(three, real, first, second, rule, random) -> None:
    sources = three(real, first, second)
    try:
        mixed, report = mix_sources(sources, rule)
    except InfeasibleMixError:
        assume(False)
    # What is asked is taken, to the last identity or image; sources add up to their role.
    unit = rule.unit
    for name, source in report.sources.items():
        assert getattr(source, unit) == source.asked
        assert source.asked == sum(
            getattr(group.sources[name], unit) for group in report.groups.values()
        )
    assert sum(source.asked for source in report.sources.values()) == report.total
    if rule.balance != "none":
        per_group = {
            name: getattr(group.real, unit) + getattr(group.synthetic, unit)
            for name, group in report.groups.items()
        }
        assert len(set(per_group.values())) == 1
    # Nobody is in two groups, nor above the cap; the report counts what is there.
    pairs = set(zip(mixed.column("identity"), mixed.groups(), strict=True))
    assert len(pairs) == len(mixed.identities()) == report.identities
    if rule.max_images:
        assert max(Counter(mixed.column("identity")).values()) <= rule.max_images
    assert len(mixed) == report.images
    # Rows and sources in another order give the same mix and report.
    turned = [
        Source(s.name, s.role, s.manifest.select(random.sample(range(n), n)), s.weight)
        for s in sources
        if (n := len(s.manifest))
    ]
    random.shuffle(turned)
    again, same = mix_sources(turned, rule)
    assert again.table.equals(mixed.table)
    assert same == report


def test_sources_of_a_role_give_what_they_have_or_what_they_are_weighed(three) -> None:
    real, first, second = [[1] * 8] * 3, [[1] * 3] * 3, [[1] * 6] * 3
    rule = MixRules(real_fraction=0.5, total=36)
    _, report = mix_sources(three(real, first, second), rule)
    # 6 synthetic identities a group, of 3 and 6: 2 and 4.
    assert [report.sources[name].asked for name in ("real", "a", "b")] == [18, 6, 12]
    _, report = mix_sources(three(real, first, second, (1.0, 1.0)), rule)
    assert [report.groups["east"].sources[name].asked for name in ("a", "b")] == [3, 3]
    with pytest.raises(InfeasibleMixError, match=r"east: real 7 of 8, a 4 of 3, b 3 of 6"):
        mix_sources(three(real, first, second, (1.0, 1.0)), rule.model_copy(update={"total": 42}))


def test_the_fraction_may_count_the_other_unit(three) -> None:
    """By hand: 4 images each of real, 1 each of synthetic; half of the images real."""
    sources = three([[4] * 5] * 3, [[1] * 4] * 3, [[1] * 4] * 3)
    rule = MixRules(real_fraction=0.5, real_fraction_of="images", total=15)
    _, report = mix_sources(sources, rule)
    # Of 5 identities: 1 real (4 images) and 4 synthetic (4 images).
    for group in report.groups.values():
        assert (group.real.identities, group.synthetic.identities) == (1, 4)
    assert report.groups["east"].real_fraction_images == TOO_SMALL
    _, report = mix_sources(
        sources,
        MixRules(
            real_fraction=0.5, real_fraction_of="identities", balance="images", total=30, min_cell=1
        ),
    )
    # Of 10 images: 2 real identities (8) and 2 synthetic ones (2).
    east = report.groups["east"]
    assert (east.real.images, east.synthetic.images) == (8, 2)
    assert east.real_fraction_identities == 0.5


def naive_split(real: list[int], synthetic: list[int], size: int, wanted: Fraction) -> int:
    """Identities of real: the split of ``size`` whose share of images is nearest, by trying all."""
    best = []
    for count in range(1, size):
        if count <= len(real) and size - count <= len(synthetic):
            images = sum(real[:count]), sum(synthetic[: size - count])
            best.append((abs(Fraction(images[0], sum(images)) - wanted), -count))
    return -min(best)[1]


@settings(max_examples=25, deadline=None)
@given(sizes, sizes, st.integers(2, 8), st.sampled_from([0.25, 0.5, 0.8]))
def test_crossed_split_against_trying_all(describe, real, synthetic, size, wanted) -> None:
    sources = [
        Source("real", "real", describe("real", people([real, [], []], "r"))),
        Source("synthetic", "synthetic", describe("synthetic", people([synthetic, [], []], "s"))),
    ]
    rule = MixRules(real_fraction=wanted, real_fraction_of="images", total=size)
    try:
        _, report = mix_sources(sources, rule)
    except InfeasibleMixError:
        assume(False)
    order = {}
    for part in ("real", "synthetic"):
        everyone, _ = mix_sources(
            [s for s in sources if s.role == part],
            MixRules(real_fraction=float(part == "real")),
        )
        images = Counter(everyone.column("identity"))
        order[part] = [images[name] for name in drawn(sources, part)]
    got = report.groups["east"].real.identities
    assert got == naive_split(order["real"], order["synthetic"], size, Fraction(str(wanted)))


def drawn(sources: list[Source], part: str) -> list[str]:
    """Identities of a part in the order in which growing mixes take them."""
    source = next(s for s in sources if s.role == part)
    names: list[str] = []
    for total in range(1, len(source.manifest.identities()) + 1):
        rule = MixRules(real_fraction=float(part == "real"), total=total)
        names += sorted(set(mix_sources([source], rule)[0].identities()) - set(names))
    return names


def test_total_may_count_the_other_unit(three) -> None:
    sources = three([[3] * 6] * 3, [[3] * 3] * 3, [[3] * 3] * 3)
    rule = MixRules(balance="images", real_fraction=0.5, total=18, total_of="identities")
    mixed, report = mix_sources(sources, rule)
    # 15 images a group: 8 real ones of 3 people, 4 of 2 people of a, 3 of one of b. With 16 it
    # would be 8, 4 and 4 images of 3, 2 and 2 people, 21 in all.
    assert report.identities == 18
    assert report.total == len(mixed) == 45
    assert report.total_asked == 18
    _, report = mix_sources(sources, rule.model_copy(update={"total": 20}))
    assert report.identities <= 20
    for bound in (6, 36):
        _, report = mix_sources(sources, rule.model_copy(update={"total": bound}))
        assert report.identities == bound
    with pytest.raises(InfeasibleMixError, match="6 to 36 identities are possible"):
        mix_sources(sources, rule.model_copy(update={"total": 37}))
    with pytest.raises(InfeasibleMixError, match="6 to 36 identities are possible"):
        mix_sources(sources, rule.model_copy(update={"total": 5}))


def test_cap_on_the_images_of_an_identity(three) -> None:
    sources = three([[5] * 2] * 3, [[5]] * 3, [[5]] * 3)
    rule = MixRules(real_fraction=0.5, max_images=2)
    mixed, report = mix_sources(sources, rule)
    assert set(Counter(mixed.column("identity")).values()) == {2}
    assert report.groups["east"].real.truncated_identities == 2
    assert report.groups["east"].real.available_images == 10
    larger, _ = mix_sources(sources, rule.model_copy(update={"max_images": 3}))
    rows = [set(zip(m.column("store"), m.column("index"), strict=True)) for m in (mixed, larger)]
    assert rows[0] < rows[1]


def test_nearest_total(three) -> None:
    sources = three([[1] * 4, [1] * 2, [1] * 4], [[1] * 4] * 3, [[1] * 4] * 3)
    rule = MixRules(real_fraction=0.5, total=24)
    with pytest.raises(InfeasibleMixError, match=r"north: real 4 of 2.*") as caught:
        mix_sources(sources, rule)
    assert caught.value.nearest == {"total": 12}
    assert "The nearest mix: total 12; --nearest takes it" in str(caught.value)
    _, report = mix_sources(sources, rule.model_copy(update={"nearest": True}))
    assert (report.total, report.total_asked, report.nearest) == (12, 24, {"total": 12})


def test_nearest_fraction_where_a_group_lacks_a_part(describe: Describe) -> None:
    sources = [
        Source("real", "real", describe("real", people([[1] * 3, [1] * 3, [1] * 3], "r"))),
        Source("made", "synthetic", describe("synthetic", people([[1] * 3, [], [1] * 3], "s"))),
    ]
    rule = MixRules(real_fraction=0.5)
    with pytest.raises(InfeasibleMixError, match=r"north: real 1 of 3, made 1 of 0") as caught:
        mix_sources(sources, rule)
    assert caught.value.nearest == {"real_fraction": 1.0}
    _, report = mix_sources(sources, rule.model_copy(update={"nearest": True}))
    assert report.nearest == {"real_fraction": 1.0}
    assert report.sources["made"].identities == 0
    sources[0] = Source("real", "real", describe("real", people([[1] * 3, [1], []], "r")))
    with pytest.raises(InfeasibleMixError, match="makes any mix impossible") as caught:
        mix_sources(sources, rule)
    assert caught.value.nearest == {}


@settings(max_examples=25, deadline=None)
@given(pools, half_pools, half_pools, rules, st.integers(1, 60))
def test_what_is_offered_can_be_had(three, real, first, second, rule, total) -> None:
    sources = three(real, first, second)
    rule = rule.model_copy(update={"total": total})
    try:
        mix_sources(sources, rule)
    except InfeasibleMixError as error:
        assume(error.nearest)
        mix_sources(sources, rule.model_copy(update=error.nearest))


def test_a_role_without_a_source(describe: Describe) -> None:
    real = Source("real", "real", describe("real", people([[1] * 3] * 3, "r")))
    with pytest.raises(InfeasibleMixError, match="no synthetic source"):
        mix_sources([real], MixRules())
    assert len(mix_sources([real], MixRules(real_fraction=1))[0]) == 9
    with pytest.raises(UsageError, match="needs a synthetic source"):
        mix_sources([real], MixRules(real_fraction=0))
    with pytest.raises(UsageError, match="nothing to mix"):
        mix_sources([], MixRules())
    with pytest.raises(UsageError, match="names of their own"):
        mix_sources([real, real], MixRules(real_fraction=1))


def test_sources_without_attributes_mix_as_they_are(three, stores: Path) -> None:
    plain = Manifest.from_columns(
        stores / "synthetic",
        index=range(6),
        identity=list("uvwxyz"),
        origin="synthetic",
        dataset="plain",
        licence="l",
    )
    real = three([[1] * 4] * 3, [[1]] * 3, [[1]] * 3)[0]
    sources = [real, Source("plain", "synthetic", plain)]
    _, report = mix_sources(sources, MixRules(balance="none", total=10))
    assert (report.sources["real"].identities, report.sources["plain"].identities) == (7, 3)
    with pytest.raises(UsageError, match="share no attribute"):
        mix_sources(sources, MixRules(total=10))


def test_predicted_labels_are_told(three) -> None:
    sources = three([[1] * 4] * 3, [[1] * 2] * 3, [[1] * 2] * 3)
    made = sources[1].manifest
    labelled = made.with_attribute(
        "ethnicity",
        made.column("ethnicity"),
        source="predicted",
        confidence=np.full(len(made), 0.7),
    )
    sources[1] = Source("a", "synthetic", labelled)
    mixed, report = mix_sources(sources, MixRules(real_fraction=0.5, total=12))
    assert report.sources["a"].labels == {"ethnicity": {"predicted": 3}}
    assert report.sources["real"].labels == {"ethnicity": {"declared": 6}}
    predicted = mixed.column("ethnicity_source") == "predicted"
    assert predicted.sum() == 3
    np.testing.assert_array_equal(mixed.confidence("ethnicity")[predicted], np.float32(0.7))
    assert (mixed.confidence("ethnicity")[~predicted] == 1).all()
