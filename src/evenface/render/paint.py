"""Colour of what the rays hit: skin, brows, hair, beard, eyes, as functions of template places.

Places are millimetres on the template head from the middle of its eyes (x to the person's left,
y backwards, z up), interpolated over the triangle that was hit, so paint stays where it is whatever
the shape or the expression. Colours are linear RGB reflectances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenface.render.atlas import Atlas, smooth
from evenface.render.bake import MASKS
from evenface.render.body import Body, Part, above_hairline, azimuth
from evenface.render.identity import Identity
from evenface.render.raster import Hits
from evenface.render.wardrobe import Hair

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


class Painter:
    """Paints one person; what the vertices carry is worked out once."""

    def __init__(self, body: Body, atlas: Atlas, openness: np.ndarray) -> None:
        """``openness``: (V,) share of the surroundings that each vertex sees."""
        self._identity = body.identity
        self._outfit = body.outfit
        self._atlas = atlas
        self._skin_colour = body.identity.skin.astype(np.float32)
        self._lips = body.identity.lips.astype(np.float32)
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
        light: np.ndarray,
    ) -> Surface:
        """Colour the hits.

        Args:
            hits: what the rays met.
            triangles, parts: of the mesh.
            normals: (V, 3); lit: (V,) share of the main light at the vertices.
            gaze: (2,) radians sideways and up.
            light: (3,) unit vector to the main light, in the head's coordinates.
        """
        corners = triangles[hits.triangle]
        table = np.column_stack([self._carried, normals, lit]).astype(np.float32)
        values = np.zeros((len(corners), table.shape[1]), dtype=np.float32)
        for corner in range(3):
            values += hits.weights[:, corner, None] * np.take(table, corners[:, corner], axis=0)
        places = values[:, :3]
        lips, _, ears, inside = values[:, 3:7].T
        eyes, scalp, mottle, openness = values[:, 7:11].T
        normal = values[:, 11:14]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        part = parts[hits.triangle]

        tone, hairs = self._atlas.look_up(places)
        colour = self._skin(places, ears, mottle, tone)
        front = 1 - smooth(places[:, 1], 38, 48)
        shine = np.float32(0.07 * self._identity.shine) * (1 + front * (hairs[:, 2] - 1))
        gloss = np.full(len(places), 18.0, dtype=np.float32)
        blend = smooth(lips, 0.25, 0.75)[:, None]
        line = np.exp(np.minimum(tone.mean(axis=1, keepdims=True), 0))
        colour += blend * (self._lips * line - colour)
        shine += 0.06 * blend[:, 0]
        self._paint_hairs(colour, shine, hairs, front)
        self._paint_scalp(colour, places, scalp)
        shine *= 1 - 0.6 * smooth(scalp, 0.1, 0.4)
        is_inside = (inside > 0.5) & (part == Part.HEAD)
        colour[is_inside] = _MOUTH_INSIDE
        eye = np.flatnonzero((eyes > 0.5) & (part == Part.HEAD))
        colour[eye] = self._eye(places[eye], gaze, light)
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
        self, places: np.ndarray, ears: np.ndarray, mottle: np.ndarray, tone: np.ndarray
    ) -> np.ndarray:
        who = self._identity
        log = mottle[:, None] * who.mottle.astype(np.float32)
        log -= (0.5 * who.redness * ears)[:, None] * np.array((0.02, 0.28, 0.22), np.float32)
        log += tone * (1 - smooth(places[:, 1], 38, 48))[:, None]
        near = np.flatnonzero((np.abs(places[:, 2]) < 27) & (places[:, 1] < 25))
        log[near] += self._lids(places[near])
        return np.asarray(self._skin_colour * np.exp(log), dtype=np.float32)

    def _lids(self, places: np.ndarray) -> np.ndarray:
        """(n, 3) logarithm of lashes, the crease above them and paint on the lids."""
        who = self._identity
        local = np.abs(places[:, :1]) - _EYE_CENTRE[0]
        apart = np.sqrt(
            local[:, 0] ** 2
            + (places[:, 1] - _EYE_CENTRE[1]) ** 2
            + (places[:, 2] - _EYE_CENTRE[2]) ** 2
        )
        upper = smooth(places[:, 2], -2, 3)
        lashes = 1.6 * who.liner * (1 - smooth(apart, 15.6, 17.4)) * (0.35 + 0.65 * upper)
        crease = 0.8 * who.lines.crease * np.exp(-(((apart - 19.0) / 1.0) ** 2)) * upper
        painted = (1 - smooth(apart, 18.5, 23)) * upper
        dark = -(lashes + crease)[:, None] + painted[:, None] * who.shadow
        return np.asarray(dark, dtype=np.float32)

    def _paint_hairs(
        self, colour: np.ndarray, shine: np.ndarray, hairs: np.ndarray, front: np.ndarray
    ) -> None:
        who = self._identity
        for layer, shade in enumerate((who.brow_colour, who.beard_colour)):
            rows = np.flatnonzero(hairs[:, layer] * front > 0.01)
            share = (hairs[rows, layer] * front[rows])[:, None]
            colour[rows] += share * (shade.astype(np.float32) - colour[rows])
            shine[rows] *= 1 - 0.7 * share[:, 0]

    def _paint_scalp(self, colour: np.ndarray, places: np.ndarray, scalp: np.ndarray) -> None:
        hair = self._outfit.hair
        grown = np.flatnonzero(scalp > 0)
        where = places[grown]
        height = above_hairline(hair, where)
        soft = hair.softness * 2
        x, y, z = where.T
        along = x + 0.6 * y
        tips = np.sin(1.9 * along + 0.5 * z) * np.sin(0.61 * along + hair.parting)
        tips += np.sin(0.33 * along + 5 * hair.parting) + 0.7 * np.sin(0.87 * along + 0.2 * z)
        wavy = height + 0.16 * soft * tips
        share = hair.density * smooth(wavy, -soft * 0.2, soft) * smooth(scalp[grown], 0, 0.15)
        colour[grown] += share[:, None] * (_strands(hair, where) - colour[grown])

    def _eye(self, places: np.ndarray, gaze: np.ndarray, light: np.ndarray) -> np.ndarray:
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
        # Whites as bright as in photographs would glow in dark faces under this exposure.
        sclera = who.white * _SCLERA * (0.5 + 0.5 * min(1.0, float(who.skin.mean()) / 0.35))
        white = sclera * (1 - 0.3 * smooth(np.abs(local[:, 0]), 6, 13))[:, None]
        blend = smooth(away, radius * 0.94, radius * 1.1)[:, None]
        ball = iris + blend * (white - iris)
        glint = np.hypot(local[:, 0] - 5 * light[0], local[:, 2] - 5 * light[2])
        ball += 0.8 * (1 - smooth(glint, 0.9, 2.0))[:, None]
        return np.asarray(ball, dtype=np.float32)

    def _curtain(self, places: np.ndarray) -> tuple[np.ndarray, float, float]:
        return _strands(self._outfit.hair, places), 0.03, 12.0

    def _glasses(self, places: np.ndarray) -> tuple[np.ndarray, float, float]:
        glasses = self._outfit.glasses
        colour = glasses.colour if glasses is not None else (0.0, 0.0, 0.0)
        return np.broadcast_to(np.array(colour), (len(places), 3)), 0.3, 40.0


def _strands(hair: Hair, places: np.ndarray) -> np.ndarray:
    """(n, 3) colour of scalp hair, or of cloth: darker and lighter locks that run with the hair."""
    turn = azimuth(places)
    across = 70 * turn * np.sign(places[:, 0] - 20 * hair.parting) + 0.3 * places[:, 2]
    wobble = 2 * np.sin(0.11 * places[:, 2]) + 2 * np.sin(0.07 * places[:, 1])
    waves = np.sin(hair.frequency * across + wobble)
    waves += 0.7 * np.sin(2.63 * hair.frequency * across + 0.23 * places[:, 2])
    waves += 0.5 * np.sin(0.37 * hair.frequency * across - 0.05 * places[:, 2] + 1)
    if hair.frequency > 0.85:
        waves *= np.sin(hair.frequency * places[:, 2] + wobble)
    colour = np.array(hair.cloth or hair.colour, dtype=np.float32)
    # Locks of fair hair differ less than those of dark hair, by ratio.
    contrast = hair.contrast * (0.45 - 0.35 * min(1.0, float(colour.mean()) / 0.4))
    return np.asarray(colour * np.exp(contrast * waves)[:, None], dtype=np.float32)


def _mottle(identity: Identity, places: np.ndarray) -> np.ndarray:
    """(V,) sum of the identity's plane waves, deviation about one."""
    waves = identity.waves
    return np.asarray(
        np.sqrt(2) * np.sin(places @ waves[:, :3].T + waves[:, 3]) @ waves[:, 4], dtype=np.float32
    )
