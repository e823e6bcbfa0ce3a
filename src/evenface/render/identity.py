"""Who a rendered person is: everything that stays the same from one image to the next.

An identity is a pure function of (seed, group, index). Colours are linear RGB reflectances in
[0, 1]; lengths are millimetres on the template head (see :mod:`evenface.render.paint`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenface.render.bake import Head
from evenface.render.names import GROUPS
from evenface.render.wardrobe import (
    Glasses,
    Hair,
    Outfit,
    draw_glasses,
    draw_hair,
    restyle,
)
from evenface.seeds import generator

_FINE_AXIS = 6.0
"""Axes that move no vertex by more than so many millimetres take the larger deviation."""
_FINE_DEVIATION = 0.42
_COARSE_DEVIATION = 0.32
_HEAD_DEVIATION = 0.22
_ASYMMETRY = 0.18
"""Share of an axis' deviation by which the left side differs from the right."""
_OWN_SHARE = (0.7, 1.0)
"""A person's weight of the own group's phenotype axis; the other two share what is left."""

_SKIN_ENDS = {
    "african": ((0.062, 0.034, 0.021), (0.360, 0.215, 0.140)),
    "asian": ((0.310, 0.180, 0.105), (0.700, 0.525, 0.400)),
    "caucasian": ((0.330, 0.195, 0.125), (0.750, 0.555, 0.450)),
}
_DARK_HAIR = ((0.006, 0.005, 0.004), (0.045, 0.025, 0.014))
_BROWN_HAIR = ((0.055, 0.028, 0.014), (0.170, 0.090, 0.042))
_BLOND_HAIR = ((0.260, 0.165, 0.075), (0.520, 0.390, 0.220))
_RED_HAIR = ((0.180, 0.055, 0.016), (0.340, 0.120, 0.035))
_NATURAL_HAIR = {
    "african": (_DARK_HAIR,),
    "asian": (_DARK_HAIR,),
    "caucasian": (_DARK_HAIR, _BROWN_HAIR, _BLOND_HAIR, _RED_HAIR),
}
_DYES = (
    _BROWN_HAIR, _BLOND_HAIR, _RED_HAIR, ((0.10, 0.008, 0.012), (0.25, 0.03, 0.03)),
)  # fmt: skip
_GREY = np.array((0.42, 0.41, 0.40))
_BROWN_IRIS = ((0.020, 0.009, 0.004), (0.140, 0.060, 0.022))
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
    """Eyebrows: where they start and end sideways, their height above the eyes, and form.

    ``taper`` is how much thinner the outer end is, ``bridge`` the density between the two,
    ``skew`` how much higher the left one is.
    """

    inner: float
    outer: float
    height: float
    arch: float
    slope: float
    thickness: float
    taper: float
    density: float
    bridge: float
    skew: float


@dataclass(frozen=True)
class Beard:
    """Facial hair: densities in [0, 1] of its parts, height of the cheek line, stubble."""

    moustache: float
    chin: float
    jaw: float
    cheek_line: float
    stubble: float


@dataclass(frozen=True)
class Lines:
    """Darkness of the folds of a face, in logarithm, and where they lie.

    ``forehead``, ``frown`` (between the brows), ``crow`` (outside the eyes), ``cheek`` (from the
    nose to the mouth), ``bags`` (under the eyes), ``corner`` (below the mouth), ``crease`` (above
    the eye); ``spread`` (2,) shifts forehead and cheek lines, millimetres.
    """

    forehead: float
    frown: float
    crow: float
    cheek: float
    bags: float
    corner: float
    crease: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class Identity:
    """One person.

    Attributes:
        mix: (3,) weights of the phenotype axes in the order of the groups, sum 1.
        gender, age, weight: as for :meth:`evenface.render.bake.Head.shape`.
        axes: float32 (axes,) local shape axes.
        skin: reflectance; ``waves`` (K, 5) are frequency (3), phase and weight of its mottling,
            ``mottle`` the strength of that (3 channels).
        zones: (Z, 7) soft patches of another tone: x, height, half width, half height, and the
            logarithm of the colour (3).
        redness: of cheeks and nose; freckles: strength; moles: (M, 4) x, height, radius, strength.
        shade: how dark the skin around the eyes is; shadow: logarithm (3) of paint on the lids.
        lips, iris: reflectances; mouth_line: darkness between the lips.
        liner: darkness of the lid's edge; white: brightness of the eyeball.
        hair, glasses: as mostly worn; other_hair, other_glasses: in some images.
    """

    group: str
    index: int
    mix: np.ndarray
    gender: float
    age: float
    weight: float
    axes: np.ndarray
    skin: np.ndarray
    waves: np.ndarray
    mottle: np.ndarray
    zones: np.ndarray
    redness: float
    freckles: float
    moles: np.ndarray
    lines: Lines
    shade: float
    shadow: np.ndarray
    lips: np.ndarray
    mouth_line: float
    iris: np.ndarray
    iris_radius: float
    liner: float
    white: float
    shine: float
    brows: Brows
    brow_colour: np.ndarray
    beard: Beard
    beard_colour: np.ndarray
    hair: Hair
    other_hair: Hair
    glasses: Glasses | None
    other_glasses: Glasses | None

    def outfit(self, *, other_hair: bool, other_glasses: bool) -> Outfit:
        """What is worn in an image."""
        return Outfit(
            hair=self.other_hair if other_hair else self.hair,
            glasses=self.other_glasses if other_glasses else self.glasses,
        )


