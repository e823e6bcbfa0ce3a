"""Augmentations against Pillow and plain NumPy, and that nothing but (seed, epoch, row) decides."""

from __future__ import annotations

import io
import sys
from pathlib import Path

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
from evenface.train.augment.erase import erase
from evenface.train.augment.hue import hue
from evenface.train.augment.jpeg import jpeg
from evenface.train.augment.mix import cutmix, mixup
from evenface.train.augment.motion import motion_blur
from evenface.train.augment.noise import noise
from evenface.train.augment.randaugment import OPERATIONS
from evenface.train.augment.resampling import (
    blur_matrix,
    filter_rows_and_columns,
    resize_matrix,
    shrink_and_enlarge_matrix,
)
from evenface.train.augment.rescale import blur, rescale
from evenface.train.augment.warp import homographies, warp


def pictures(count=6, size=112):
    """Smooth random fields with some noise: neither flat nor white."""
    random = np.random.default_rng(count)
    coarse = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    smooth = np.stack([np.array(Image.fromarray(c).resize((size, size), 3)) for c in coarse])
    return np.clip(smooth + random.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def augmented(chosen, images, rows=None, *, epoch=0, seed=0, whole=None):
    """``images`` augmented, as ``rows`` of the training set ``whole``; by default they are it."""
    rows = np.arange(len(images)) if rows is None else rows
    whole = images if whole is None else whole

    def read(rows, flipped):
        found = whole[rows]
        found[flipped] = found[flipped, :, ::-1]
        return found

    augmenter = create_augmenter(chosen, seed)
    mixed = augmenter.mix(images.copy(), epoch, rows, count=len(whole), read=read)
    on_cpu = augmenter.on_cpu(mixed, epoch, rows)
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
    np.testing.assert_array_equal(
        augmented(chosen, images[order], order, whole=images), whole[order]
    )
    for row in (0, 9):
        np.testing.assert_array_equal(
            augmented(chosen, images[[row]], np.array([row]), whole=images)[0], whole[row]
        )
    assert (augmented(chosen, images, epoch=1) != whole).any()
    assert (augmented(chosen, images, seed=1) != whole).any()


@pytest.mark.parametrize("name", ORDER)
def test_a_probability_is_kept(name):
    images = np.stack([pictures(1)[0]] * 200)
    whole = 255 - images  # to mix with
    found = augmented({name: {"probability": 0.3}}, images, whole=whole)
    changed = (found != images).any(axis=(1, 2, 3))
    assert 0.15 < changed.mean() < 0.45
    np.testing.assert_array_equal(augmented({name: {"probability": 0}}, images), images)


def test_all_registered_ones_have_their_place():
    assert sorted(ORDER) == AUGMENTATIONS.names()
    assert len({AUGMENTATIONS[name].place for name in ORDER}) == len(ORDER)
    first = [name for name in ORDER if AUGMENTATIONS[name].pairs]
    assert first == list(ORDER[: len(first)])  # as they are applied before the others


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"mosaic": {}}, "unknown augmentation 'mosaic'; known: blur, clutter, crop"),
        ({"crop": {"size": 1}}, "augment.crop: no option 'size'; known: probability, smallest"),
        ({"crop": {"probability": 2}}, r"augment.crop.probability must be in \[0, 1\], got 2"),
        ({"blur": {"lowest": 3}}, "augment.blur: lowest 3 is above highest 2.5"),
        ({"erase": {"smallest": 0.3}}, "augment.erase: smallest 0.3 is above largest 0.25"),
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


