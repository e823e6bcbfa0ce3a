"""The mesh of one person: head, displaced where hair grows, long hair, glasses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from evenface.render.bake import MASKS, Head
from evenface.render.identity import Identity
from evenface.render.wardrobe import Glasses, Hair, Outfit

_LINE_AZIMUTHS = (0.0, 0.35, 0.75, 1.05, 1.25, 1.75, np.pi)
_SKULL_DEPTH = 84.0
"""Millimetres from the eyes back to the axis around which azimuths are measured."""


class Part(IntEnum):
    """What a triangle belongs to."""

    HEAD = 0
    CURTAIN = 1
    GLASSES = 2


def template_millimetres(head: Head) -> np.ndarray:
    """(V, 3) float32: the template's vertices from the middle of its eyes, in millimetres."""
    middle = head.points(head.template)[:2].mean(axis=0)
    return ((head.template - middle) * 1000).astype(np.float32)


def azimuth(places: np.ndarray) -> np.ndarray:
    """Angle around the skull's upright axis, 0 in front to π behind, of (n, 3) places in mm."""
    return np.arctan2(np.abs(places[:, 0]), _SKULL_DEPTH - places[:, 1])


def above_hairline(hair: Hair, places: np.ndarray) -> np.ndarray:
    """Signed height in mm above the hairline of (n, 3) template places."""
    around = azimuth(places)
    line = np.interp(around, _LINE_AZIMUTHS, hair.line)
    line -= hair.peak * np.exp(-((around / 0.13) ** 2))
    line -= hair.sweep * np.clip(places[:, 0] / 40, -1, 1) * np.clip(2 - around / 0.5, 0, 1)
    return np.asarray(places[:, 2] - line)


