"""People and shots are functions of their own names alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evenface.data.align import ARCFACE_TEMPLATE
from evenface.data.render.bake import load_head
from evenface.data.render.body import Body
from evenface.data.render.identity import draw_identity
from evenface.data.render.image import draw_shot
from evenface.data.render.looks import looks
from evenface.data.render.names import GROUPS, LOOKS, SPLIT_RANGES
from evenface.data.render.raster import Camera, plane_to_pixels, sample_grid
from evenface.data.render.worker import render_people, render_person


def test_names_match_the_registry():
    assert tuple(looks.names()) == LOOKS


def test_split_ranges_are_disjoint():
    indices = [index for r in SPLIT_RANGES.values() for index in (r.start, r.stop - 1)]
    assert indices == sorted(indices)
    assert all(len(r) == 1_000_000 for r in SPLIT_RANGES.values())
    assert len(set(indices)) == 2 * len(SPLIT_RANGES)


def test_alone_or_in_a_batch():
    people = [("asian", 5), ("african", 5), ("asian", 6)]
    batch = render_people(people, look="camera", images=2, seed=4)
    alone = render_person("asian", 6, look="camera", images=3, seed=4)
    assert batch.shape == (6, 112, 112, 3)
    assert batch.dtype == np.uint8
    np.testing.assert_array_equal(batch[4:], alone[:2])


@pytest.mark.parametrize("change", [{"seed": 2}, {"group": "african"}, {"index": 8}])
def test_every_argument_makes_another_person(change):
    head = load_head()
    arguments = {"seed": 1, "group": "asian", "index": 7}
    one = draw_identity(head, **arguments)
    other = draw_identity(head, **(arguments | change))
    again = draw_identity(head, **arguments)
    assert not np.allclose(one.axes, other.axes)
    np.testing.assert_array_equal(one.axes, again.axes)
    assert one.brows == again.brows


@pytest.mark.parametrize("group", GROUPS)
def test_values_stay_in_their_ranges(group):
    head = load_head()
    for index in range(40):
        person = draw_identity(head, seed=0, group=group, index=index)
        assert 0 <= person.gender <= 1
        assert 0 <= person.age <= 1
        assert 0 <= person.weight <= 1
        assert np.abs(person.axes).max() <= 1
        for colour in (person.skin, person.lips, person.iris, person.brow_colour):
            assert (colour > 0).all()
            assert (colour < 1).all()


def test_plain_frontal_landmarks_lie_on_the_template():
    head = load_head()
    person = draw_identity(head, seed=0, group="caucasian", index=0)
    points = Body(head, dataclasses.replace(person, axes=0 * person.axes)).mesh({}).points
    camera = Camera.facing(points, yaw=0.0, pitch=0.0, distance=1.0)
    to_pixels = plane_to_pixels(camera, points, np.zeros((5, 2)))
    found = camera.project(points) @ to_pixels[:, :2].T + to_pixels[:, 2]
    assert np.abs(found - ARCFACE_TEMPLATE).max() < 3.0


def test_turned_heads_are_aligned_as_well_as_a_similarity_can():
    head = load_head()
    points = head.points(head.template).astype(np.float64)
    camera = Camera.facing(points, yaw=0.4, pitch=-0.2, distance=0.8)
    to_pixels = plane_to_pixels(camera, points, np.zeros((5, 2)))
    found = camera.project(points) @ to_pixels[:, :2].T + to_pixels[:, 2]
    residual = found - ARCFACE_TEMPLATE
    # Normal equations of the least-squares similarity: no shift, turn or scale is left over.
    centred = ARCFACE_TEMPLATE - ARCFACE_TEMPLATE.mean(axis=0)
    np.testing.assert_allclose(residual.sum(axis=0), 0, atol=1e-8)
    moved = found - found.mean(axis=0)
    np.testing.assert_allclose((residual * moved).sum(), 0, atol=1e-7)
    turned = moved[:, ::-1] * (-1, 1)
    np.testing.assert_allclose((residual * turned).sum(), 0, atol=1e-7)
    assert np.abs(centred).max() > 0


def test_rays_pass_through_the_projected_points():
    head = load_head()
    points = head.points(head.template).astype(np.float64)
    camera = Camera.facing(points, yaw=-0.3, pitch=0.1, distance=1.3)
    rays = camera.rays(camera.project(points)).astype(np.float64)
    away = points - camera.origin
    np.testing.assert_allclose(np.cross(rays, away), 0, atol=1e-6)
    assert ((rays * away).sum(axis=1) > 0).all()


def test_samples_cover_each_pixel_evenly():
    grid = sample_grid(4, 2).reshape(4, 2, 4, 2, 2)
    centres = grid.mean(axis=(1, 3))
    np.testing.assert_allclose(centres[..., 0], np.tile(np.arange(4), (4, 1)))
    np.testing.assert_allclose(centres[..., 1], np.tile(np.arange(4)[:, None], (1, 4)))


def test_camera_look_varies_more_than_plain():
    def spread(name):
        shots = [
            draw_shot(looks[name], seed=0, name=name, group="asian", index=1, number=n)
            for n in range(60)
        ]
        assert all(np.isclose(np.linalg.norm(shot.light), 1) for shot in shots)
        return np.array([[s.yaw, s.pitch, np.log(s.exposure)] for s in shots]).std(axis=0)

    assert (spread("camera") > 1.5 * spread("plain")).all()


def test_images_of_a_person_differ_and_show_a_face():
    images = render_person("caucasian", 3, look="plain", images=2, seed=9).astype(int)
    assert np.abs(images[0] - images[1]).mean() > 1
    middle = images[:, 30:90, 35:78]
    assert middle.std() > 8  # eyes, nose and mouth stand out