def test_warps_are_opencvs():
    import cv2

    images = pictures(3)
    draws = np.random.default_rng(0).random((3, 8))
    draws[2] = 0.5
    ours = warp(torch.from_numpy(images), draws, strength=0.15).numpy()
    np.testing.assert_array_equal(ours[2], images[2])
    corners = np.array([[0, 0], [111, 0], [111, 111], [0, 111]], dtype=np.float32)
    for image, found, draw in zip(images[:2], ours, draws, strict=False):
        seen = corners + 0.15 * (2 * draw.reshape(4, 2) - 1).astype(np.float32) * 112
        matrix = cv2.getPerspectiveTransform(seen, corners)
        theirs = cv2.warpPerspective(image, matrix, (112, 112), flags=cv2.INTER_LINEAR)
        # OpenCV rounds places to 1/32 of a pixel.
        difference = np.abs(found.astype(int) - theirs)
        assert difference.mean() < 0.7
        assert (difference > 12).mean() < 0.01


@given(
    moves=st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=8),
    side=st.sampled_from([(1.0, 1.0), (112.0, 112.0)]),
)
@settings(max_examples=50, deadline=None)
def test_a_homography_takes_corners_to_corners(moves, side):
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * side
    source = corners + np.reshape(moves, (4, 2)) * side
    [matrix] = homographies(source[None], corners)
    x, y, w = matrix @ np.column_stack([corners, np.ones(4)]).T
    assert (w > 0).all()
    np.testing.assert_allclose(np.stack([x / w, y / w], axis=1), source, atol=1e-8 * side[0])


