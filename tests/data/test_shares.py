"""Training sets of one size in which a group has less than its even share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenface.data.manifest import Manifest
from evenface.data.shares import Quota, Shares, by_source, draw_shares, quotas
from evenface.errors import DataError

GROUPS = ("a", "b", "c")


@pytest.fixture(scope="module")
def faces(make_people) -> Manifest:
    return make_people(dict.fromkeys(GROUPS, 30), images=5)


@pytest.fixture(scope="module")
def make_people(tmp_path_factory):
    from evenface.data.store import ImageStoreWriter

    def make(sizes: dict[str, int], images: int, origin: str = "real") -> Manifest:
        names = [f"{origin}-{g}{n:02d}" for g, count in sizes.items() for n in range(count)]
        folder = tmp_path_factory.mktemp(origin)
        with ImageStoreWriter(folder) as writer:
            writer.append(np.zeros((len(names) * images, 112, 112, 3), dtype=np.uint8))
        identity = [name for name in names for _ in range(images)]
        return Manifest.from_columns(
            folder,
            index=range(len(identity)),
            identity=identity,
            origin=origin,
            dataset=origin,
            licence="CC0-1.0",
            attributes={"group": [name.split("-")[1][0] for name in identity]},
        )

    return make


def sizes(manifest: Manifest) -> dict[str, tuple[int, int]]:
    """Group → identities, images."""
    groups, identity = manifest.groups(), manifest.column("identity")
    return {
        g: (len(set(identity[groups == g])), int((groups == g).sum())) for g in sorted(set(groups))
    }


def test_what_a_group_lacks_the_others_fill_up(faces):
    starved = draw_shares((faces, faces), Shares(45, 4, {"a": 0.2}))
    assert sizes(starved) == {"a": (3, 12), "b": (21, 84), "c": (21, 84)}
    images = draw_shares((faces, faces), Shares(45, 4, {"a": 0.25}, starve="images"))
    # 15 people of 1 image in place of 4 leave room for 11 whole people.
    assert sizes(images) == {"a": (15, 15), "b": (21, 84), "c": (20, 80)}


def test_smaller_shares_are_within_larger_ones(faces):
    drawn = [
        draw_shares((faces, faces), Shares(45, 4, {"a": share}, seed=3)) for share in (1, 0.5, 0.2)
    ]
    of_a = [set(m.column("index")[m.groups() == "a"]) for m in drawn]
    of_b = [set(m.column("index")[m.groups() == "b"]) for m in drawn]
    assert of_a[2] < of_a[1] < of_a[0]
    assert of_b[0] < of_b[1] < of_b[2]
    other = draw_shares((faces, faces), Shares(45, 4, {"a": 1}, seed=4))
    assert set(other.column("index")) != set(drawn[0].column("index"))


def test_a_mix_keeps_its_share_of_real_faces_in_every_group(faces, make_people):
    synthetic = make_people(dict.fromkeys(GROUPS, 30), images=5, origin="synthetic")
    mixed = draw_shares((faces, synthetic), Shares(60, 5, {"b": 0.5}, real_fraction=0.7))
    people = set(zip(mixed.column("identity"), mixed.groups(), mixed.column("origin"), strict=True))
    assert Counter((group, origin) for _, group, origin in people) == {
        ("a", "real"): 18, ("a", "synthetic"): 7,  # of 25; a half goes to the real ones
        ("b", "real"): 7, ("b", "synthetic"): 3,
        ("c", "real"): 18, ("c", "synthetic"): 7,
    }  # fmt: skip


@given(
    st.integers(1, 400),
    st.integers(1, 20),
    st.dictionaries(st.sampled_from(GROUPS), st.floats(0.01, 1), max_size=2),
)
def test_the_number_of_identities_stays(identities, images, groups):
    shares = Shares(identities, images, groups)
    found = quotas(GROUPS, shares)
    assert sum(of.identities for of in found.values()) == identities
    real, synthetic = by_source(GROUPS, shares)
    assert real == {group: of.identities for group, of in found.items()}
    assert not any(synthetic.values())


@given(st.integers(1, 400), st.integers(1, 20), st.floats(0.01, 1))
def test_the_number_of_images_stays_within_one_identity(identities, images, share):
    found = quotas(GROUPS, Shares(identities, images, {"c": share}, starve="images"))
    total = sum(of.identities * (of.images or 0) for of in found.values())
    assert abs(total - identities * images) <= images / 2


def test_faults_are_named(faces):
    with pytest.raises(ValueError, match=r"no group x; there are a, b, c"):
        quotas(GROUPS, Shares(9, 2, {"x": 0.5}))
    with pytest.raises(ValueError, match=r"none to fill up from"):
        quotas(("a",), Shares(9, 2, {"a": 0.5}))
    with pytest.raises(DataError, match=r"group b: 42 identities with 4 images .* there are 30"):
        draw_shares((faces, faces), Shares(90, 4, {"a": 0.2}))
    assert quotas(("a", "b"), Shares(9)) == {"a": Quota(5, None), "b": Quota(4, None)}
