"""Who a rendered person is: everything that stays the same from one image to the next.

An identity is a pure function of (seed, group, index). Colours are linear RGB reflectances in
[0, 1]; lengths are millimetres on the template head (see :mod:`evenface.data.render.paint`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenface.data.render.bake import Head
from evenface.seeds import generator

_AXIS_DEVIATION = 0.28
_HEAD_AXIS_DEVIATION = 0.2
_ASYMMETRY = 0.15
"""Share of an axis' deviation by which the left side differs from the right."""

_SKIN_ENDS = {
    "african": ((0.055, 0.030, 0.019), (0.300, 0.172, 0.110)),
    "asian": ((0.360, 0.215, 0.130), (0.690, 0.515, 0.385)),
    "caucasian": ((0.390, 0.235, 0.155), (0.740, 0.545, 0.440)),
}
_DARK_HAIR = ((0.008, 0.006, 0.005), (0.040, 0.022, 0.012))
_HAIR_ENDS = {
    "african": (_DARK_HAIR,),
    "asian": (_DARK_HAIR,),
    "caucasian": (
        _DARK_HAIR,
        ((0.060, 0.030, 0.014), (0.160, 0.085, 0.040)),  # brown
        ((0.300, 0.190, 0.080), (0.520, 0.390, 0.210)),  # blond
        ((0.220, 0.070, 0.020), (0.340, 0.120, 0.035)),  # red
    ),
}
_GREY = np.array((0.42, 0.41, 0.40))
_BROWN_IRIS = ((0.020, 0.009, 0.004), (0.120, 0.050, 0.018))
_IRIS_ENDS = {
    "african": (_BROWN_IRIS,),
    "asian": (_BROWN_IRIS,),
    "caucasian": (
        _BROWN_IRIS,
        ((0.060, 0.120, 0.190), (0.200, 0.330, 0.460)),  # blue
        ((0.070, 0.095, 0.040), (0.180, 0.200, 0.090)),  # green
        ((0.150, 0.160, 0.165), (0.260, 0.270, 0.280)),  # grey
    ),
}


@dataclass(frozen=True)
class Brows:
    """Eyebrows: where they start and end sideways, their height above the eyes, and form."""

    inner: float
    outer: float
    height: float
    arch: float
    slope: float
    thickness: float
    density: float
    skew: float


@dataclass(frozen=True)
class Hair:
    """Scalp hair: height of the hairline over the azimuth, and what grows there."""

    line: tuple[float, ...]
    parting: float
    softness: float
    volume: float
    length: float
    curtain: float
    frequency: float
    contrast: float
    density: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Beard:
    """Facial hair: densities in [0, 1] of its parts and the height of the cheek line."""

    moustache: float
    chin: float
    jaw: float
    cheek_line: float


@dataclass(frozen=True)
class Glasses:
    """A frame: half sizes of a lens, exponent of its outline (2 is an ellipse), tube radius."""

    half_width: float
    half_height: float
    squareness: float
    tube: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Identity:
    """One person.

    Attributes:
        gender, age, weight: as for :meth:`evenface.data.render.bake.Head.shape`.
        axes: float32 (axes,) local shape axes.
        skin: reflectance; ``waves`` (K, 5) are frequency (3), phase and weight of its mottling,
            ``mottle`` the strength of that (3 channels).
        redness: of cheeks and nose; freckles: strength; moles: (M, 4) x, height, radius, strength.
        shade: how dark the skin around the eyes is.
        lips, iris: reflectances; liner: darkness of the lid's edge.
    """

    group: str
    index: int
    gender: float
    age: float
    weight: float
    axes: np.ndarray
    skin: np.ndarray
    waves: np.ndarray
    mottle: np.ndarray
    redness: float
    freckles: float
    moles: np.ndarray
    shade: float
    lips: np.ndarray
    iris: np.ndarray
    iris_radius: float
    liner: float
    shine: float
    brows: Brows
    brow_colour: np.ndarray
    hair: Hair
    beard: Beard
    glasses: Glasses | None


