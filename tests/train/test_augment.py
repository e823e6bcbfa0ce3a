"""Augmentations against Pillow and plain NumPy, and that nothing but (seed, epoch, row) decides."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from evenface.errors import UsageError
from evenface.train.augment import AUGMENTATIONS, ORDER, colour, create_augmenter
from evenface.train.augment.affine import affine
from evenface.train.augment.clutter import clutter
from evenface.train.augment.crop import crop
from evenface.train.augment.jpeg import jpeg
from evenface.train.augment.randaugment import OPERATIONS
from evenface.train.augment.resampling import (
    blur_matrix,
    filter_rows_and_columns,
    resize_matrix,
    shrink_and_enlarge_matrix,
)
from evenface.train.augment.rescale import blur, rescale


def pictures(count=6, size=112):
    """Smooth random fields with some noise: neither flat nor white."""
    random = np.random.default_rng(count)
    coarse = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    smooth = np.stack([np.array(Image.fromarray(c).resize((size, size), 3)) for c in coarse])
    return np.clip(smooth + random.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def augmented(chosen, images, rows=None, *, epoch=0, seed=0):
    rows = np.arange(len(images)) if rows is None else rows
    augmenter = create_augmenter(chosen, seed)
    on_cpu = augmenter.on_cpu(images.copy(), epoch, rows)
    return augmenter.on_device(torch.from_numpy(on_cpu), epoch, rows).numpy()


EVERYTHING = {name: {"probability": 0.7} for name in ORDER}


# What draws nothing differs between epochs only in whom it is done to.
ALONE = [{name: {} if AUGMENTATIONS[name].draws else {"probability": 0.5}} for name in ORDER]


@pytest.mark.parametrize("chosen", [*ALONE, EVERYTHING], ids=str)
def test_seed_epoch_and_row_decide_alone(chosen):
    images = pictures(12)
    whole = augmented(chosen, images)
    assert whole.dtype == np.uint8
    assert whole.shape == images.shape
    assert (whole != images).any()
    order = np.array([7, 2, 11, 0, 5])
    np.testing.assert_array_equal(augmented(chosen, images[order], order), whole[order])
    for row in (0, 9):
        np.testing.assert_array_equal(
            augmented(chosen, images[[row]], np.array([row]))[0], whole[row]
        )
    assert (augmented(chosen, images, epoch=1) != whole).any()
    assert (augmented(chosen, images, seed=1) != whole).any()


@pytest.mark.parametrize("name", ORDER)
def test_a_probability_is_kept(name):
    images = np.stack([pictures(1)[0]] * 200)
    changed = (augmented({name: {"probability": 0.3}}, images) != images).any(axis=(1, 2, 3))
    assert 0.15 < changed.mean() < 0.45
    np.testing.assert_array_equal(augmented({name: {"probability": 0}}, images), images)


def test_all_registered_ones_have_their_place():
    assert sorted(ORDER) == AUGMENTATIONS.names()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"mosaic": {}}, "unknown augmentation 'mosaic'; known: blur, clutter, crop"),
        ({"crop": {"size": 1}}, "augment.crop: no option 'size'; known: probability, smallest"),
        ({"crop": {"probability": 2}}, r"augment.crop.probability must be in \[0, 1\], got 2"),
        ({"blur": {"lowest": 3}}, "augment.blur: lowest 3 is above highest 2.5"),
    ],
)
def test_what_does_not_exist_is_named(chosen, message):
    with pytest.raises(UsageError, match=message):
        create_augmenter(chosen, 0)


# --- each against an independent computation ----------------------------------------------------

FACTORS = (0.1, 0.5, 1.0, 1.37, 1.9)


@pytest.mark.parametrize(
    ("change", "enhancer"),
    [
        (colour.brightness, ImageEnhance.Brightness),
        (colour.contrast, ImageEnhance.Contrast),
        (colour.saturation, ImageEnhance.Color),
        (colour.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_light_changes_as_pillow_changes_it(change, enhancer):
    images = pictures()
    for factor in FACTORS:
        ours = change(torch.from_numpy(images), torch.full((len(images),), factor)).numpy()
        theirs = np.stack([enhancer(Image.fromarray(i)).enhance(factor) for i in images])
        # Pillow computes in single precision: now and then one level apart.
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.max() <= 1
        assert difference.mean() < 0.1


def test_without_colour_is_pillows_grey():
    images = pictures()
    expected = [np.array(Image.fromarray(i).convert("L").convert("RGB")) for i in images]
    np.testing.assert_array_equal(augmented({"grey": {}}, images), np.stack(expected))


def test_clutter_is_a_sum_of_waves_over_the_image():
    images = torch.full((1, 112, 112, 3), 100, dtype=torch.uint8)
    draws = np.full((1, 49), 0.5)
    draws[0, 1:].reshape(8, 6)[:, 3:] = 0.5  # a colour of 0: no amplitude …
    draws[0, 1:7] = (0.25, 0.5, 0.0, 1.0, 0.75, 0.0)  # … but for one wave: down, 4 periods
    cluttered = clutter(images, draws, strength=1.0).numpy()[0].astype(float)
    y = np.arange(112)
    wave = np.sqrt(2) * 48 * np.cos(2 * np.pi * 4 * y / 112)
    for channel, sign in enumerate((1, 1, -1)):
        pattern = np.clip(128 + sign * wave, 0, 255)
        expected = np.repeat(100 + 0.5 * (pattern - 100)[:, None], 112, axis=1)
        np.testing.assert_allclose(cluttered[..., channel], expected, atol=1.01)
    np.testing.assert_array_equal(clutter(images, draws, strength=0.0), images)


def test_equalising_stretching_and_posterising_are_pillows():
    images = pictures()
    images[-1, :, :, 0] = 77  # a channel of one value
    tensor = torch.from_numpy(images)
    for ours, theirs in (
        (colour.equalize(tensor), ImageOps.equalize),
        (colour.autocontrast(tensor), ImageOps.autocontrast),
        (
            colour.posterize(tensor, torch.full((len(images),), 3)),
            lambda i: ImageOps.posterize(i, 3),
        ),
    ):
        expected = np.stack([np.array(theirs(Image.fromarray(i))) for i in images])
        np.testing.assert_array_equal(ours.numpy(), expected)


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("source", "target"), [(112, 23), (112, 80), (23, 112), (112, 112)])
def test_resizing_is_pillows(name, source, target):
    images = pictures(2, source)
    matrix = resize_matrix(source, target, name)
    ours = filter_rows_and_columns(torch.from_numpy(images), [matrix] * 2).numpy()
    resample = getattr(Image.Resampling, name.upper())
    theirs = np.stack(
        [np.array(Image.fromarray(i).resize((target,) * 2, resample)) for i in images]
    )
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 2  # both sides are rounded once more in between
    assert difference.mean() < 0.05


@given(source=st.integers(1, 112), target=st.integers(1, 112), sigma=st.floats(0.05, 20))
@settings(max_examples=30, deadline=None)
def test_filters_are_exact_in_single_precision(source, target, sigma):
    matrices = [resize_matrix(source, target, name) for name in ("box", "bicubic", "lanczos")]
    both = shrink_and_enlarge_matrix(source, min(source, target), "lanczos", "bicubic")
    for matrix in [*matrices, both, blur_matrix(source, sigma)]:
        whole = matrix.astype(np.float64) * 2**14
        np.testing.assert_array_equal(whole, np.rint(whole))
        np.testing.assert_array_equal(whole.sum(axis=1), 2**14)
        assert 255 * np.abs(whole).sum(axis=1).max() < 2**24


def test_blurring_is_a_gaussian():
    from scipy.ndimage import gaussian_filter

    images = pictures(3)
    for sigma in (0.5, 1.25, 4.0):
        draws = np.full((3, 1), 0.5)
        ours = blur(torch.from_numpy(images), draws, lowest=sigma, highest=sigma).numpy()
        theirs = gaussian_filter(
            images.astype(float), (0, sigma, sigma, 0), mode="nearest", truncate=4
        )
        assert np.abs(ours - theirs).max() < 1.6


def test_rescaling_takes_detail_away_and_keeps_the_place():
    images = torch.from_numpy(pictures(4))
    draws = np.array([[0.0, 0.5, 0.5]] * 4)
    small = rescale(images, draws, smallest=0.25).float()

    # Coarse means stay; the differences of neighbours shrink.
    def cells(x):
        return x.unflatten(1, (14, 8)).unflatten(3, (14, 8)).mean(dim=(2, 4))

    assert (cells(small) - cells(images.float())).abs().mean() < 4

    def rough(x):
        return x.diff(dim=1).abs().mean()

    assert rough(small) < rough(images.float()) / 2
    kept = rescale(images, np.array([[0.999, 0.3, 0.5]] * 4), smallest=1.0)
    assert torch.equal(kept, images)


def test_crops_keep_a_box_in_its_place():
    images = torch.from_numpy(pictures(50) | 1)  # nothing is black
    draws = np.random.default_rng(0).random((50, 4))
    cut = crop(images, draws, smallest=0.2, ratio=4 / 3)
    for before, after in zip(images, cut, strict=True):
        seen = (after > 0).all(dim=2)
        rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
        box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        assert bool(seen[box].all())
        assert int(seen.sum()) == seen[box].numel()
        assert torch.equal(after[box], before[box])
        assert 0.17 < seen.float().mean() <= 1
    assert torch.equal(crop(images, draws, smallest=1.0, ratio=1.0), images)


def test_jpegs_are_jpegs():
    images = pictures(2)
    ours = jpeg(images, np.zeros((2, 1)), lowest=40, highest=40)
    for image, compressed in zip(images, ours, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "jpeg", quality=40, subsampling="4:2:0")
        theirs = np.array(Image.open(buffer)).astype(int)
        assert (
            np.abs(compressed - theirs).mean() < 2 < np.abs(compressed - image.astype(int)).mean()
        )


def test_maps_sample_as_scipy_does():
    from scipy.ndimage import affine_transform

    images = pictures(2)
    maps = np.array([[[0.9, -0.2, 3.3], [0.25, 1.1, -5.0]], [[1, 0, 0], [0, 1, 0]]])
    ours = affine(torch.from_numpy(images), maps).numpy()
    np.testing.assert_array_equal(ours[1], images[1])
    flip = np.array([[0, 1], [1, 0]])
    matrix = flip @ maps[0][:, :2] @ flip  # (y, x)
    centre = np.array([55.5, 55.5])
    offset = centre + flip @ maps[0][:, 2] - matrix @ centre
    padded = [
        affine_transform(
            images[0][:, :, c].astype(float), matrix, offset, order=1, mode="grid-constant"
        )
        for c in range(3)
    ]
    assert np.abs(ours[0] - np.stack(padded, axis=-1)).max() < 2.5


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_strength_is_no_change_and_all_strengths_work(name):
    images = torch.from_numpy(pictures(5))
    unchanged = OPERATIONS[name](images, np.zeros(5))
    if name not in ("autocontrast", "equalize"):
        assert torch.equal(unchanged, images)
    changed = OPERATIONS[name](images, np.linspace(-1, 1, 5))
    assert changed.dtype == torch.uint8
    assert changed.shape == images.shape
