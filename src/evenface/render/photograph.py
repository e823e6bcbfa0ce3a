"""From a person and a shot to an aligned image: lighting, background, lens and sensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from evenface.data.store import IMAGE_SIZE
from evenface.render.atlas import paint_atlas
from evenface.render.bake import Head
from evenface.render.body import Body, Mesh
from evenface.render.identity import Identity
from evenface.render.image import Grade, Occluder, Shot
from evenface.render.paint import Painter, Surface
from evenface.render.raster import (
    ALIGNED,
    SAMPLES,
    Camera,
    Frame,
    Scene,
    plane_to_pixels,
    sample_grid,
)
from evenface.seeds import generator

_OPENNESS_RAYS = 24
_REACH = 1e-3
_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)
_MIDDLE_GREY = 0.25
_AUTO_EXPOSURE = 0.65
"""Share (of the logarithm) by which the camera brings a face to middle grey."""
_WRAP = np.array((0.30, 0.16, 0.12), dtype=np.float32)
"""How far light creeps around into the shade, by channel: skin scatters red most."""


@dataclass(frozen=True)
class Picture:
    """An image and where the face lies in it.

    Attributes:
        image: uint8 (size, size, 3) RGB.
        landmarks: (5, 2) pixels.
        eye_distance: pixels between the eyes if the head were seen from the front: unlike the
            distance of the landmarks it does not shrink as the head turns.
    """

    image: np.ndarray
    landmarks: np.ndarray
    eye_distance: float


class Sitter:
    """A person ready to be photographed; what each outfit needs is worked out once."""

    def __init__(self, head: Head, identity: Identity) -> None:
        self._head = head
        self._identity = identity
        self._atlas = paint_atlas(identity)
        self._open: dict[bool, np.ndarray] = {}
        self._dressed: dict[tuple[bool, bool], tuple[Body, Painter]] = {}

    def photograph(self, shot: Shot) -> np.ndarray:
        """One aligned image, uint8 (112, 112, 3) RGB."""
        return self.take(shot, ALIGNED).image

    def take(self, shot: Shot, frame: Frame) -> Picture:
        """An image in any frame, with its exact landmarks."""
        body, painter = self._dress(shot)
        mesh = body.mesh(shot.actions)
        scene = Scene(mesh)
        camera = Camera.facing(mesh.points, yaw=shot.yaw, pitch=shot.pitch, distance=shot.distance)
        to_pixels = frame.place(plane_to_pixels(camera, mesh.points, shot.jitter))
        to_plane = np.linalg.inv(to_pixels[:, :2])
        hits = scene.look(camera, (_grid(frame.size) - to_pixels[:, 2]) @ to_plane.T)
        light = (shot.light @ camera.turn).astype(np.float32)
        origins = (mesh.vertices + _REACH * mesh.normals).astype(np.float32)
        rays = np.tile(light, (len(origins), 1))
        lit = 1 - shot.shadow * scene.blocked(origins, rays)
        surface = painter.paint(
            hits, mesh.triangles, mesh.parts, mesh.normals, lit, shot.gaze, light
        )
        radiance = _light(surface, hits.directions, camera, shot)
        brightness = float(np.mean(radiance)) if len(radiance) else _MIDDLE_GREY
        gain = shot.exposure * (_MIDDLE_GREY / max(brightness, 1e-3)) ** _AUTO_EXPOSURE
        side = frame.size * SAMPLES
        picture = _background(shot, side).reshape(-1, 3)
        picture[hits.sample] = radiance * np.float32(gain)
        return Picture(
            image=_develop(picture.reshape(side, side, 3), shot, frame),
            landmarks=camera.project(mesh.points) @ to_pixels[:, :2].T + to_pixels[:, 2],
            eye_distance=float(
                np.linalg.norm(mesh.points[0] - mesh.points[1])
                / shot.distance
                * np.hypot(*to_pixels[:, 0])
            ),
        )

    def _dress(self, shot: Shot) -> tuple[Body, Painter]:
        key = (shot.other_hair, shot.other_glasses)
        if key not in self._dressed:
            outfit = self._identity.outfit(
                other_hair=shot.other_hair, other_glasses=shot.other_glasses
            )
            body = Body(self._head, self._identity, outfit)
            if shot.other_hair not in self._open:
                # Glasses, last among the vertices, hide too little to be worth rays of their own.
                bare = Body(self._head, self._identity, replace(outfit, glasses=None))
                self._open[shot.other_hair] = _openness(bare.mesh({}))
            openness = self._open[shot.other_hair]
            frame = np.ones(len(body.places) - len(openness), dtype=np.float32)
            painter = Painter(body, self._atlas, np.concatenate([openness, frame]))
            self._dressed[key] = body, painter
        return self._dressed[key]


def _openness(mesh: Mesh) -> np.ndarray:
    """(V,) share of the surroundings that each vertex sees."""
    scene = Scene(mesh)
    seen = np.zeros(len(mesh.vertices), dtype=np.float32)
    total = np.zeros_like(seen)
    origins = (mesh.vertices + _REACH * mesh.normals).astype(np.float32)
    for direction in _sphere(_OPENNESS_RAYS):
        share = np.clip(mesh.normals @ direction, 0, None)
        rows = np.flatnonzero(share > 0.05)
        rays = np.tile(direction, (len(rows), 1))
        free = ~scene.blocked(origins[rows], rays)
        seen[rows] += share[rows] * free
        total[rows] += share[rows]
    return np.sqrt(seen / np.maximum(total, 1e-6))


@cache
def _grid(size: int) -> np.ndarray:
    return sample_grid(size)


def _sphere(count: int) -> np.ndarray:
    """(count, 3) float32 directions spread evenly over the sphere (a Fibonacci spiral)."""
    number = np.arange(count) + 0.5
    z = 1 - 2 * number / count
    turn = np.pi * (1 + np.sqrt(5)) * number
    around = np.sqrt(1 - z * z)
    return np.column_stack([around * np.cos(turn), around * np.sin(turn), z]).astype(np.float32)


def _light(surface: Surface, view: np.ndarray, camera: Camera, shot: Shot) -> np.ndarray:
    """Radiance (n, 3) float32 of the hits: wrapped diffuse light, sky, Blinn–Phong highlights."""
    towards = np.where(np.einsum("ij,ij->i", surface.normals, view) > 0, -1, 1)
    normals = surface.normals * towards.astype(np.float32)[:, None]
    sky = surface.open * (0.72 + normals @ (shot.tilt @ camera.turn).astype(np.float32))
    diffuse = sky[:, None] * shot.ambient_colour.astype(np.float32)
    highlight = np.zeros_like(diffuse)
    main = np.concatenate([shot.light, shot.light_colour])
    for number, lamp in enumerate((main, *shot.lamps)):
        light = (lamp[:3] @ camera.turn).astype(np.float32)
        colour = lamp[3:].astype(np.float32)
        reaching = surface.lit if number == 0 else surface.open
        facing = normals @ light
        wrapped = np.clip((facing[:, None] + _WRAP) / (1 + _WRAP), 0, None)
        diffuse += wrapped * reaching[:, None] * colour
        half = light - view
        half /= np.maximum(np.sqrt(np.einsum("ij,ij->i", half, half)), 1e-6)[:, None]
        spread = np.clip(np.einsum("ij,ij->i", normals, half), 0, 1) ** surface.gloss
        highlight += (surface.shine * spread * reaching * (facing > 0))[:, None] * colour
    return np.asarray(surface.colour * diffuse + highlight, dtype=np.float32)


def _background(shot: Shot, side: int) -> np.ndarray:
    """(side, side, 3) float32 linear: four corner colours blended, waves over them."""
    small = 28
    corners = np.log(shot.background).reshape(2, 2, 3).astype(np.float32)
    along = np.linspace(0, 1, small, dtype=np.float32)
    rows = corners[0] + along[:, None, None] * (corners[1] - corners[0])
    picture = rows[:, :1] + along[None, :, None] * (rows[:, 1:] - rows[:, :1])
    at = along * IMAGE_SIZE
    for across, down, phase, *colour in shot.pattern:
        wave = np.sin(2 * np.pi * (across * at[None] + down * at[:, None]) + phase)
        picture = picture + wave[..., None] * np.array(colour, dtype=np.float32)
    x, y, radius, strength = shot.glow
    if strength:
        apart = np.hypot(along[None] - x, along[:, None] - y) / radius
        picture = picture + (strength * np.exp(-(apart**2)))[..., None]
    large = cv2.resize(picture.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.exp(large), dtype=np.float32)


def _occlude(picture: np.ndarray, thing: Occluder, frame: Frame) -> None:
    colour = tuple(float(value) for value in thing.colour)
    centre = frame.place(np.column_stack([np.eye(2), thing.centre]))[:, 2].tolist()
    half = frame.scale * np.array(thing.half)
    if thing.round:
        box = (centre, (2 * half[0], 2 * half[1]), float(np.degrees(thing.angle)))
        cv2.ellipse(picture, box, colour, -1, cv2.LINE_AA)
        return
    turn = np.array(
        [(np.cos(thing.angle), -np.sin(thing.angle)), (np.sin(thing.angle), np.cos(thing.angle))]
    )
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half @ turn.T + centre
    cv2.fillConvexPoly(picture, np.rint(corners).astype(np.int32), colour)


def _develop(picture: np.ndarray, shot: Shot, frame: Frame) -> np.ndarray:
    """Linear (side, side, 3) samples → uint8 (size, size, 3)."""
    size = (frame.size, frame.size)
    image = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if shot.occluder is not None:
        _occlude(image, shot.occluder, frame)
    if shot.vignette:
        along = np.linspace(-1, 1, frame.size, dtype=np.float32)
        image *= np.exp(-shot.vignette * (along[None] ** 2 + along[:, None] ** 2) ** 2)[..., None]
    if shot.blur > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), shot.blur * frame.scale)
    if shot.small > 1.05:
        less = round(frame.size / shot.small)
        image = cv2.resize(image, (less, less), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    # A shoulder keeps bright skin from clipping hard.
    image = np.clip(image, 0, None)
    image = np.where(image > 0.7, 0.7 + 0.3 * np.tanh((image - 0.7) / 0.3), image)
    encoded = np.clip(image, 0, 1) ** np.float32(shot.contrast / 2.2)
    if shot.grade is not None:
        encoded = _graded(encoded, shot.grade)
    encoded *= 255
    if shot.grey:
        encoded[:] = (encoded @ _LUMA)[..., None]
    noise = generator("sensor", shot.sensor).standard_normal(encoded.shape, dtype=np.float32)
    result = np.clip(np.rint(encoded + shot.noise * noise), 0, 255).astype(np.uint8)
    return result if shot.jpeg is None else _through_jpeg(result, shot.jpeg)


def _graded(image: np.ndarray, grade: Grade) -> np.ndarray:
    """An image with values in [0, 1] after colour grading."""
    image = image + grade.curve * (image - 0.45) * 4 * image * (1 - image)
    luma = (image @ _LUMA)[..., None]
    image = luma + grade.saturation * (image - luma)
    image += (1 - luma) ** 2 * grade.shadows + luma**2 * grade.lights
    image = grade.lift + (1 - grade.lift) * image
    return np.asarray(np.clip(image, 0, 1), dtype=np.float32)


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode; OpenCV wants BGR."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1])
