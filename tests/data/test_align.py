"""Alignment against numerical least squares and Umeyama's closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import least_squares

from evenface.data.align import ARCFACE_TEMPLATE, align, similarity_transform


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama 1991, eq. 40–42, by singular values; reflections excluded."""
    x, y = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(d) @ sign) / (x**2).sum(1).mean()
    shift = target.mean(0) - scale * rotation @ source.mean(0)
    return np.column_stack([scale * rotation, shift])


points = arrays(np.float64, (5, 2), elements=st.floats(-200, 200, width=32)).filter(
    lambda p: np.linalg.svd(p - p.mean(0), compute_uv=False)[1] > 1.0
)


@given(points)
def test_equals_umeyama(source: np.ndarray) -> None:
    expected = umeyama(source, ARCFACE_TEMPLATE)
    np.testing.assert_allclose(similarity_transform(source), expected, atol=1e-6)


def test_minimises_the_squared_distance() -> None:
    source = ARCFACE_TEMPLATE * 1.7 + np.random.default_rng(0).normal(0, 9, (5, 2))

    def residuals(p: np.ndarray) -> np.ndarray:
        matrix = np.array([[p[0], -p[1], p[2]], [p[1], p[0], p[3]]])
        return (source @ matrix[:, :2].T + matrix[:, 2] - ARCFACE_TEMPLATE).ravel()

    a, b, tx, ty = least_squares(residuals, [1.0, 0.0, 0.0, 0.0], xtol=1e-14, ftol=1e-14).x
    np.testing.assert_allclose(
        similarity_transform(source), [[a, -b, tx], [b, a, ty]], rtol=1e-6, atol=1e-6
    )


@given(
    scale=st.floats(0.1, 10),
    angle=st.floats(-3.1, 3.1),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_recovers_an_exact_similarity(
    scale: float, angle: float, shift: tuple[float, float]
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = ARCFACE_TEMPLATE @ turn.T + shift
    matrix = similarity_transform(source)
    np.testing.assert_allclose(source @ matrix[:, :2].T + matrix[:, 2], ARCFACE_TEMPLATE, atol=1e-6)


@pytest.mark.parametrize(
    "bad",
    [np.zeros((5, 3)), np.zeros((4, 2)), np.full((5, 2), 7.0), np.full((5, 2), np.nan)],
)
def test_impossible_landmarks(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"landmarks|arrays"):
        similarity_transform(bad)


def test_landmarks_land_on_the_template() -> None:
    source = ARCFACE_TEMPLATE * 2.5 + (40, 25)
    canvas = np.zeros((330, 330, 3), dtype=np.uint8)
    for x, y in source:
        left, top = round(x), round(y)
        canvas[top - 4 : top + 5, left - 4 : left + 5] = 255
    aligned = align(canvas, source)
    assert aligned.shape == (112, 112, 3)
    for x, y in ARCFACE_TEMPLATE:
        assert (aligned[round(y), round(x)] > 200).all()
    assert (aligned[5, 5] == 0).all()


def test_aligned_face_is_left_alone() -> None:
    image = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align(image, ARCFACE_TEMPLATE), image)


@pytest.mark.parametrize(
    "bad", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))]
)
def test_wrong_image(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        align(bad, ARCFACE_TEMPLATE)
