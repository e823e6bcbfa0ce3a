"""People and shots are functions of their own names alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evenface.data.align import ARCFACE_TEMPLATE, align
from evenface.render.atlas import beard_density, brow_density, paint_atlas
from evenface.render.bake import load_head
from evenface.render.body import Body
from evenface.render.identity import draw_identity
from evenface.render.image import draw_shot
from evenface.render.looks import looks
from evenface.render.names import GROUPS, LOOKS, SPLIT_RANGES
from evenface.render.photograph import Sitter
from evenface.render.raster import ALIGNED, LOOSE, Camera, plane_to_pixels, sample_grid
from evenface.render.worker import render_loose, render_people, render_person

USUAL = {"other_hair": False, "other_glasses": False}


def _shots(name, count, index=1):
    return [
        draw_shot(looks[name], seed=0, name=name, group="asian", index=index, number=number)
        for number in range(count)
    ]


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
        colours = (person.skin, person.lips, person.iris, person.brow_colour, person.beard_colour)
        for colour in (*colours, person.hair.colour, person.other_hair.colour):
            assert (np.array(colour) > 0).all()
            assert (np.array(colour) < 1).all()
        assert np.isclose(person.mix.sum(), 1)
        assert person.mix[GROUPS.index(group)] >= 0.7


def test_plain_frontal_landmarks_lie_on_the_template():
    head = load_head()
    person = draw_identity(head, seed=0, group="caucasian", index=0)
    person = dataclasses.replace(person, axes=0 * person.axes)
    points = Body(head, person, person.outfit(**USUAL)).mesh({}).points
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
        shots = _shots(name, 60)
        assert all(np.isclose(np.linalg.norm(shot.light), 1) for shot in shots)
        return np.array([[s.yaw, s.pitch, np.log(s.exposure)] for s in shots]).std(axis=0)

    assert (spread("camera") > 1.5 * spread("plain")).all()


def test_images_of_a_person_differ_and_show_a_face():
    images = render_person("caucasian", 3, look="plain", images=2, seed=9).astype(int)
    assert np.abs(images[0] - images[1]).mean() > 1
    middle = images[:, 30:90, 35:78]
    assert middle.std() > 8  # eyes, nose and mouth stand out


def test_studio_is_lit_unlike_the_other_looks():
    def lamps(name):
        return np.concatenate([shot.lamps for shot in _shots(name, 40)])

    assert not len(lamps("plain"))
    studio = lamps("studio")
    np.testing.assert_allclose(np.linalg.norm(studio[:, :3], axis=1), 1)
    assert (studio[:, 1] > 0).any()  # rim lights stand behind the head
    sideways = {
        name: np.median([abs(shot.light[0]) for shot in _shots(name, 60)]) for name in LOOKS
    }
    assert sideways["studio"] > sideways["camera"] > sideways["plain"]
    assert all(
        (shot.grade is not None) == (name == "studio") for name in LOOKS for shot in _shots(name, 5)
    )


def test_studio_images_do_not_depend_on_their_neighbours():
    batch = render_people([("african", 1), ("asian", 2)], look="studio", images=3, seed=4)
    alone = render_person("asian", 2, look="studio", images=3, seed=4)
    np.testing.assert_array_equal(batch[3:], alone)


@pytest.mark.parametrize("name", LOOKS)
def test_hair_and_glasses_change_in_some_images_but_never_in_plain(name):
    shots = [shot for index in range(20) for shot in _shots(name, 20, index)]
    for attribute, field in (("other_hair", "restyle"), ("other_glasses", "eyewear")):
        share = np.mean([getattr(shot, attribute) for shot in shots])
        assert abs(share - getattr(looks[name], field)) < 0.06
        assert (share == 0) == (name == "plain")


def test_other_outfits_are_the_same_person_and_change_the_image():
    head = load_head()
    person = draw_identity(head, seed=0, group="caucasian", index=3)
    assert (person.glasses is None) != (person.other_glasses is None)
    assert person.other_hair != person.hair
    assert person.other_hair.colour == person.hair.colour
    shot = _shots("plain", 1)[0]
    sitter = Sitter(head, person)
    usual = sitter.photograph(shot)
    for change in ({"other_hair": True}, {"other_glasses": True}):
        other = dataclasses.replace(shot, **change)
        changed = sitter.photograph(other)
        assert np.abs(changed.astype(int) - usual).max() > 30
        # What was photographed before does not matter.
        np.testing.assert_array_equal(Sitter(head, person).photograph(other), changed)
    np.testing.assert_array_equal(sitter.photograph(shot), usual)


def test_loose_landmarks_are_those_of_the_aligned_image_moved():
    head = load_head()
    sitter = Sitter(head, draw_identity(head, seed=0, group="asian", index=4))
    for shot in _shots("camera", 3):
        aligned, loose = sitter.take(shot, ALIGNED), sitter.take(shot, LOOSE)
        assert loose.image.shape == (224, 224, 3)
        middle = np.array(LOOSE.centre)
        expected = (aligned.landmarks - middle) * LOOSE.scale + (LOOSE.size - 1) / 2
        np.testing.assert_allclose(loose.landmarks, expected, atol=1e-6)


def test_eye_distance_does_not_shrink_as_the_head_turns():
    head = load_head()
    sitter = Sitter(head, draw_identity(head, seed=0, group="asian", index=4))
    still = dataclasses.replace(_shots("plain", 1)[0], pitch=0.0, actions={})
    straight, turned = (
        sitter.take(dataclasses.replace(still, yaw=yaw), LOOSE) for yaw in (0.0, 0.5)
    )
    seen, foreshortened = (
        np.linalg.norm(picture.landmarks[0] - picture.landmarks[1])
        for picture in (straight, turned)
    )
    assert seen == pytest.approx(straight.eye_distance, rel=0.01)
    assert foreshortened == pytest.approx(np.cos(0.5) * turned.eye_distance, rel=0.03)


def test_loose_renders_show_the_aligned_image_when_aligned():
    images, landmarks, eyes, occluded = render_loose(("african", 2), look="plain", images=2, seed=0)
    assert images.shape == (2, 224, 224, 3)
    assert eyes == pytest.approx(np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=1), rel=0.1)
    assert not occluded.any()
    small = render_person("african", 2, look="plain", images=2, seed=0)
    for image, points, expected in zip(images, landmarks, small, strict=True):
        assert ((points > 40) & (points < 184)).all()
        apart = np.abs(align(image, points).astype(int) - expected)
        assert np.median(apart) <= 6


def test_paint_of_the_face_lies_where_it_belongs():
    head = load_head()
    person = draw_identity(head, seed=0, group="caucasian", index=2)
    brows = dataclasses.replace(person.brows, bridge=0.0, skew=0.0)
    x, z = np.array([0.0, 30.0, -30.0, 30.0]), np.array([20.0, 0.0, 0.0, -60.0])
    assert (brow_density(brows, x, z) < 0.05).all()
    middle = (brows.inner + brows.outer) / 2
    column = brow_density(brows, np.full(60, middle), np.arange(60.0))
    assert 10 < column.argmax() < 34
    np.testing.assert_allclose(
        column, brow_density(brows, np.full(60, -middle), np.arange(60.0)), atol=0.45
    )
    bearded = dataclasses.replace(person.beard, chin=0.9, moustache=0.0, jaw=0.0, stubble=0.0)
    assert beard_density(bearded, np.zeros(1), np.full(1, -95.0)) > 0.5
    assert beard_density(bearded, np.zeros(1), np.zeros(1)) == 0
    atlas = paint_atlas(person)
    tone, hairs = atlas.look_up(np.array([(0.0, 0.0, -66.3), (0.0, 0.0, -63.0)], dtype=np.float32))
    assert tone[0].mean() < tone[1].mean()  # the line between the lips
    assert hairs.shape == (2, 3)


def test_a_long_line_of_places_is_looked_up_like_a_short_one():
    atlas = paint_atlas(draw_identity(load_head(), seed=0, group="asian", index=0))
    places = np.random.default_rng(0).uniform(-100, 100, (40_000, 3)).astype(np.float32)
    for whole, part in zip(atlas.look_up(places), atlas.look_up(places[-3:]), strict=True):
        np.testing.assert_allclose(whole[-3:], part, atol=1e-6)


def test_no_two_people_coincide():
    head = load_head()
    axes = np.stack(
        [draw_identity(head, seed=0, group=g, index=i).axes for g in GROUPS for i in range(60)]
    )
    apart = np.linalg.norm(axes[:, None] - axes, axis=2)[np.triu_indices(len(axes), 1)]
    assert apart.min() > 0.5 * np.median(apart)