def draw_identity(head: Head, *, seed: int, group: str, index: int) -> Identity:
    """The person ``index`` of ``group`` under ``seed``, whoever else is drawn."""
    rng = generator(seed, "render-identity", group, index)
    gender = float(np.clip(rng.choice((0.12, 0.88)) + rng.normal(0, 0.12), 0, 1))
    male = gender < 0.5
    age = float(rng.beta(1.0, 2.2))
    skin = _between(rng, _SKIN_ENDS[group]) * np.exp(rng.normal(0, (0.05, 0.06, 0.08)))
    colour = _hair_colour(rng, group, age)
    return Identity(
        group=group,
        index=index,
        gender=gender,
        age=age,
        weight=float(np.clip(rng.normal(0.5, 0.17), 0.05, 0.95)),
        axes=_draw_axes(rng, head.axis_names),
        skin=skin,
        waves=_draw_waves(rng),
        mottle=rng.uniform(0.03, 0.11) * np.array((0.7, 1.0, 1.2)),
        redness=float(rng.uniform(0, 0.5)),
        freckles=float(rng.uniform(0.2, 0.9) if rng.random() < 0.15 else 0.0),
        moles=_draw_moles(rng),
        shade=float(rng.uniform(0, 0.35)),
        lips=_draw_lips(rng, skin, male),
        iris=_between(rng, _pick(rng, _IRIS_ENDS[group], (0.35, 0.35, 0.15, 0.15))),
        iris_radius=float(rng.uniform(5.6, 6.5)),
        liner=float(rng.uniform(0.1, 0.4) if male else rng.uniform(0.2, 0.95)),
        shine=float(rng.uniform(0.15, 0.9)),
        brows=_draw_brows(rng, male),
        brow_colour=np.clip(colour * rng.uniform(0.5, 1.1), 0.003, 0.6 * skin),
        hair=_draw_hair(rng, male, age, group, colour),
        beard=_draw_beard(rng, male),
        glasses=_draw_glasses(rng) if rng.random() < 0.12 else None,
    )


def _between(
    rng: np.random.Generator, ends: tuple[tuple[float, ...], tuple[float, ...]]
) -> np.ndarray:
    """A colour between two, on the line of their logarithms."""
    low, high = np.log(ends[0]), np.log(ends[1])
    return np.asarray(np.exp(low + rng.random() * (high - low)))


def _pick(rng: np.random.Generator, options: tuple, weights: tuple[float, ...]) -> tuple:
    shares = np.array(weights[: len(options)])
    return tuple(options[rng.choice(len(options), p=shares / shares.sum())])


def _draw_axes(rng: np.random.Generator, names: list[str]) -> np.ndarray:
    """Gaussian axes; the two sides of the face share most of theirs."""
    values = np.empty(len(names), dtype=np.float32)
    right: dict[str, float] = {}
    for number, name in enumerate(names):
        deviation = _HEAD_AXIS_DEVIATION if name.startswith("head-") else _AXIS_DEVIATION
        value = rng.normal(0, deviation)
        if name[:2] in ("l-", "r-"):
            value = right.setdefault(name[2:], value) + _ASYMMETRY * value
        values[number] = value
    return np.clip(values, -1, 1)


def _draw_waves(rng: np.random.Generator) -> np.ndarray:
    """Mottling of the skin: plane waves of 12 to 120 mm with falling weight."""
    count = 20
    length = np.exp(rng.uniform(np.log(12), np.log(120), count))
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    weight = np.sqrt(length / length.sum())
    phase = rng.uniform(0, 2 * np.pi, count)
    return np.column_stack([direction * (2 * np.pi / length)[:, None], phase, weight])


def _draw_moles(rng: np.random.Generator) -> np.ndarray:
    count = rng.poisson(1.4)
    x, height = rng.uniform(-55, 55, count), rng.uniform(-100, 60, count)
    return np.column_stack([x, height, rng.uniform(0.9, 2.6, count), rng.uniform(0.4, 0.95, count)])


