"""Colour of what the rays hit: skin, brows, hair, beard, eyes, as functions of template places.

Places are millimetres on the template head from the middle of its eyes (x to the person's left,
y backwards, z up), interpolated over the triangle that was hit, so paint stays where it is whatever
the shape or the expression. Colours are linear RGB reflectances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenface.data.render.bake import MASKS
from evenface.data.render.body import Body, Part, above_hairline, azimuth
from evenface.data.render.identity import Beard, Brows, Hair, Identity
from evenface.data.render.raster import Hits

_EYE_CENTRE = np.array((29.6, 8.7, 0.4), dtype=np.float32)
"""Centre of the left eyeball of the template; the right one mirrors it."""
_EYE_RADIUS = 15.3
_SCLERA = np.array((0.36, 0.325, 0.305), dtype=np.float32)
_MOUTH_INSIDE = np.array((0.10, 0.025, 0.022), dtype=np.float32)


@dataclass(frozen=True)
class Surface:
    """What was hit, ready for lighting; all float32.

    Attributes:
        colour: (n, 3) reflectance; normals: (n, 3) unit.
        shine: (n,) strength of highlights; gloss: (n,) their exponent.
        open: (n,) share of the surrounding light that gets there.
        lit: (n,) share of the main light that gets there.
    """

    colour: np.ndarray
    normals: np.ndarray
    shine: np.ndarray
    gloss: np.ndarray
    open: np.ndarray
    lit: np.ndarray


def smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


class Painter:
    """Paints one person; what the vertices carry is worked out once."""

    def __init__(self, body: Body, openness: np.ndarray) -> None:
        """``openness``: (V,) share of the surroundings that each vertex sees."""
        self._identity = body.identity
        places = body.places
        count = len(places)
        heads = len(body.rest)
        masks = np.zeros((count, len(MASKS)), dtype=np.float32)
        masks[:heads] = body.head.masks.T
        eyes = np.zeros(count, dtype=np.float32)
        eyes[:heads] = body.head.eyeballs.sum(axis=0)
        mottle = _mottle(self._identity, places)
        scalp = np.zeros(count, dtype=np.float32)
        scalp[:heads] = body.scalp
        columns = [places, masks, eyes, scalp, mottle, openness]
        self._carried = np.column_stack(columns).astype(np.float32)

    def paint(
        self,
        hits: Hits,
        triangles: np.ndarray,
        parts: np.ndarray,
        normals: np.ndarray,
        lit: np.ndarray,
        gaze: np.ndarray,
    ) -> Surface:
        """Colour the hits.

        Args:
            hits: what the rays met.
            triangles, parts: of the mesh.
            normals: (V, 3); lit: (V,) share of the main light at the vertices.
            gaze: (2,) radians sideways and up.
        """
        corners = triangles[hits.triangle]
        table = np.column_stack([self._carried, normals, lit]).astype(np.float32)
        values = np.zeros((len(corners), table.shape[1]), dtype=np.float32)
        for corner in range(3):
            values += hits.weights[:, corner, None] * np.take(table, corners[:, corner], axis=0)
        places = values[:, :3]
        lips, lids, ears, inside = values[:, 3:7].T
        eyes, scalp, mottle, openness = values[:, 7:11].T
        normal = values[:, 11:14]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        part = parts[hits.triangle]

        colour = self._skin(places, lids, ears, mottle)
        shine = np.full(len(places), 0.06 * self._identity.shine, dtype=np.float32)
        gloss = np.full(len(places), 14.0, dtype=np.float32)
        blend = smooth(lips, 0.25, 0.75)
        colour += blend[:, None] * (self._identity.lips - colour)
        shine += 0.04 * blend
        front = places[:, 1] < 40
        self._paint_hairs(colour, places, scalp, front)
        shine *= 1 - 0.7 * smooth(scalp, 0.1, 0.4)
        is_inside = (inside > 0.5) & (part == Part.HEAD)
        colour[is_inside] = _MOUTH_INSIDE
        eye = np.flatnonzero((eyes > 0.5) & (part == Part.HEAD))
        colour[eye] = self._eye(places[eye], gaze)
        shine[eye], gloss[eye] = 0.25, 250.0
        for kind, paint in ((Part.CURTAIN, self._curtain), (Part.GLASSES, self._glasses)):
            chosen = np.flatnonzero(part == kind)
            if len(chosen):
                colour[chosen], shine[chosen], gloss[chosen] = paint(places[chosen])
        return Surface(
            colour=np.clip(colour, 0.002, 0.95),
            normals=normal,
            shine=shine,
            gloss=gloss,
            open=openness,
            lit=values[:, 14],
        )

    def _skin(
        self, places: np.ndarray, lids: np.ndarray, ears: np.ndarray, mottle: np.ndarray
    ) -> np.ndarray:
        who = self._identity
        x, y, z = np.abs(places[:, 0]), places[:, 1], places[:, 2]
        log = mottle[:, None] * who.mottle.astype(np.float32)
        cheeks = np.exp(-(((x - 38) / 18) ** 2) - ((z + 38) / 16) ** 2)
        nose = np.exp(-((x / 14) ** 2) - ((z + 36) / 12) ** 2)
        red = who.redness * (np.maximum(cheeks, nose) + 0.5 * ears)
        log -= red[:, None] * np.array((0.02, 0.28, 0.22), dtype=np.float32)
        sockets = np.exp(-(((x - 30) / 17) ** 2) - ((z + 3) / 10) ** 2)
        log -= (who.shade * sockets * (y < 40))[:, None] * np.array((0.7, 0.9, 0.8))
        lashes = _near_eye(places)
        log -= (who.liner * 1.6 * lashes)[:, None]
        if who.freckles:
            spots = _speckle(places) * np.exp(-(((x - 22) / 28) ** 2) - ((z + 28) / 22) ** 2)
            log -= (who.freckles * spots)[:, None] * np.array((0.5, 0.8, 1.0))
        for mole_x, mole_z, radius, strength in who.moles:
            apart = np.hypot(places[:, 0] - mole_x, z - mole_z)
            spot = 1 - smooth(apart, 0.6 * radius, 1.4 * radius)
            log -= (2.2 * strength * spot * (y < 45))[:, None]
        return np.asarray(who.skin * np.exp(log), dtype=np.float32)

    def _paint_hairs(
        self, colour: np.ndarray, places: np.ndarray, scalp: np.ndarray, front: np.ndarray
    ) -> None:
        who = self._identity
        for density, rows, shade in (
            (brow_density(who.brows, places[front]), front, who.brow_colour),
            (beard_density(who.beard, places[front]), front, np.array(who.hair.colour) * 0.8),
        ):
            share = density[:, None].astype(np.float32)
            colour[rows] += share * (shade - colour[rows])
        grown = np.flatnonzero(scalp > 0)
        height = above_hairline(who.hair, places[grown])
        soft = who.hair.softness * 2
        wavy = height + 1.5 * np.sin(0.9 * places[grown, 0]) * np.sin(0.53 * places[grown, 1])
        share = who.hair.density * smooth(wavy, -soft * 0.2, soft) * smooth(scalp[grown], 0, 0.15)
        hair = _strands(who.hair, places[grown])
        colour[grown] += share[:, None] * (hair - colour[grown])

    def _eye(self, places: np.ndarray, gaze: np.ndarray) -> np.ndarray:
        who = self._identity
        side = np.sign(places[:, :1])
        local = places - _EYE_CENTRE * np.concatenate(
            [side, np.ones_like(side), np.ones_like(side)], axis=1
        )
        aim = _EYE_RADIUS * np.sin(gaze)
        away = np.hypot(local[:, 0] - aim[0], local[:, 2] - aim[1])
        away[local[:, 1] > 0] = 99.0
        radius = who.iris_radius
        ring = 1 - 0.55 * smooth(away, radius * 0.72, radius)
        iris = who.iris * ring[:, None]
        pupil = 1 - smooth(away, radius * 0.36, radius * 0.48)
        iris = iris * (1 - 0.97 * pupil[:, None])
        sclera = _SCLERA * (0.45 + 0.55 * min(1.0, float(who.skin.mean()) / 0.35))
        white = sclera * (1 - 0.3 * smooth(np.abs(local[:, 0]), 6, 13))[:, None]
        blend = smooth(away, radius * 0.94, radius * 1.1)[:, None]
        return np.asarray(iris + blend * (white - iris), dtype=np.float32)

    def _curtain(self, places: np.ndarray) -> tuple[np.ndarray, float, float]:
        return _strands(self._identity.hair, places), 0.03, 12.0

    def _glasses(self, places: np.ndarray) -> tuple[np.ndarray, float, float]:
        glasses = self._identity.glasses
        colour = glasses.colour if glasses is not None else (0.0, 0.0, 0.0)
        return np.broadcast_to(np.array(colour), (len(places), 3)), 0.3, 40.0


def brow_density(brows: Brows, places: np.ndarray) -> np.ndarray:
    """(n,) share of brow hair at (n, 3) places of the face's front."""
    x = np.abs(places[:, 0])
    along = (x - brows.inner) / (brows.outer - brows.inner)
    middle = (
        brows.height
        + brows.slope * (x - 30)
        + brows.arch * (1 - ((along - 0.62) / 0.62) ** 2)
        + brows.skew * np.sign(places[:, 0])
    )
    half = brows.thickness * np.sqrt(np.clip(1.15 - along, 0, 1))
    off = np.abs(places[:, 2] - middle)
    inside = 1 - smooth(off / np.maximum(half, 0.3), 0.55, 1.15)
    ends = smooth(along, -0.12, 0.1) * (1 - smooth(along, 0.85, 1.08))
    hairs = 0.85 + 0.15 * np.sin(3.1 * x + 2.2 * places[:, 2])
    return np.asarray(brows.density * inside * ends * hairs)


