"""From a person and a shot to an aligned image: lighting, background, lens and sensor."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from evenface.data.render.bake import Head
from evenface.data.render.body import Body
from evenface.data.render.identity import Identity
from evenface.data.render.image import Occluder, Shot
from evenface.data.render.paint import Painter, Surface
from evenface.data.render.raster import SAMPLES, Camera, Scene, plane_to_pixels, sample_grid
from evenface.data.store import IMAGE_SIZE
from evenface.seeds import generator

_OPENNESS_RAYS = 24
_REACH = 1e-3
_SIDE = IMAGE_SIZE * SAMPLES
_MIDDLE_GREY = 0.25
_AUTO_EXPOSURE = 0.65
"""Share (of the logarithm) by which the camera brings a face to middle grey."""
_WRAP = np.array((0.30, 0.16, 0.12), dtype=np.float32)
"""How far light creeps around into the shade, by channel: skin scatters red most."""


class Sitter:
    """A person ready to be photographed."""

    def __init__(self, head: Head, identity: Identity) -> None:
        self.body = Body(head, identity)
        mesh = self.body.mesh({})
        scene = Scene(mesh)
        directions = _sphere(_OPENNESS_RAYS)
        seen = np.zeros(len(mesh.vertices), dtype=np.float32)
        total = np.zeros_like(seen)
        origins = (mesh.vertices + _REACH * mesh.normals).astype(np.float32)
        for direction in directions:
            share = np.clip(mesh.normals @ direction, 0, None)
            rows = np.flatnonzero(share > 0.05)
            rays = np.tile(direction, (len(rows), 1))
            free = ~scene.blocked(origins[rows], rays)
            seen[rows] += share[rows] * free
            total[rows] += share[rows]
        self._painter = Painter(self.body, np.sqrt(seen / np.maximum(total, 1e-6)))

    def photograph(self, shot: Shot) -> np.ndarray:
        """One aligned image, uint8 (112, 112, 3) RGB."""
        mesh = self.body.mesh(shot.actions)
        scene = Scene(mesh)
        camera = Camera.facing(mesh.points, yaw=shot.yaw, pitch=shot.pitch, distance=shot.distance)
        to_pixels = plane_to_pixels(camera, mesh.points, shot.jitter)
        to_plane = np.linalg.inv(to_pixels[:, :2])
        hits = scene.look(camera, (_grid() - to_pixels[:, 2]) @ to_plane.T)
        light = (shot.light @ camera.turn).astype(np.float32)
        origins = (mesh.vertices + _REACH * mesh.normals).astype(np.float32)
        rays = np.tile(light, (len(origins), 1))
        lit = 1 - shot.shadow * scene.blocked(origins, rays)
        surface = self._painter.paint(
            hits, mesh.triangles, mesh.parts, mesh.normals, lit, shot.gaze
        )
        up = camera.turn[2].astype(np.float32)
        radiance = _light(surface, hits.directions, light, up, shot)
        brightness = float(np.mean(radiance)) if len(radiance) else _MIDDLE_GREY
        gain = shot.exposure * (_MIDDLE_GREY / max(brightness, 1e-3)) ** _AUTO_EXPOSURE
        picture = _background(shot).reshape(-1, 3)
        picture[hits.sample] = radiance * np.float32(gain)
        return _develop(picture.reshape(_SIDE, _SIDE, 3), shot)


@cache
def _grid() -> np.ndarray:
    return sample_grid()


def _sphere(count: int) -> np.ndarray:
    """(count, 3) float32 directions spread evenly over the sphere (a Fibonacci spiral)."""
    number = np.arange(count) + 0.5
    z = 1 - 2 * number / count
    turn = np.pi * (1 + np.sqrt(5)) * number
    around = np.sqrt(1 - z * z)
    return np.column_stack([around * np.cos(turn), around * np.sin(turn), z]).astype(np.float32)


def _light(
    surface: Surface, view: np.ndarray, light: np.ndarray, up: np.ndarray, shot: Shot
) -> np.ndarray:
    """Radiance (n, 3) float32 of the hits: wrapped diffuse light, sky, Blinn–Phong highlights."""
    normals = np.where((surface.normals * view).sum(axis=1, keepdims=True) > 0, -1, 1)
    normals = surface.normals * normals
    facing = (normals @ light)[:, None]
    diffuse = np.clip((facing + _WRAP) / (1 + _WRAP), 0, None) * surface.lit[:, None]
    sky = surface.open * (0.72 + 0.28 * (normals @ up))
    half = light - view
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    spread = np.clip((normals * half).sum(axis=1), 0, 1) ** surface.gloss
    highlight = (surface.shine * spread * surface.lit * (facing[:, 0] > 0))[:, None]
    main = shot.light_colour.astype(np.float32)
    around = shot.ambient_colour.astype(np.float32)
    return np.asarray(
        surface.colour * (diffuse * main + sky[:, None] * around) + highlight * main,
        dtype=np.float32,
    )


def _background(shot: Shot) -> np.ndarray:
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
    large = cv2.resize(picture.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.exp(large), dtype=np.float32)


def _occlude(picture: np.ndarray, thing: Occluder) -> None:
    colour = tuple(float(value) for value in thing.colour)
    centre, half = thing.centre, thing.half
    if thing.round:
        box = (centre, (2 * half[0], 2 * half[1]), float(np.degrees(thing.angle)))
        cv2.ellipse(picture, box, colour, -1, cv2.LINE_AA)
        return
    turn = np.array(
        [(np.cos(thing.angle), -np.sin(thing.angle)), (np.sin(thing.angle), np.cos(thing.angle))]
    )
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half @ turn.T + centre
    cv2.fillConvexPoly(picture, np.rint(corners).astype(np.int32), colour)


def _develop(picture: np.ndarray, shot: Shot) -> np.ndarray:
    """Linear (side, side, 3) samples → uint8 (112, 112, 3)."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    image = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if shot.occluder is not None:
        _occlude(image, shot.occluder)
    if shot.blur > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), shot.blur)
    if shot.small > 1.05:
        less = round(IMAGE_SIZE / shot.small)
        image = cv2.resize(image, (less, less), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    # A shoulder keeps bright skin from clipping hard.
    image = np.clip(image, 0, None)
    image = np.where(image > 0.7, 0.7 + 0.3 * np.tanh((image - 0.7) / 0.3), image)
    encoded = 255 * np.clip(image, 0, 1) ** (shot.contrast / 2.2)
    if shot.grey:
        encoded[:] = (encoded @ np.array((0.299, 0.587, 0.114)))[..., None]
    noise = generator("sensor", shot.sensor).standard_normal(encoded.shape, dtype=np.float32)
    result = np.clip(np.rint(encoded + shot.noise * noise), 0, 255).astype(np.uint8)
    return result if shot.jpeg is None else _through_jpeg(result, shot.jpeg)


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode; OpenCV wants BGR."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1])