def _draw_lips(rng: np.random.Generator, skin: np.ndarray, male: bool) -> np.ndarray:
    natural = skin * (rng.uniform(0.75, 1.05), rng.uniform(0.5, 0.75), rng.uniform(0.5, 0.8))
    if male or rng.random() < 0.55:
        return natural
    stick = np.array((rng.uniform(0.2, 0.6), rng.uniform(0.02, 0.15), rng.uniform(0.03, 0.2)))
    # What lies under a lipstick darkens it; otherwise lips would glow in dark faces.
    stick *= 0.08 + 0.92 * min(1.0, skin.mean() / 0.4)
    share = rng.uniform(0.3, 0.85)
    return np.asarray((1 - share) * natural + share * stick)


def _hair_colour(rng: np.random.Generator, group: str, age: float) -> np.ndarray:
    colour = _between(rng, _pick(rng, _HAIR_ENDS[group], (0.35, 0.35, 0.2, 0.1)))
    grey = np.clip(rng.normal(1.6 * age - 0.75, 0.25), 0, 1)
    return np.asarray((1 - grey) * colour + grey * _GREY * rng.uniform(0.6, 1.3))


def _draw_brows(rng: np.random.Generator, male: bool) -> Brows:
    return Brows(
        inner=float(rng.uniform(7, 15)),
        outer=float(rng.uniform(41, 52)),
        height=float(rng.uniform(16, 22.5)),
        arch=float(rng.uniform(0.0, 5.5)),
        slope=float(rng.normal(0.03, 0.07)),
        thickness=float(rng.uniform(2.6, 5.6) if male else rng.uniform(1.4, 4.0)),
        density=float(rng.uniform(0.45, 1.0)),
        skew=float(rng.normal(0, 0.8)),
    )


def _draw_hair(
    rng: np.random.Generator, male: bool, age: float, group: str, colour: np.ndarray
) -> Hair:
    front = rng.uniform(52, 72)
    recess = rng.uniform(-4, 16) if male else rng.uniform(-6, 6)
    if male and rng.random() < 0.1 + 0.35 * age:
        front, recess = front + rng.uniform(10, 40), recess + rng.uniform(5, 25)
    fringe = rng.random() < (0.12 if male else 0.3)
    if fringe:
        front, recess = rng.uniform(24, 46), rng.uniform(-2, 8)
    long = not male and rng.random() < 0.72
    shaved = male and rng.random() < 0.14
    curly = group == "african" or rng.random() < 0.15
    side = rng.uniform(-30, 5)
    return Hair(
        line=(
            float(front),
            float(front + 0.5 * recess),
            float(min(front - 6, 56) + recess),
            float(rng.uniform(20, 42)),
            float(side),
            float(rng.uniform(-45, -10)),
            float(rng.uniform(-75, -45)),
        ),
        parting=float(rng.uniform(-0.6, 0.6)),
        softness=float(rng.uniform(1.0, 4.0)),
        volume=float(rng.uniform(0, 2) if shaved else rng.gamma(3.0, 3.2 if male else 4.2)),
        length=float(rng.uniform(60, 220) if long else 0.0),
        curtain=float(rng.uniform(0.85, 1.45)),
        frequency=float(rng.uniform(0.9, 1.8) if curly else rng.uniform(0.25, 0.8)),
        contrast=float(rng.uniform(0.25, 0.75)),
        density=float(rng.uniform(0.25, 0.7) if shaved else rng.uniform(0.9, 1.0)),
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
    )


def _draw_beard(rng: np.random.Generator, male: bool) -> Beard:
    if not male or rng.random() < 0.4:
        return Beard(0.0, 0.0, 0.0, 0.0)
    strength = rng.uniform(0.15, 0.9)
    kept = rng.random(3) < (0.8, 0.75, 0.6)
    moustache, chin, jaw = (float(part * strength) for part in kept)
    return Beard(moustache, chin, jaw, float(rng.uniform(-62, -38)))


def _draw_glasses(rng: np.random.Generator) -> Glasses:
    shade = rng.uniform(0.01, 0.3)
    tint = shade * rng.uniform(0.5, 1.5, 3)
    return Glasses(
        half_width=float(rng.uniform(20, 26)),
        half_height=float(rng.uniform(13, 21)),
        squareness=float(rng.uniform(2, 5)),
        tube=float(rng.uniform(0.5, 1.6)),
        colour=(float(tint[0]), float(tint[1]), float(tint[2])),
    )
