"""Camera and rays: what is seen through each pixel of an aligned image.

The camera's image plane is mapped to the ArcFace template by the similarity that aligns the five
projected landmarks, and rays are cast through the pixels of the *aligned* image: alignment is
exact and nothing is resampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evenface.data.align import similarity_transform
from evenface.data.store import IMAGE_SIZE
from evenface.errors import MissingDependencyError
from evenface.render.body import Mesh

SAMPLES = 2
"""Rays a pixel side."""


@dataclass(frozen=True)
class Frame:
    """A square picture around the aligned face.

    Attributes:
        size: pixels a side.
        scale: pixels of this picture for one of the aligned image.
        centre: (x, y) of the aligned image that lies in its middle.
    """

    size: int
    scale: float
    centre: tuple[float, float]

    def place(self, to_pixels: np.ndarray) -> np.ndarray:
        """(2, 3) map to the aligned image → (2, 3) map to this picture."""
        placed = self.scale * to_pixels
        placed[:, 2] += (self.size - 1) / 2 - self.scale * np.array(self.centre)
        return np.asarray(placed)


ALIGNED = Frame(IMAGE_SIZE, 1.0, ((IMAGE_SIZE - 1) / 2, (IMAGE_SIZE - 1) / 2))
LOOSE = Frame(224, 1.5, (56.0, 61.0))
"""The whole head with some room around it, for detectors."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera before a turned head, in the head's coordinates.

    Attributes:
        origin: (3,) metres; turn: (3, 3) rotation from head to camera space (x right, y away,
            z up).
    """

    origin: np.ndarray
    turn: np.ndarray

    @classmethod
    def facing(cls, points: np.ndarray, *, yaw: float, pitch: float, distance: float) -> Camera:
        """Look at the middle of the eyes of a head turned by ``yaw`` and ``pitch`` (radians)."""
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        around_z = np.array([(cy, -sy, 0), (sy, cy, 0), (0, 0, 1)])
        around_x = np.array([(1, 0, 0), (0, cp, -sp), (0, sp, cp)])
        turn = around_x @ around_z
        return cls(points[:2].mean(axis=0) - distance * turn[1], turn)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) places → (n, 2) on the image plane at distance 1, x right and y down."""
        seen = (points - self.origin) @ self.turn.T
        return np.stack([seen[:, 0], -seen[:, 2]], axis=1) / seen[:, 1:2]

    def rays(self, plane: np.ndarray) -> np.ndarray:
        """(n, 2) image plane → float32 (n, 3) directions."""
        ahead = np.stack([plane[:, 0], np.ones(len(plane)), -plane[:, 1]], axis=1)
        return (ahead @ self.turn).astype(np.float32)


@dataclass(frozen=True)
class Hits:
    """Where the rays meet the mesh.

    Attributes:
        sample: (n,) index of the sample, row by row over (size · SAMPLES)².
        triangle: (n,) index; weights: float32 (n, 3) of its corners.
        directions: float32 (n, 3) of the rays, unit length.
    """

    sample: np.ndarray
    triangle: np.ndarray
    weights: np.ndarray
    directions: np.ndarray


def sample_grid(size: int = IMAGE_SIZE, samples: int = SAMPLES) -> np.ndarray:
    """((size · samples)², 2) pixel coordinates of the samples; pixel centres are integers."""
    along = (np.arange(size * samples) + 0.5) / samples - 0.5
    x, y = np.meshgrid(along, along)
    return np.column_stack([x.ravel(), y.ravel()])


def plane_to_pixels(camera: Camera, points: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """(2, 3) similarity from the image plane to the aligned image.

    ``jitter`` (5, 2), pixels, is added to the landmarks as a detector's error would be.
    """
    plane = camera.project(points)
    exact = similarity_transform(plane)
    scale = np.hypot(exact[0, 0], exact[1, 0])
    return similarity_transform(plane + jitter / scale)


class Scene:
    """A mesh that rays can be cast at."""

    def __init__(self, mesh: Mesh) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError:
            raise MissingDependencyError("embreex", "render", "rendering faces") from None
        self._scene: Any = EmbreeScene()
        TriangleMesh(self._scene, mesh.vertices, mesh.triangles)

    def look(self, camera: Camera, plane: np.ndarray) -> Hits:
        """Cast rays through (n, 2) points of the image plane."""
        directions = camera.rays(plane)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        origins = np.broadcast_to(camera.origin.astype(np.float32), directions.shape).copy()
        found = self._scene.run(origins, directions, output=True)
        sample = np.flatnonzero(found["primID"] >= 0)
        u, v = found["u"][sample], found["v"][sample]
        return Hits(
            sample=sample,
            triangle=found["primID"][sample],
            weights=np.stack([1 - u - v, u, v], axis=1).astype(np.float32),
            directions=directions[sample],
        )

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """bool (n,): whether something lies in the way of each ray."""
        found = self._scene.run(origins, directions, query="OCCLUDED")
        return np.asarray(found) >= 0
