"""Shares of real faces in mixes that are not there yet, against sets that are counted out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenface.files import write_json
from evenface.study.face_counts import RealShare, Size, counted_real_share, real_share
from evenface.study.spec import MixedSet, WholeSet

MIX = MixedSet(real_fraction=0.7, balance="identities")
BY_IMAGES = MixedSet(real_fraction=0.7, balance="images")


@given(
    people=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    images=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_shares_are_those_of_a_set_that_is_counted_out(people, images):
    real, synthetic = (Size(10, 10 * each) for each in images)
    taken = [count * each for count, each in zip(people, images, strict=True)]
    by_people, by_images = people[0] / sum(people), taken[0] / sum(taken)
    expected = RealShare(pytest.approx(by_people), pytest.approx(by_images))
    mix = MixedSet(real_fraction=by_people, balance="none")
    assert real_share(mix, real, synthetic) == expected
    mix = MixedSet(real_fraction=by_images, balance="images")
    assert real_share(mix, real, synthetic) == expected


def test_a_share_that_needs_the_images_is_unknown_without_them():
    assert real_share(MIX, Size(10), Size(5, 50)) == RealShare(0.7, None)
    assert real_share(BY_IMAGES, Size(10), Size(5, 50)) == RealShare(None, 0.7)
    assert real_share(WholeSet(kind="synthetic"), Size(), Size()) == RealShare(0, 0)


def test_the_report_of_a_mix_is_counted_over_its_sources(tmp_path):
    sources = {
        "real": {"role": "real", "identities": 6, "images": 60},
        "a": {"role": "synthetic", "identities": 3, "images": 10},
        "b": {"role": "synthetic", "identities": 3, "images": 30},
    }
    write_json(tmp_path / "mix-report.json", {"sources": sources})
    assert counted_real_share(MIX, tmp_path) == RealShare(0.5, 0.6)
