"""The front of a face painted once a person: brows, beard, folds, moles, patches of tone.

An atlas is a picture over the template's (x, z): what lies before the ears, seen from the front.
Hits look their paint up in it, so its detail costs nothing an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from evenface.render.identity import Beard, Brows, Identity, Lines

_TEXEL = 0.8
"""Millimetres of a texel."""
_LEFT, _RIGHT, _LOW, _HIGH = -84.0, 84.0, -140.0, 112.0
_FOLD = 512
_MOUTH = -66.3
"""Height between the lips, in the middle."""


def smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


@dataclass(frozen=True)
class Atlas:
    """Attributes: tone, float32 (H, W, 3): logarithm of what multiplies the skin's colour;
    hairs, float32 (H, W, 3): share of brow, of beard, and strength of the skin's shine."""

    tone: np.ndarray
    hairs: np.ndarray

    def look_up(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``tone`` and ``hairs`` (n, 3) at (n, 3) template places."""
        # OpenCV refuses maps of more than 32,767 rows, so the places are folded into lines.
        lines = -(-len(places) // _FOLD)
        at = np.zeros((2, lines * _FOLD), dtype=np.float32)
        at[0, : len(places)] = (places[:, 0] - _LEFT) / _TEXEL
        at[1, : len(places)] = (places[:, 2] - _LOW) / _TEXEL
        x, y = at.reshape(2, lines, _FOLD)
        tone, hairs = (
            cv2.remap(layer, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for layer in (self.tone, self.hairs)
        )
        return tone.reshape(-1, 3)[: len(places)], hairs.reshape(-1, 3)[: len(places)]


def paint_atlas(who: Identity) -> Atlas:
    """The atlas of a person."""
    x, z = np.meshgrid(
        np.arange(_LEFT, _RIGHT, _TEXEL, dtype=np.float32),
        np.arange(_LOW, _HIGH, _TEXEL, dtype=np.float32),
    )
    tone = np.zeros((*x.shape, 3), dtype=np.float32)
    for at_x, at_z, wide, high, *colour in who.zones:
        patch = np.exp(-(((x - at_x) / wide) ** 2) - ((z - at_z) / high) ** 2)
        tone += patch[..., None] * np.array(colour, dtype=np.float32)
    beside = np.abs(x)
    cheeks = np.exp(-(((beside - 38) / 18) ** 2) - ((z + 38) / 16) ** 2)
    nose = np.exp(-((x / 14) ** 2) - ((z + 36) / 12) ** 2)
    red = np.float32(who.redness) * np.maximum(cheeks, nose)
    tone -= red[..., None] * np.array((0.02, 0.28, 0.22), dtype=np.float32)
    sockets = np.exp(-(((beside - 30) / 17) ** 2) - ((z + 3) / 10) ** 2)
    tone -= sockets[..., None] * (who.shade * np.array((0.7, 0.9, 0.8), dtype=np.float32))
    if who.freckles:
        spots = _speckle(x, z) * np.exp(-(((beside - 22) / 28) ** 2) - ((z + 28) / 22) ** 2)
        tone -= spots[..., None] * (who.freckles * np.array((0.5, 0.8, 1.0), dtype=np.float32))
    tone -= _folds(who.lines, x, z)[..., None] * np.array((0.85, 1.0, 1.05), dtype=np.float32)
    tone -= (who.mouth_line * _mouth(x, z) + _nostrils(x, z))[..., None]
    for mole_x, mole_z, radius, strength in who.moles:
        apart = np.hypot(x - mole_x, z - mole_z)
        tone -= (2.2 * strength * (1 - smooth(apart, 0.6 * radius, 1.4 * radius)))[..., None]
    oily = np.maximum(np.exp(-((x / 12) ** 2)) * smooth(z, -45, -20), 0.8 * cheeks)
    hairs = [brow_density(who.brows, x, z), beard_density(who.beard, x, z), 0.6 + 0.9 * oily]
    return Atlas(tone, np.stack(hairs, axis=-1).astype(np.float32))


def brow_density(brows: Brows, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Share of brow hair at places of the face's front."""
    beside = np.abs(x)
    along = (beside - brows.inner) / (brows.outer - brows.inner)
    middle = (
        brows.height
        + brows.slope * (beside - 30)
        + brows.arch * (1 - ((along - 0.62) / 0.62) ** 2)
        + brows.skew * np.sign(x)
    )
    body = smooth(along, -0.35, 0.35) * np.clip(1.1 - brows.taper * along, 0.12, 1)
    half = np.maximum(brows.thickness * np.sqrt(body), 0.4)
    off = np.abs(z - middle)
    inside = 1 - smooth(off / half, 0.45, 1.25)
    ends = smooth(along, -0.15, 0.15) * (1 - smooth(along, 0.85, 1.1))
    lean = 1.9 * beside - 1.1 * (z - middle) * np.sign(0.8 - along)
    hairs = 0.8 + 0.2 * np.sin(lean) * np.sin(0.61 * lean + 0.4 * z)
    between = brows.bridge * np.exp(-((x / 9) ** 2) - ((z - brows.height + 1) / 3.5) ** 2)
    return np.asarray(np.maximum(brows.density * inside * ends, between) * hairs)


def beard_density(beard: Beard, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Share of facial hair at places of the face's front."""
    beside = np.abs(x)
    upper = smooth(z, -64, -57) * (1 - smooth(z, -53, -44)) * (1 - smooth(beside, 14, 31))
    chin = (1 - smooth(z, -88, -76)) * (1 - smooth(beside, 14, 31))
    line = beard.cheek_line + 1.1 * np.clip(beside - 45, 0, 30)
    jaw = (1 - smooth(z, line - 14, line + 8)) * smooth(beside, 20, 32)
    low = smooth(z, -135, -115)
    shaved = beard.stubble * np.maximum(np.maximum(upper, chin), jaw)
    grown = np.maximum(beard.moustache * upper, np.maximum(beard.chin * chin, beard.jaw * jaw))
    fuzz = 0.82 + 0.18 * np.sin(2.3 * x + 0.7 * z) * np.sin(1.9 * z - 0.6 * x)
    return np.asarray(0.95 * np.maximum(grown, shaved) * low * fuzz)


def _stroke(off: np.ndarray, width: float) -> np.ndarray:
    """A dark line with a faint bright ridge beside it, by distance (signed) from its middle."""
    groove, ridge = off / width, off / width - 2
    return np.asarray(np.exp(-(groove**2)) - 0.3 * np.exp(-(ridge**2)))


def _folds(lines: Lines, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Darkness of wrinkles and folds, in logarithm."""
    beside = np.abs(x)
    lift, wide = lines.spread
    brow = smooth(44 - beside, 0, 14)
    bent = z + 3 * np.sin(0.055 * x + lift) + 0.0016 * x**2
    dark = np.zeros_like(x)
    for height in (38 + lift, 46 + lift, 55 + lift):
        dark += lines.forehead * brow * _stroke(bent - height, 1.3)
    between = smooth(z, 0, 8) * smooth(-z, -24, -16)
    dark += lines.frown * between * _stroke(beside - 5 - 0.12 * z, 1.4)
    out, up = beside - 47, z - 1
    outside = smooth(out, 0, 4) * smooth(-out, -15, -8)
    for slant in (-0.55, 0.0, 0.5):
        dark += lines.crow * outside * _stroke(up - slant * out, 1.1)
    along = np.clip((-38 - z) / 32, 0, 1)
    fold = 17 + wide + 13 * along**1.2
    ends = smooth(-z, 36, 46) * smooth(z, -78, -66)
    dark += lines.cheek * _stroke(fold - beside, 1.8) * ends
    below = z + 15 + 1.2 * lift - 0.02 * (beside - 28) ** 2
    dark += lines.bags * _stroke(below, 1.7) * smooth(18 - np.abs(beside - 28), 0, 8)
    down = smooth(-z, 70, 75) * smooth(z, -96, -84)
    dark += lines.corner * _stroke(beside - 25 - 0.15 * (-70 - z), 1.6) * down
    return np.asarray(dark)


def _mouth(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The line between the lips, and the shade below the lower one."""
    height = _MOUTH - 1.8 * np.clip(np.abs(x) / 22, 0, 1.2) ** 2
    ends = 1 - smooth(np.abs(x), 19, 25)
    shade = 0.2 * np.exp(-((x / 16) ** 2) - ((z + 84) / 4) ** 2)
    return np.asarray(np.exp(-(((z - height) / 1.2) ** 2)) * ends + shade)


def _nostrils(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    apart = ((np.abs(x) - 7.5) / 3.4) ** 2 + ((z + 46.5) / 1.8) ** 2
    return np.asarray(1.3 * np.exp(-(apart**2)))


def _speckle(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Freckles: peaks of a product of waves."""
    field = np.sin(1.31 * x + 0.4 * z) * np.sin(1.17 * z - 0.5 * x) * np.sin(0.71 * (x + z) + 1)
    return smooth(field, 0.25, 0.6)
