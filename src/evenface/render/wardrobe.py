"""What a person can change between two images: the way the hair is worn, a hat, glasses.

Colours are linear RGB reflectances in [0, 1]; lengths are millimetres on the template head (see
:mod:`evenface.render.paint`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Hair:
    """Scalp hair or the cloth over it: height of its edge over the azimuth, and what is there.

    Attributes:
        line: heights of the edge above the eyes at the azimuths of
            :func:`evenface.render.body.above_hairline`.
        peak: how far the edge dips in the middle of the forehead (widow's peak).
        sweep: how much lower the edge is on one side of the forehead than on the other.
        parting: where locks part, −1 to 1; softness: width of the edge.
        volume: thickness; length: of long hair below the crown's edge, 0 for none;
            curtain: azimuth in radians where long hair begins, small values framing the face.
        frequency, contrast: of the locks; density: share of skin that is covered.
        cloth: a headscarf's or cap's colour; None for hair.
    """

    line: tuple[float, ...]
    peak: float
    sweep: float
    parting: float
    softness: float
    volume: float
    length: float
    curtain: float
    frequency: float
    contrast: float
    density: float
    colour: Colour
    cloth: Colour | None


@dataclass(frozen=True)
class Glasses:
    """A frame: half sizes of a lens, exponent of its outline (2 is an ellipse), tube radius."""

    half_width: float
    half_height: float
    squareness: float
    tube: float
    colour: Colour


@dataclass(frozen=True)
class Outfit:
    """Hair and glasses of one image."""

    hair: Hair
    glasses: Glasses | None


def as_colour(values: np.ndarray) -> Colour:
    """Three floats of an array."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def draw_hair(
    rng: np.random.Generator, *, male: bool, age: float, curly: bool, colour: np.ndarray
) -> Hair:
    """Hair as a person mostly wears it."""
    front = rng.uniform(48, 74)
    recess = rng.uniform(-4, 18) if male else rng.uniform(-8, 8)
    if male and rng.random() < 0.12 + 0.4 * age:
        front, recess = front + rng.uniform(10, 45), recess + rng.uniform(5, 30)
    shaved = rng.random() < (0.16 if male else 0.03)
    line = (
        front,
        front + 0.5 * recess,
        min(front - 6, 56) + recess,
        rng.uniform(16, 42),
        rng.uniform(-34, 6),
        rng.uniform(-45, -10),
        rng.uniform(-75, -45),
    )
    bare = Hair(
        line=tuple(float(height) for height in line),
        peak=float(rng.uniform(4, 14) if rng.random() < 0.25 else 0.0),
        sweep=0.0,
        parting=float(rng.uniform(-0.8, 0.8)),
        softness=float(rng.uniform(1.0, 5.0)),
        volume=float(rng.uniform(0, 1.5)),
        length=0.0,
        curtain=1.2,
        frequency=float(rng.uniform(0.9, 1.8) if curly else rng.uniform(0.2, 0.8)),
        contrast=float(rng.uniform(0.15, 0.6)),
        density=float(rng.uniform(0.25, 0.75)),
        colour=as_colour(colour),
        cloth=None,
    )
    return bare if shaved else restyle(rng, bare, male=male)


def restyle(rng: np.random.Generator, hair: Hair, *, male: bool) -> Hair:
    """The same hair worn in another way: fringe, parting, volume and length, or a hat over it."""
    if rng.random() < 0.07:
        return _cover(rng, hair, scarf=not male and rng.random() < 0.6)
    full = rng.gamma(2.2, 3.6 if male else 5.5)
    kinky = hair.frequency > 0.85
    if kinky and rng.random() < 0.35:
        full += rng.uniform(8, 28)
    long = rng.random() < (0.10 if male else 0.68)
    worn = replace(
        hair,
        parting=float(rng.uniform(-0.8, 0.8)),
        volume=float(min(full, 40.0)),
        length=float(rng.uniform(30, 230) if long else 0.0),
        curtain=float(rng.uniform(0.62, 1.5)),
        density=float(rng.uniform(0.9, 1.0)),
        sweep=float(rng.normal(0, 9) if rng.random() < 0.4 else 0.0),
    )
    if rng.random() >= (0.16 if male else 0.34):
        return worn
    front, recess = rng.uniform(22, 46), rng.uniform(-2, 10)
    line = (front, front + 0.5 * recess, front + recess, *hair.line[3:])
    return replace(worn, line=tuple(float(height) for height in line), peak=0.0)


def _cover(rng: np.random.Generator, hair: Hair, *, scarf: bool) -> Hair:
    """A cap over the hair, or a headscarf that falls to the shoulders."""
    front = rng.uniform(30, 58)
    sides = (10, -30, -60, -75) if scarf else (rng.uniform(18, 34), rng.uniform(6, 22), -5, -10)
    line = (front, front - 2, front - 6, *sides)
    cloth = np.exp(rng.uniform(np.log(0.02), np.log(0.5)) + rng.normal(0, 0.28, 3))
    return replace(
        hair,
        line=tuple(float(height) for height in line),
        peak=0.0,
        sweep=float(rng.normal(0, 2)),
        softness=0.6,
        volume=float(rng.uniform(4, 9)),
        length=float(rng.uniform(150, 230) if scarf else 0.0),
        curtain=float(rng.uniform(0.75, 0.95)),
        frequency=float(rng.uniform(0.08, 0.25)),
        contrast=float(rng.uniform(0.1, 0.4)),
        density=1.0,
        cloth=as_colour(np.clip(cloth, 0.01, 0.85)),
    )


def draw_glasses(rng: np.random.Generator) -> Glasses:
    """A frame of any size and colour, more often dark than bright."""
    shade = np.exp(rng.uniform(np.log(0.008), np.log(0.35)))
    return Glasses(
        half_width=float(rng.uniform(19, 27)),
        half_height=float(rng.uniform(12, 22)),
        squareness=float(rng.uniform(2, 5.5)),
        tube=float(rng.uniform(0.5, 2.0)),
        colour=as_colour(np.clip(shade * rng.uniform(0.4, 1.6, 3), 0.005, 0.9)),
    )