@dataclass(frozen=True)
class Mesh:
    """Triangles with what painting needs at their corners.

    Attributes:
        vertices: float32 (V, 3), metres; triangles: int32 (T, 3); parts: uint8 (T,).
        normals: float32 (V, 3) unit.
        points: (5, 3) landmarks in the order of the ArcFace template.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    parts: np.ndarray
    normals: np.ndarray
    points: np.ndarray


class Body:
    """Builds the meshes of one person; what does not change with the expression is kept."""

    def __init__(self, head: Head, identity: Identity, outfit: Outfit) -> None:
        self.head = head
        self.identity = identity
        self.outfit = outfit
        self.rest = head.shape(
            identity.mix,
            gender=identity.gender,
            age=identity.age,
            weight=identity.weight,
            axes=identity.axes,
        )

    @cached_property
    def places(self) -> np.ndarray:
        """(V, 3) template places in mm of all vertices; long hair and glasses lie where they lie
        on the person."""
        extra, _ = self._extra
        middle = self.head.points(self.rest)[:2].mean(axis=0)
        own = ((extra - middle) * 1000).astype(np.float32)
        return np.concatenate([template_millimetres(self.head), own])

    @cached_property
    def scalp(self) -> np.ndarray:
        """(V of the head,) in [0, 1]: where hair grows."""
        places = template_millimetres(self.head)
        hair = self.outfit.hair
        grown = np.clip(above_hairline(hair, places) / 10, 0, 1)
        if hair.cloth is None:
            grown *= 1 - self._masks("ears")
        # Inner surfaces (mouth, throat) lie below the hairline at the back as well.
        return (grown * (1 - self._masks("inside-mouth"))).astype(np.float32)

    @cached_property
    def _lift(self) -> np.ndarray:
        """(V, 3) displacement of the scalp by the hair's volume."""
        places = template_millimetres(self.head)
        fuller = 1 + 0.5 * np.clip((places[:, 2] - 60) / 50, 0, 1)
        thickness = self.outfit.hair.volume / 1000 * self.scalp * fuller
        return thickness[:, None] * _normals(self.rest, self.head.triangles)

    @cached_property
    def _extra(self) -> tuple[np.ndarray, list[tuple[np.ndarray, Part]]]:
        """Vertices beside the head's, and triangles (indices into all vertices) with their part."""
        vertices: list[np.ndarray] = [np.empty((0, 3))]
        triangles: list[tuple[np.ndarray, Part]] = []
        count = len(self.rest)
        if self.outfit.hair.length > 0:
            worn = self.rest + self._lift
            curtain, faces = _curtain(worn, self.scalp, self.outfit.hair)
            vertices.append(curtain)
            triangles.append((faces + count, Part.CURTAIN))
            count += len(curtain)
        if self.outfit.glasses is not None:
            frame, faces = _frame(self.head.points(self.rest), self._brow, self.outfit.glasses)
            vertices.append(frame)
            triangles.append((faces + count, Part.GLASSES))
        return np.concatenate(vertices).astype(np.float32), triangles

    @property
    def _brow(self) -> float:
        """How far forward (y, metres) brows and cheeks reach: glasses sit before them."""
        x, y, z = np.abs(template_millimetres(self.head)).T
        near = (x > 18) & (x < 48) & (z < 20) & (self.head.template[:, 1] < 0)
        return float(self.rest[near & (y < 30), 1].min())

    @cached_property
    def _triangles(self) -> tuple[np.ndarray, np.ndarray]:
        faces, parts = [self.head.triangles], [np.full(len(self.head.triangles), Part.HEAD)]
        for extra, part in self._extra[1]:
            faces.append(extra.astype(np.int32))
            parts.append(np.full(len(extra), part))
        return np.concatenate(faces), np.concatenate(parts).astype(np.uint8)

    def mesh(self, actions: dict[str, float]) -> Mesh:
        """The person with an expression."""
        bare = self.head.act(self.rest, actions)
        vertices = np.concatenate([bare + self._lift, self._extra[0]]).astype(np.float32)
        triangles, parts = self._triangles
        return Mesh(
            vertices=vertices,
            triangles=triangles,
            parts=parts,
            normals=_normals(vertices, triangles),
            points=self.head.points(bare),
        )

    def _masks(self, name: str) -> np.ndarray:
        return np.asarray(self.head.masks[MASKS.index(name)])


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, weighted by the area of the triangles around."""
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = triangles.ravel()
    total = np.stack(
        [
            np.bincount(flat, weights=np.repeat(normal[:, axis], 3), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-20)).astype(np.float32)


def _grid_triangles(rows: int, columns: int, *, closed: bool = False) -> np.ndarray:
    """Triangles of a grid of vertices numbered row by row; ``closed`` joins the last row."""
    row, column = np.meshgrid(
        np.arange(rows if closed else rows - 1), np.arange(columns - 1), indexing="ij"
    )
    here = row * columns + column
    below = (row + 1) % rows * columns + column
    quads = np.stack([here, here + 1, below + 1, below], axis=-1).reshape(-1, 4)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _curtain(head: np.ndarray, scalp: np.ndarray, hair: Hair) -> tuple[np.ndarray, np.ndarray]:
    """Long hair: a sheet around the sides and back of the head, from the crown down."""
    grown = head[scalp > 0.5]
    if not len(grown):
        grown = head
    top = grown[:, 2].max()
    front, back = grown[:, 1].min(), grown[:, 1].max()
    wide = np.abs(grown[:, 0]).max() + 0.004
    middle, deep = (front + back) / 2, (back - front) / 2 + 0.004
    rows, columns = 10, 25
    turn = np.linspace(hair.curtain, 2 * np.pi - hair.curtain, columns)
    fall = np.linspace(0, 1, rows)[:, None]
    start = top - 0.035
    flare = np.sqrt(np.clip(0.45 + 2.2 * fall, 0, 1)) * (1 + 0.1 * fall)
    x = np.sin(turn) * wide * flare
    y = middle - np.cos(turn) * deep * flare
    z = start - fall * (start - (top - 0.11) + hair.length / 1000) + 0 * x
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    return vertices, _grid_triangles(rows, columns)


def _tube(path: np.ndarray, radius: float, *, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """A tube with square cross-section along (n, 3) points."""
    across = np.array([(0, 1, 0), (0, 0, 1), (0, -1, 0), (0, 0, -1), (0, 1, 0)]) * radius
    along = path[-1] - path[0] if not closed else np.zeros(3)
    if abs(along[1]) > np.abs(along[[0, 2]]).max():  # runs backwards: spread sideways instead
        across = across[:, [1, 0, 2]]
    vertices = (path[:, None] + across).reshape(-1, 3)
    return vertices, _grid_triangles(len(path), len(across), closed=closed)


def _frame(points: np.ndarray, brow: float, glasses: Glasses) -> tuple[np.ndarray, np.ndarray]:
    """Two rims, a bridge and two temples before the eyes and before ``brow`` (y, metres)."""
    tube = glasses.tube / 1000
    plane = min(points[:2, 1].min() - 0.012, brow - tube - 0.0005)
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    power = 2 / glasses.squareness
    outline = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outline = np.sign(outline) * np.abs(outline) ** power
    outline *= np.array((glasses.half_width, glasses.half_height)) / 1000
    pieces = []
    for eye, side in zip(points[:2], (-1.0, 1.0), strict=True):
        rim = np.column_stack([eye[0] + outline[:, 0], 0 * turn + plane, eye[2] + outline[:, 1]])
        rim[:, 2] -= 0.003
        hinge = np.array([eye[0] + side * glasses.half_width / 1000, plane, eye[2] + 0.004])
        ear = hinge + np.array([side * 0.016, 0.09, 0.002])
        pieces += [_tube(rim, tube, closed=True), _tube(np.stack([hinge, ear]), tube, closed=False)]
    inner = [points[0, 0] + glasses.half_width / 1000, points[1, 0] - glasses.half_width / 1000]
    height = points[:2, 2].mean() + 0.001
    bridge = np.array([(x, plane, height) for x in inner])
    pieces.append(_tube(bridge, tube, closed=False))
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in pieces)])
    return (
        np.concatenate([vertices for vertices, _ in pieces]),
        np.concatenate([faces + o for (_, faces), o in zip(pieces, offsets, strict=False)]),
    )
