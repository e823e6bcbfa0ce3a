import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evenface.teachers.preprocessing import Preprocessing

CHANNELS = st.tuples(*[st.floats(0, 255)] * 3)
SCALES = st.tuples(*[st.floats(0.1, 255)] * 3)


def pixel(red, green, blue):
    return np.array([[[[red, green, blue]]]], dtype=np.uint8)


def test_default_is_the_convention_of_the_field():
    values = Preprocessing()(pixel(0, 51, 255))
    assert values.dtype == np.float32
    assert values.shape == (1, 3, 1, 1)
    np.testing.assert_allclose(values[0, :, 0, 0], [(x / 255 - 0.5) / 0.5 for x in (0, 51, 255)])


@given(mean=CHANNELS, std=SCALES, order=st.sampled_from(["RGB", "BGR"]))
def test_mean_and_std_are_those_of_red_green_blue(mean, std, order):
    values = Preprocessing(mean, std, order, "NHWC")(pixel(10, 20, 30))[0, 0, 0]
    expected = [(x - m) / s for x, m, s in zip((10, 20, 30), mean, std, strict=True)]
    np.testing.assert_allclose(
        values, expected if order == "RGB" else expected[::-1], rtol=1e-4, atol=1e-4
    )


def test_layouts_hold_the_same_values():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    channels_first = Preprocessing(layout="NCHW")(images)
    channels_last = Preprocessing(layout="NHWC")(images)
    assert channels_first.shape == (2, 3, 4, 5)
    assert channels_first.flags.c_contiguous
    np.testing.assert_array_equal(channels_first, channels_last.transpose(0, 3, 1, 2))


def test_one_number_equals_three():
    assert Preprocessing(1.0, 2.0).as_dict() == Preprocessing((1, 1, 1), (2, 2, 2)).as_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"std": 0}, "std must be positive"),
        ({"std": (1.0, -1.0, 1.0)}, "std must be positive"),
        ({"mean": (1.0, 2.0)}, "mean must be one finite number or three"),
        ({"mean": float("nan")}, "mean must be one finite number or three"),
        ({"order": "rgb"}, "order must be 'RGB', 'BGR' or 'grey'"),
        ({"order": "grey", "std": (1.0, 2.0, 3.0)}, "one number each"),
        ({"size": (160, 160)}, "faces are 112×112, the input is 160×160"),
        ({"size": (160, 112), "fit": "crop"}, "160×112 cannot be cropped"),
        ({"size": (8, 8), "fit": "resize"}, "size must be height and width, 16 to 1024"),
        ({"fit": "stretch"}, "fit must be 'crop' or 'resize'"),
        ({"layout": "HWC"}, "layout must be 'NCHW' or 'NHWC'"),
    ],
)
def test_nonsense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options)


@pytest.mark.parametrize("size", [(160, 160), (112, 96), (64, 80), (224, 56)])
def test_faces_are_resized_as_pillow_does(size):
    coarse = np.random.default_rng(1).integers(0, 256, (2, 14, 14, 3), dtype=np.uint8)
    faces = coarse.repeat(8, axis=1).repeat(8, axis=2)
    values = Preprocessing(0.0, 1.0, layout="NHWC", size=size, fit="resize")(faces)
    assert values.shape == (2, *size, 3)
    for face, found in zip(faces, values, strict=True):
        pillow = Image.fromarray(face).resize(size[::-1], Image.Resampling.BILINEAR)
        assert np.abs(found - np.asarray(pillow)).max() <= 1