def draw_identity(head: Head, *, seed: int, group: str, index: int) -> Identity:
    """The person ``index`` of ``group`` under ``seed``, whoever else is drawn."""
    rng = generator(seed, "render-identity", group, index)
    mix = _draw_mix(rng, group)
    gender = float(np.clip(rng.choice((0.08, 0.92)) + rng.normal(0, 0.14), 0, 1))
    male = gender < 0.5
    age = float(rng.beta(0.9, 1.6))
    skin = _draw_skin(rng, mix)
    colour = _draw_hair_colour(rng, group, age)
    curly = rng.random() < 0.15 + 0.85 * mix[GROUPS.index("african")] ** 2
    hair = draw_hair(rng, male=male, age=age, curly=curly, colour=colour)
    wears_glasses = rng.random() < 0.15
    frame = draw_glasses(rng)
    return Identity(
        group=group,
        index=index,
        mix=mix,
        gender=gender,
        age=age,
        weight=float(np.clip(rng.normal(0.5, 0.24), 0.02, 0.98)),
        axes=_draw_axes(rng, head),
        skin=skin,
        waves=_draw_waves(rng),
        mottle=rng.uniform(0.04, 0.13) * np.array((0.7, 1.0, 1.2)),
        zones=_draw_zones(rng),
        redness=float(rng.uniform(0, 0.6)),
        freckles=float(rng.uniform(0.2, 0.9) if rng.random() < 0.15 else 0.0),
        moles=_draw_moles(rng),
        lines=_draw_lines(rng, age),
        shade=float(rng.uniform(0, 0.45)),
        shadow=_draw_shadow(rng, male),
        lips=_draw_lips(rng, skin, male),
        mouth_line=float(rng.uniform(0.5, 1.5)),
        iris=_between(rng, _pick(rng, _IRIS_ENDS[group], (0.35, 0.35, 0.15, 0.15))),
        iris_radius=float(rng.uniform(5.4, 6.6)),
        liner=float(rng.uniform(0.2, 0.6) if male else rng.uniform(0.3, 1.1)),
        white=float(rng.uniform(0.75, 1.25)),
        # A highlight on dark skin hides more of what is below it.
        shine=float(rng.uniform(0.15, 1.2) * (0.3 + 0.7 * min(1.0, skin.mean() / 0.35))),
        brows=_draw_brows(rng, male),
        brow_colour=np.clip(colour * rng.uniform(0.35, 1.0), 0.003, 0.5 * skin),
        beard=_draw_beard(rng, male),
        beard_colour=np.minimum(colour * rng.uniform(0.6, 1.2), 0.75 * skin + 0.1 * age),
        hair=hair,
        other_hair=restyle(rng, hair, male=male),
        glasses=frame if wears_glasses else None,
        other_glasses=None if wears_glasses else frame,
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


def _draw_mix(rng: np.random.Generator, group: str) -> np.ndarray:
    own, share = rng.uniform(*_OWN_SHARE), rng.random()
    others = iter(((1 - own) * share, (1 - own) * (1 - share)))
    return np.array([own if name == group else next(others) for name in GROUPS])


def _draw_skin(rng: np.random.Generator, mix: np.ndarray) -> np.ndarray:
    """A place between the ends of the axes' colours, these mixed on a logarithmic scale."""
    low, high = (mix @ np.log([_SKIN_ENDS[name][end] for name in GROUPS]) for end in (0, 1))
    tone = low + rng.random() * (high - low) + rng.normal(0, (0.07, 0.07, 0.11))
    return np.asarray(np.clip(np.exp(tone), 0.01, 0.85))


def _draw_axes(rng: np.random.Generator, head: Head) -> np.ndarray:
    """Gaussian axes; the two sides of the face share most of theirs."""
    reach = head.reach * 1000
    values = np.empty(len(reach), dtype=np.float32)
    right: dict[str, float] = {}
    for number, name in enumerate(head.axis_names):
        deviation = _FINE_DEVIATION if reach[number] < _FINE_AXIS else _COARSE_DEVIATION
        value = rng.normal(0, _HEAD_DEVIATION if name.startswith("head-") else deviation)
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


def _draw_zones(rng: np.random.Generator) -> np.ndarray:
    """Regions of the face differ in tone: forehead, nose, cheeks, mouth, chin; a few birthmarks."""
    places = np.array([(0, 45), (0, -20), (36, -30), (-36, -30), (0, -60), (0, -98)], dtype=float)
    sizes = np.array([(50, 22), (13, 26), (24, 24), (24, 24), (30, 14), (30, 18)], dtype=float)
    tone = rng.normal(0, 0.14, (6, 1)) + rng.normal(0, 0.045, (6, 3))
    tone[3] = tone[2] + rng.normal(0, 0.03, 3)
    marks = rng.poisson(0.12)
    places = np.concatenate([places, rng.uniform((-60, -100), (60, 60), (marks, 2))])
    sizes = np.concatenate([sizes, rng.uniform(4, 16, (marks, 2))])
    stain = -rng.uniform(0.3, 0.9, (marks, 1)) * rng.uniform((0.3, 0.8, 0.7), (0.8, 1.2, 1.1))
    return np.column_stack([places, sizes, np.concatenate([tone, stain])])


def _draw_moles(rng: np.random.Generator) -> np.ndarray:
    count = rng.poisson(0.9)
    x, height = rng.uniform(-55, 55, count), rng.uniform(-100, 60, count)
    return np.column_stack([x, height, rng.uniform(0.8, 2.3, count), rng.uniform(0.25, 0.9, count)])


def _draw_lines(rng: np.random.Generator, age: float) -> Lines:
    def dark(base: float, old: float) -> float:
        return float((base + old * age) * rng.uniform(0.1, 1.0))

    return Lines(
        forehead=dark(0.05, 0.5),
        frown=dark(0.05, 0.5),
        crow=dark(0.0, 0.45),
        cheek=dark(0.2, 0.5),
        bags=dark(0.2, 0.45),
        corner=dark(0.05, 0.45),
        crease=dark(0.5, 0.3),
        spread=(float(rng.normal(0, 3)), float(rng.normal(0, 2.5))),
    )


def _draw_shadow(rng: np.random.Generator, male: bool) -> np.ndarray:
    if male or rng.random() < 0.6:
        return np.zeros(3)
    return np.asarray(-rng.uniform(0.2, 1.0) * rng.uniform(0.3, 1.2, 3))


def _draw_lips(rng: np.random.Generator, skin: np.ndarray, male: bool) -> np.ndarray:
    natural = skin * (rng.uniform(0.7, 1.1), rng.uniform(0.45, 0.8), rng.uniform(0.5, 0.85))
    if male or rng.random() < 0.5:
        return np.asarray(np.clip(natural, 0.01, 0.9))
    stick = np.array((rng.uniform(0.15, 0.6), rng.uniform(0.02, 0.18), rng.uniform(0.03, 0.22)))
    # What lies under a lipstick darkens it; otherwise lips would glow in dark faces.
    stick *= 0.15 + 0.85 * min(1.0, skin.mean() / 0.4)
    share = rng.uniform(0.3, 0.9)
    return np.asarray(np.clip((1 - share) * natural + share * stick, 0.005, 0.9))


def _draw_hair_colour(rng: np.random.Generator, group: str, age: float) -> np.ndarray:
    colour = _between(rng, _pick(rng, _NATURAL_HAIR[group], (0.35, 0.35, 0.2, 0.1)))
    grey = np.clip(rng.normal(1.6 * age - 0.75, 0.25), 0, 1)
    colour = (1 - grey) * colour + grey * _GREY * rng.uniform(0.5, 1.4)
    if rng.random() < 0.12:
        colour = _between(rng, _pick(rng, _DYES, (1.0,) * len(_DYES)))
    return np.asarray(np.clip(colour, 0.004, 0.7))


def _draw_brows(rng: np.random.Generator, male: bool) -> Brows:
    return Brows(
        inner=float(rng.uniform(6, 16)),
        outer=float(rng.uniform(39, 53)),
        height=float(rng.uniform(14.5, 23)),
        arch=float(rng.uniform(-0.5, 7)),
        slope=float(rng.normal(0.03, 0.09)),
        thickness=float(rng.uniform(2.4, 6.5) if male else rng.uniform(1.2, 4.6)),
        taper=float(rng.uniform(0.2, 1.0)),
        density=float(rng.uniform(0.4, 1.0)),
        bridge=float(rng.uniform(0.2, 0.9) if rng.random() < (0.15 if male else 0.05) else 0.0),
        skew=float(rng.normal(0, 1.0)),
    )


def _draw_beard(rng: np.random.Generator, male: bool) -> Beard:
    if not male:
        return Beard(0.0, 0.0, 0.0, 0.0, 0.0)
    stubble = float(rng.uniform(0, 0.3))
    if rng.random() < 0.4:
        return Beard(0.0, 0.0, 0.0, 0.0, stubble)
    strength = rng.uniform(0.25, 1.0)
    kept = rng.random(3) < (0.8, 0.7, 0.55)
    moustache, chin, jaw = (float(part * strength) for part in kept)
    return Beard(moustache, chin, jaw, float(rng.uniform(-66, -34)), stubble)