def beard_density(beard: Beard, places: np.ndarray) -> np.ndarray:
    """(n,) share of facial hair at (n, 3) places of the face's front."""
    if not (beard.moustache or beard.chin or beard.jaw):
        return np.zeros(len(places), dtype=np.float32)
    x, z = np.abs(places[:, 0]), places[:, 2]
    upper = smooth(z, -64, -57) * (1 - smooth(z, -53, -44)) * (1 - smooth(x, 14, 31))
    chin = (1 - smooth(z, -88, -76)) * (1 - smooth(x, 14, 31))
    line = beard.cheek_line + 1.1 * np.clip(x - 45, 0, 30)
    jaw = (1 - smooth(z, line - 14, line + 8)) * smooth(x, 20, 32)
    low = smooth(z, -135, -115)
    density = np.maximum(beard.moustache * upper, np.maximum(beard.chin * chin, beard.jaw * jaw))
    fuzz = 0.85 + 0.15 * np.sin(2.3 * places[:, 0]) * np.sin(2.7 * z)
    return np.asarray(0.9 * density * low * fuzz)


def _strands(hair: Hair, places: np.ndarray) -> np.ndarray:
    """(n, 3) colour of scalp hair: darker and lighter locks that run with the hair."""
    turn = azimuth(places)
    across = 70 * turn * np.sign(places[:, 0] - 20 * hair.parting) + 0.3 * places[:, 2]
    wobble = 2 * np.sin(0.11 * places[:, 2]) + 2 * np.sin(0.07 * places[:, 1])
    waves = np.sin(hair.frequency * across + wobble)
    waves += 0.7 * np.sin(2.63 * hair.frequency * across + 0.23 * places[:, 2])
    if hair.frequency > 0.85:
        waves *= np.sin(hair.frequency * places[:, 2] + wobble)
    return np.asarray(
        np.array(hair.colour) * np.exp(hair.contrast * 0.55 * waves)[:, None], dtype=np.float32
    )


def _near_eye(places: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1]: how close skin is to the eyeball, where lashes grow."""
    local = np.abs(places[:, :1]) - _EYE_CENTRE[0]
    apart = np.sqrt(
        local[:, 0] ** 2
        + (places[:, 1] - _EYE_CENTRE[1]) ** 2
        + (places[:, 2] - _EYE_CENTRE[2]) ** 2
    )
    upper = 0.35 + 0.65 * smooth(places[:, 2], -2, 3)
    return np.asarray((1 - smooth(apart, 15.6, 17.4)) * upper)


def _speckle(places: np.ndarray) -> np.ndarray:
    """(n,) freckles: peaks of a product of waves."""
    x, z = places[:, 0], places[:, 2]
    field = np.sin(1.31 * x + 0.4 * z) * np.sin(1.17 * z - 0.5 * x) * np.sin(0.71 * (x + z) + 1)
    return smooth(field, 0.25, 0.6)


def _mottle(identity: Identity, places: np.ndarray) -> np.ndarray:
    """(V,) sum of the identity's plane waves, deviation about one."""
    waves = identity.waves
    return np.asarray(
        np.sqrt(2) * np.sin(places @ waves[:, :3].T + waves[:, 3]) @ waves[:, 4], dtype=np.float32
    )