@pytest.mark.parametrize("longest", [3, 9, 31])
def test_motion_blur_is_a_mean_along_a_line(longest):
    from scipy.ndimage import convolve

    images = pictures(5)
    draws = np.random.default_rng(longest).random((5, 2))
    draws[:3, 1] = (0, 0.25, 0.5)  # along a row, a diagonal, a column
    ours = motion_blur(torch.from_numpy(images), draws, longest=longest).numpy()
    for image, found, (share, turn) in zip(images, ours, draws, strict=True):
        length = 3 + 2 * int(share * ((longest - 1) // 2))
        assert 3 <= length <= longest
        kernel = np.zeros((length, length))
        slope = np.array([np.cos(np.pi * turn), np.sin(np.pi * turn)])
        for step in range(-(length // 2), length // 2 + 1):
            x, y = np.rint(step * slope / np.abs(slope).max()).astype(int)
            kernel[length // 2 - y, length // 2 - x] += 1 / length  # convolution turns it round
        assert np.count_nonzero(kernel) == length
        theirs = convolve(image.astype(float), kernel[:, :, None], mode="nearest")
        assert np.abs(found - theirs).max() <= 0.5 + 1e-9


def test_hues_turn_as_in_colorsys():
    import colorsys

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    special = [0, 0, 0, 255, 255, 255, 7, 7, 7, 9, 9, 3, 3, 9, 9, 9, 3, 9, 255, 0, 0, 0, 0, 255]
    images[0, 0] = np.reshape(special, (8, 3))  # greys, and hues where two channels are equal
    draws = np.array([[0.5], [0.93], [0.1]])
    ours = hue(torch.from_numpy(images), draws, strength=0.4).numpy()
    np.testing.assert_array_equal(ours[0], images[0])
    for image, found, draw in zip(images, ours, draws[:, 0], strict=True):
        for before, after in zip(image.reshape(-1, 3), found.reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*(before / 255.0))
            expected = colorsys.hsv_to_rgb((h + 0.4 * (2 * draw - 1)) % 1.0, s, v)
            np.testing.assert_allclose(after, 255 * np.array(expected), atol=0.51)


def test_noise_is_gaussian_and_nowhere_the_same():
    from scipy.stats import kstest

    images = torch.full((4, 112, 112, 3), 128, dtype=torch.uint8)
    draws = np.array([[0.0, 0.1], [0.5, 0.1], [1.0, 0.9], [1.0, 0.4]])
    added = noise(images, draws, lowest=0, highest=20).numpy().astype(int) - 128
    assert (added[0] == 0).all()
    for found, sigma in zip(added[1:], (10, 20, 20), strict=True):
        values = found.ravel() + np.random.default_rng(0).uniform(-0.5, 0.5, found.size)
        assert kstest(values, "norm", args=(0, np.hypot(sigma, 12**-0.5))).pvalue > 1e-3
        channels = np.corrcoef(found.reshape(-1, 3).T) - np.eye(3)
        assert np.abs(channels).max() < 0.05
    assert abs(np.corrcoef(added[2].ravel(), added[3].ravel())[0, 1]) < 0.05
    assert noise(images * 0, draws, lowest=50, highest=50).min() == 0


def test_erasing_covers_a_box_with_one_colour():
    images = torch.from_numpy(pictures(60))
    draws = np.random.default_rng(1).random((60, 7))
    erased = erase(images, draws, smallest=0.05, largest=0.3, ratio=3.0)
    for before, after, draw in zip(images, erased, draws, strict=True):
        colour_ = torch.from_numpy((256 * draw[4:]).astype(np.uint8))
        changed = (before != after).any(dim=2)
        rows, columns = changed.any(dim=1).nonzero(), changed.any(dim=0).nonzero()
        box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        assert bool((after[box] == colour_).all())
        height, width = after[box].shape[:2]
        assert 0.04 < height * width / 112**2 < 0.32
        assert 1 / 3.2 < height / width < 3.2
        outside = torch.ones_like(changed)
        outside[box] = False
        assert torch.equal(after[outside], before[outside])


def test_mixup_is_a_weighted_mean():
    images, others = torch.from_numpy(pictures(4)), torch.from_numpy(pictures(4)[::-1].copy())
    draws = np.array([[0.0], [0.25], [0.625], [1.0]])
    mixed = mixup(images, others, draws, lowest=0, highest=1).numpy()
    shares = draws[:, :, None, None]
    expected = (1 - shares) * images.numpy() + shares * others.numpy()
    assert np.abs(mixed - expected).max() <= 0.5
    np.testing.assert_array_equal(mixed[0], images[0])
    np.testing.assert_array_equal(mixed[3], others[3])


@given(area=st.floats(0, 1), y=st.floats(0, 1), x=st.floats(0, 1), edge=st.floats(0.02, 0.5))
@settings(max_examples=30, deadline=None)
def test_cuts_are_the_papers_and_fade_at_their_edges(area, y, x, edge):
    black, white = (torch.full((1, 64, 64, 3), v, dtype=torch.uint8) for v in (0, 255))
    draws = np.array([[area, y, x]])
    hard = cutmix(black, white, draws, largest=1.0, edge=0.0).numpy()[0, :, :, 0]
    # The authors' rand_bbox, on pixels' centres.
    centres = (np.arange(64) + 0.5) / 64
    within_y = np.abs(centres - y) <= np.sqrt(area) / 2
    within_x = np.abs(centres - x) <= np.sqrt(area) / 2
    np.testing.assert_array_equal(hard == 255, within_y[:, None] & within_x[None, :])
    soft = cutmix(black, white, draws, largest=1.0, edge=edge).numpy()[0, :, :, 0].astype(int)
    steepest = 255 / (64 * edge) + 1  # a pixel
    assert np.abs(np.diff(soft, axis=0)).max() <= steepest
    assert np.abs(np.diff(soft, axis=1)).max() <= steepest


def test_an_image_is_mixed_with_others_of_the_whole_set():
    count = 200
    values = np.arange(count, dtype=np.uint8)
    whole = np.broadcast_to(values[:, None, None, None], (count, 4, 4, 3)).copy()
    everything = {"mixup": {"lowest": 1, "highest": 1}}  # the other image alone
    seen = [
        augmented(everything, whole[:10], np.arange(10), epoch=epoch, whole=whole)[:, 0, 0, 0]
        for epoch in range(40)
    ]
    assert (np.stack(seen) != np.arange(10)).all()
    assert len(np.unique(seen)) > 0.8 * count


def test_every_module_of_the_folder_is_imported():
    """An augmentation of one's own is one file."""
    import evenface.train.augment as package

    modules = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules <= {name.rpartition(".")[2] for name in sys.modules if package.__name__ in name}
