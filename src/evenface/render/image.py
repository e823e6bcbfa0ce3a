"""What one image of a person is like: pose, expression, light, camera.

A pure function of (seed, look, group, index, number of the image).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenface.render.looks import Look
from evenface.seeds import generator

# Facial actions (ARKit names) that occur together, with the greatest strength that looks natural.
_EXPRESSIONS: tuple[dict[str, float], ...] = (
    {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9,
     "cheekSquintLeft": 0.6, "cheekSquintRight": 0.6},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "jawOpen": 0.18},
    {"jawOpen": 0.35},
    {"browInnerUp": 0.7, "browOuterUpLeft": 0.7, "browOuterUpRight": 0.7},
    {"browDownLeft": 0.8, "browDownRight": 0.8},
    {"mouthFrownLeft": 0.7, "mouthFrownRight": 0.7},
    {"eyeBlinkLeft": 0.45, "eyeBlinkRight": 0.45},
    {"eyeSquintLeft": 0.8, "eyeSquintRight": 0.8},
    {"eyeWideLeft": 0.7, "eyeWideRight": 0.7},
    {"mouthPucker": 0.6},
    {"mouthPressLeft": 0.7, "mouthPressRight": 0.7},
    {"mouthLeft": 0.4},
    {"mouthRight": 0.4},
    {"noseSneerLeft": 0.5, "noseSneerRight": 0.5},
    {"cheekPuff": 0.4},
    {"mouthShrugLower": 0.5, "mouthRollUpper": 0.3},
)  # fmt: skip


@dataclass(frozen=True)
class Occluder:
    """A thing before the face: an ellipse or box of one colour, in pixels of the image."""

    centre: tuple[float, float]
    half: tuple[float, float]
    angle: float
    round: bool
    colour: np.ndarray


@dataclass(frozen=True)
class Grade:
    """Colour grading of an image with values in [0, 1].

    Attributes:
        curve: steepness that an S-shaped tone curve adds; lift: brightness of black.
        saturation: factor; shadows, lights: (3,) added where the image is dark and bright.
    """

    curve: float
    lift: float
    saturation: float
    shadows: np.ndarray
    lights: np.ndarray


@dataclass(frozen=True)
class Shot:
    """One image.

    Attributes:
        yaw, pitch: turn of the head, radians; positive turns to the image's right and down.
        distance: metres from camera to eyes.
        actions: facial action → strength.
        gaze: (2,) radians sideways and up.
        light: (3,) unit vector to the main light, in camera space (x right, y away, z up).
        light_colour, ambient_colour: linear RGB of main and surrounding light.
        lamps: (K, 6) further lights without cast shadows: unit vector to each, linear RGB.
        tilt: (3,) gradient of the surrounding light in camera space.
        shadow: darkness of cast shadows in [0, 1].
        exposure: factor; contrast: exponent of the tone curve.
        background: (4, 3) linear colours of its corners; pattern: (K, 6) waves or none;
            glow: (4,) x, y, radius (shares of the side) and strength of a bright spot.
        vignette: darkening of the corners; grade: None for none.
        blur, small, noise, jpeg, grey: see :class:`evenface.render.looks.Look`.
        jitter: (5, 2) pixels added to the landmarks.
        sensor: seed of the sensor's noise.
        other_hair, other_glasses: whether the person's other hairstyle and eyewear are worn.
    """

    yaw: float
    pitch: float
    distance: float
    actions: dict[str, float]
    gaze: np.ndarray
    light: np.ndarray
    light_colour: np.ndarray
    ambient_colour: np.ndarray
    lamps: np.ndarray
    tilt: np.ndarray
    shadow: float
    exposure: float
    contrast: float
    background: np.ndarray
    pattern: np.ndarray
    glow: np.ndarray
    vignette: float
    grade: Grade | None
    blur: float
    small: float
    noise: float
    jpeg: int | None
    grey: bool
    jitter: np.ndarray
    occluder: Occluder | None
    sensor: int
    other_hair: bool
    other_glasses: bool


def draw_shot(look: Look, *, seed: int, name: str, group: str, index: int, number: int) -> Shot:
    """Image ``number`` of a person in the look called ``name``."""
    rng = generator(seed, "render-image", name, group, index, number)
    ambient = rng.uniform(*look.ambient)
    side = rng.choice((-1.0, 1.0))
    sideways, up = np.radians(rng.normal((side * look.key[0], look.key[1]), look.side_light))
    light = _direction(sideways, float(np.clip(up, -0.5, 1.2)))
    cast = np.exp(rng.normal(0, look.cast, 3))
    near, far = np.log(look.distance)
    return Shot(
        yaw=float(np.clip(np.radians(rng.normal(0, look.yaw)), -0.9, 0.9)),
        pitch=float(np.clip(np.radians(rng.normal(0, look.pitch)), -0.45, 0.45)),
        distance=float(np.exp(rng.uniform(near, far))),
        actions=_draw_actions(rng, look),
        gaze=np.radians(rng.normal(0, (look.gaze, 0.5 * look.gaze))),
        light=light,
        light_colour=(1 - ambient) * cast * 1.25,
        ambient_colour=ambient * np.exp(rng.normal(0, look.cast, 3)),
        lamps=_draw_lamps(rng, look, (1 - ambient) * cast * 1.25, sideways),
        tilt=np.array((0.0, 0.0, 0.28)) + rng.normal(0, look.tilt, 3),
        shadow=float(look.shadow * rng.random()),
        exposure=float(np.exp(rng.normal(0, look.exposure))),
        contrast=float(np.exp(rng.normal(0, 0.5 * look.exposure))),
        background=_draw_background(rng, look),
        pattern=_draw_pattern(rng, look),
        glow=_draw_glow(rng, look),
        vignette=float(look.vignette * rng.random()),
        grade=_draw_grade(rng, look) if look.grade else None,
        blur=float(look.blur * rng.random() ** 2),
        small=float(1 + (look.small - 1) * rng.random() ** 2),
        noise=float(look.noise * rng.random() ** 2),
        jpeg=None if look.jpeg is None else int(rng.integers(*look.jpeg)),
        grey=bool(rng.random() < look.grey),
        jitter=rng.normal(0, look.jitter, (5, 2)),
        occluder=_draw_occluder(rng) if rng.random() < look.occluder else None,
        sensor=int(rng.integers(2**62)),
        other_hair=bool(rng.random() < look.restyle),
        other_glasses=bool(rng.random() < look.eyewear),
    )


def _direction(sideways: float, up: float) -> np.ndarray:
    """(3,) unit vector in camera space; (0, 0) points from the face to the camera."""
    return np.array([np.sin(sideways) * np.cos(up), -np.cos(sideways) * np.cos(up), np.sin(up)])


def _draw_lamps(
    rng: np.random.Generator, look: Look, main: np.ndarray, sideways: float
) -> np.ndarray:
    """A fill light opposite the main one and a rim light from behind, each in some images."""
    lamps = [np.empty((0, 6))]
    away = -np.copysign(1.0, sideways)
    for most, angle in ((look.fill, rng.uniform(0.3, 1.1)), (look.rim, rng.uniform(2.0, 2.8))):
        if most and rng.random() < 0.7:
            tint = np.exp(rng.normal(0, 2.5 * look.cast, 3))
            strength = most * rng.uniform(0.1, 1.0)
            towards = _direction(away * angle, rng.uniform(-0.1, 0.7))
            lamps.append(np.concatenate([towards, strength * main * tint])[None])
    return np.concatenate(lamps)


def _draw_actions(rng: np.random.Generator, look: Look) -> dict[str, float]:
    actions: dict[str, float] = {}
    if rng.random() < look.expression:
        count = rng.integers(1, 4)
        for number in rng.choice(len(_EXPRESSIONS), count, replace=False):
            strength = look.actions * rng.random()
            for name, most in _EXPRESSIONS[number].items():
                actions[name] = max(actions.get(name, 0.0), float(strength * most))
    return actions


def _draw_background(rng: np.random.Generator, look: Look) -> np.ndarray:
    base = rng.uniform(0.02, 0.8) * rng.uniform(0.6, 1.2, 3)
    if look.backdrop == "glow":
        base = np.exp(rng.uniform(np.log(0.01), np.log(0.5))) * np.exp(rng.normal(0, 0.2, 3))
    spread = {"even": 0.08, "busy": 0.5, "glow": 0.03}[look.backdrop]
    return np.clip(base * np.exp(rng.normal(0, spread, (4, 3))), 0.005, 1.0)


def _draw_pattern(rng: np.random.Generator, look: Look) -> np.ndarray:
    """Waves over the background: frequency (2), phase, and a colour's logarithm (3)."""
    if look.backdrop != "busy" or rng.random() > 0.7:
        return np.empty((0, 6))
    count = rng.integers(2, 7)
    frequency = rng.normal(0, 0.025, (count, 2))
    colour = rng.normal(0, 0.25, (count, 1)) + rng.normal(0, 0.12, (count, 3))
    return np.column_stack([frequency, rng.uniform(0, 2 * np.pi, count), colour])


