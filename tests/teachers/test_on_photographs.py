"""Error rates on photographs: of the models that they were measured with, and only of these."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from evenface.teachers import load_teacher
from evenface.teachers.on_photographs import MeasuredModel, Point, on_photographs


@pytest.mark.parametrize("name", ["small", "small-int8"])
def test_the_models_of_the_package_are_those_of_the_file(name):
    measured = on_photographs().of(load_teacher(name).fingerprint)
    assert measured is on_photographs().models[name]


@pytest.mark.assets
def test_sface_is_that_of_the_file(sface_path):
    assert load_teacher("sface").fingerprint == on_photographs().models["sface"].fingerprint
    assert load_teacher(sface_path).fingerprint == on_photographs().models["sface"].fingerprint


def test_the_rates_are_those_measured_on_lfw():
    sface = on_photographs().models["sface"]
    assert [(p.fmr, p.threshold, p.fnmr) for p in sface.points] == [
        (1e-2, 0.293, 0.011),
        (1e-3, 0.361, 0.016),
        (1e-4, 0.418, 0.027),
        (1e-5, 0.472, 0.052),
    ]
    assert sface.views == ("original", "flip")
    assert on_photographs().models["small"].points == (Point(fmr=1e-3, fnmr=0.45),)
    assert on_photographs().models["small-int8"].points == ()
    assert on_photographs().of("0" * 64) is None


def test_a_rate_is_given_where_it_was_measured():
    sface = on_photographs().models["sface"]
    assert sface.at(0.001).threshold == 0.361
    assert sface.at(3e-4) is None


@pytest.mark.parametrize(
    "points",
    [
        [Point(fmr=1e-3, fnmr=0.1, threshold=0.3), Point(fmr=1e-2, fnmr=0.2, threshold=0.4)],
        [Point(fmr=1e-2, fnmr=0.2, threshold=0.3), Point(fmr=1e-3, fnmr=0.1, threshold=0.4)],
        [Point(fmr=1e-2, fnmr=0.1, threshold=0.4), Point(fmr=1e-3, fnmr=0.2, threshold=0.3)],
    ],
    ids=["fmr", "fnmr", "threshold"],
)
def test_points_out_of_order_are_refused(points):
    with pytest.raises(ValidationError, match="a lower FMR needs a higher threshold"):
        MeasuredModel(title="", fingerprint="0" * 64, views=("original",), points=points)


@pytest.mark.parametrize(
    "wrong",
    [{"fmr": 0}, {"fnmr": 1.5}, {"threshold": 2}, {"unknown": 1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_numbers_that_are_no_rates_are_refused(wrong):
    with pytest.raises(ValidationError):
        Point(**{"fmr": 1e-3, "fnmr": 0.1, "threshold": 0.5, **wrong})