def _draw_glow(rng: np.random.Generator, look: Look) -> np.ndarray:
    if look.backdrop != "glow":
        return np.zeros(4)
    x, y = rng.uniform((0.1, 0.0), (0.9, 0.7))
    return np.array([x, y, rng.uniform(0.2, 0.8), rng.uniform(0.0, 2.2)])


def _draw_grade(rng: np.random.Generator, look: Look) -> Grade:
    tint = look.grade * rng.normal(0, 0.045, 3)
    return Grade(
        curve=float(look.grade * rng.uniform(-0.15, 0.7)),
        lift=float(look.grade * rng.uniform(0, 0.09)),
        saturation=float(np.exp(look.grade * rng.normal(-0.15, 0.3))),
        shadows=tint - tint.mean(),
        # Complementary to the shadows, as in films: cool below, warm above or the reverse.
        lights=-rng.uniform(0.4, 1.2) * (tint - tint.mean()),
    )


def _draw_occluder(rng: np.random.Generator) -> Occluder:
    centre = rng.uniform(10, 102, 2)
    half = rng.uniform(5, 17, 2)
    return Occluder(
        centre=(float(centre[0]), float(centre[1])),
        half=(float(half[0]), float(half[1])),
        angle=float(rng.uniform(0, np.pi)),
        round=bool(rng.random() < 0.5),
        colour=rng.uniform(0.02, 0.8) * rng.uniform(0.4, 1.2, 3),
    )
