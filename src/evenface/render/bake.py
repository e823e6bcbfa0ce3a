"""The head model, baked once from `anny` into arrays that need no torch.

anny (Apache-2.0; the MakeHuman data behind it are CC0) describes a head by a blend of phenotypes
(gender, age, weight, and three axes named african, asian, caucasian), over a hundred local shape
axes and 52 facial actions. Between the anchors of a phenotype everything is linear, so a grid of
heads at the anchors and one displacement for each direction of each axis reproduce it exactly.
"""

from __future__ import annotations

import itertools
import json
import warnings
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from evenface.console import note, progress
from evenface.errors import DataError, MissingDependencyError
from evenface.files import atomic_path
from evenface.render.names import GROUPS

_BAKE_VERSION = 2
_GENDERS = (0.0, 1.0)  # male, female
_AGES = (2 / 3, 1.0)  # young adult, old: children are not rendered
_WEIGHTS = (0.0, 0.5, 1.0)
_AXIS_PREFIXES = (
    "cheek", "chin", "ear", "eyebrows", "eye", "forehead", "head", "mouth", "neck", "nose",
)  # fmt: skip
MASKS = ("lips", "eyelids", "ears", "inside-mouth")
"""Parts of the skin that MakeHuman's texture masks mark."""
_ARRAYS = (
    "grid", "axes", "actions", "triangles", "template", "uv", "eyes", "eyeballs", "masks",
    "landmarks",
)  # fmt: skip
# These turn or shift the head, which is the camera's business.
_NOT_AXES = ("head-angle", "head-trans")


@dataclass(frozen=True)
class Head:
    """The baked model; lengths in metres, x to the person's left, y backwards, z up.

    Attributes:
        grid: (groups, genders, ages, weights, V, 3) heads at the anchors.
        axes: (axes, 2, V, 3) displacement at −1 and at +1 of each local shape axis.
        axis_names, action_names: names of axes and facial actions.
        actions: (actions, V, 3) displacement at 1 of each facial action.
        triangles: (T, 3) vertex indices.
        template: (V, 3) the mean head, whose coordinates are what hair and brows are painted in.
        uv: (V, 2) texture coordinates.
        eyes: (2, V) weight of the front of the person's right and left eyeball, mirror images of
            each other.
        eyeballs: (2, V) 1 for the vertices of the person's right and left eyeball.
        masks: (4, V) in [0, 1], the rows being :data:`MASKS`.
        landmarks: vertex indices of the nose tip and of the mouth corners (right, left).
    """

    grid: np.ndarray
    axes: np.ndarray
    actions: np.ndarray
    axis_names: list[str]
    action_names: list[str]
    triangles: np.ndarray
    template: np.ndarray
    uv: np.ndarray
    eyes: np.ndarray
    eyeballs: np.ndarray
    masks: np.ndarray
    landmarks: np.ndarray

    @cached_property
    def reach(self) -> np.ndarray:
        """(axes,) the farthest that any vertex moves along each local axis, metres."""
        return np.asarray(np.linalg.norm(self.axes, axis=3).max(axis=(1, 2)))

    def shape(
        self, mix: np.ndarray, *, gender: float, age: float, weight: float, axes: np.ndarray
    ) -> np.ndarray:
        """A person's head at rest, (V, 3) float32.

        Args:
            mix: (groups,) weights of the phenotype axes in the order of :data:`GROUPS`, sum 1.
            gender: 0 (male) to 1 (female).
            age: 0 (young adult) to 1 (old).
            weight: 0 to 1, 0.5 being average.
            axes: (axes,) values in [−1, 1].
        """
        heads = np.tensordot(mix, self.grid, axes=1)
        heads = (1 - gender) * heads[0] + gender * heads[1]
        heads = (1 - age) * heads[0] + age * heads[1]
        low = min(int(weight * 2), 1)
        share = weight * 2 - low
        head = (1 - share) * heads[low] + share * heads[low + 1]
        used = np.flatnonzero(axes)
        moves = self.axes[used, (axes[used] > 0).astype(int)]
        return (head + np.tensordot(np.abs(axes[used]), moves, axes=1)).astype(np.float32)

    def act(self, head: np.ndarray, actions: dict[str, float]) -> np.ndarray:
        """The head with facial actions (name → strength in [0, 1]) applied."""
        for name, strength in actions.items():
            head = head + np.float32(strength) * self.actions[self.action_names.index(name)]
        return head

    def points(self, head: np.ndarray) -> np.ndarray:
        """(5, 3): centres of the eyes, nose tip, mouth corners; the order of the ArcFace template.

        The image's left is the person's right.
        """
        eyes = self.eyes @ head / self.eyes.sum(axis=1, keepdims=True)
        return np.concatenate([eyes, head[self.landmarks]])

    def save(self, path: Path) -> None:
        """Write one .npz atomically."""
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        names = json.dumps({"axes": self.axis_names, "actions": self.action_names})
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, names=names, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote; DataError when the file is damaged."""
        try:
            with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as archive:
                arrays = dict(archive)
            names = json.loads(str(arrays.pop("names")))
            return cls(axis_names=names["axes"], action_names=names["actions"], **arrays)
        except Exception as error:  # np.load raises zipfile, zlib, EOF and value errors alike
            raise DataError(
                f"{path}: damaged head model ({type(error).__name__}). Delete it; it is made anew"
            ) from None


@cache
def load_head() -> Head:
    """The head model from the user's cache; the first time it is baked there.

    Raises:
        MissingDependencyError: anny is not installed.
        DataError: the cached file is damaged.
    """
    from evenface.assets import cache_dir

    try:
        version = metadata.version("anny")
    except metadata.PackageNotFoundError:
        raise MissingDependencyError("anny", "render", "rendering faces") from None
    path = cache_dir() / "render" / f"head-anny{version}-bake{_BAKE_VERSION}.npz"
    if not path.exists():
        bake(open_anny()).save(path)
    return Head.load(path)


def open_anny() -> Any:
    """anny's head model with all axes; about a minute the first time on a machine."""
    note("preparing the head model (once on a machine, about a minute) …")
    try:
        import anny
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "render", "rendering faces") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anny.Anny(
            rig="makehuman-head",
            topology="head",
            local_changes="all",
            facial_actions="all",
            phenotypes="all",
        )


def phenotype(mix: np.ndarray, *, gender: float, age: float, weight: float) -> dict[str, float]:
    """anny's own parameters for those of :meth:`Head.shape`."""
    axes = dict(zip(GROUPS, mix.tolist(), strict=True))
    young, old = _AGES
    return {"gender": gender, "age": young + age * (old - young), "weight": weight, **axes}


def bake(model: Any) -> Head:
    """Evaluate anny at every anchor and along every axis."""
    names = [name for name in model.local_change_labels if _is_axis(name)]
    actions = list(model.facial_action_labels)
    anchors = list(itertools.product(np.eye(len(GROUPS)), _GENDERS, (0.0, 1.0), _WEIGHTS))
    with progress("head model", len(anchors) + 2 * len(names) + len(actions), unit="shapes") as bar:

        def rest(**arguments: Any) -> np.ndarray:
            import torch

            bar.advance()
            with torch.inference_mode():
                return model(**arguments)["rest_vertices"][0].double().numpy()

        grid = np.stack(
            [
                rest(phenotype_kwargs=phenotype(mix, gender=gender, age=age, weight=weight))
                for mix, gender, age, weight in anchors
            ]
        )
        template = rest()
        axes = np.stack(
            [
                np.stack([rest(local_changes_kwargs={name: sign}) - template for sign in (-1, 1)])
                for name in names
            ]
        )
        moves = np.stack([rest(facial_actions={name: 1.0}) - template for name in actions])
    size = (len(GROUPS), len(_GENDERS), len(_AGES), len(_WEIGHTS), *template.shape)
    triangles = model.get_triangular_faces().numpy().astype(np.int32)
    eyeballs = np.stack([_eyeball(model, bone) for bone in ("eye.R", "eye.L")])
    uv = _texture_coordinates(model, len(template))
    masks = _texture_masks(uv)
    return Head(
        grid=grid.reshape(size).astype(np.float32),
        axes=axes.astype(np.float32),
        actions=moves.astype(np.float32),
        axis_names=names,
        action_names=actions,
        triangles=triangles,
        template=template.astype(np.float32),
        uv=uv.astype(np.float32),
        eyes=_mirrored(eyeballs, template).astype(np.float32),
        eyeballs=eyeballs.astype(np.float32),
        masks=masks.astype(np.float32),
        landmarks=_landmarks(template, masks[MASKS.index("lips")]),
    )


def _is_axis(name: str) -> bool:
    part = name.removeprefix("l-").removeprefix("r-")
    return part.startswith(_AXIS_PREFIXES) and not part.startswith(_NOT_AXES)


def _eyeball(model: Any, bone: str) -> np.ndarray:
    """(V,) 1 for the vertices of an eyeball: the mesh's parts that turn about its bone."""
    on_bone = model.vertex_bone_indices == model.bone_labels.index(bone)
    weight = (on_bone * model.vertex_bone_weights).sum(dim=1).numpy()
    chosen = weight > 0.99
    faces = model.get_triangular_faces().numpy()
    while True:
        grown = chosen.copy()
        grown[faces[chosen[faces].any(axis=1)]] = True
        if (grown == chosen).all():
            return grown.astype(np.float64)
        chosen = grown


def _mirrored(eyeballs: np.ndarray, template: np.ndarray) -> np.ndarray:
    """(2, V) the vertices of either eyeball that the other has too: anny's differ at the back."""
    mirror = np.array([-1, 1, 1])
    kept = np.zeros_like(eyeballs)
    right, left = (np.flatnonzero(ball) for ball in eyeballs)
    apart = np.linalg.norm(template[right, None] * mirror - template[left], axis=2)
    pairs = apart.argmin(axis=1)
    close = apart.min(axis=1) < 1e-4
    kept[0, right[close]] = 1
    kept[1, left[pairs[close]]] = 1
    return kept


def _texture_coordinates(model: Any, vertices: int) -> np.ndarray:
    """(V, 2) one texture coordinate a vertex; at a seam, either side's."""
    uv = np.zeros((vertices, 2))
    uv[model.faces.numpy().ravel()] = model.texture_coordinates.numpy()[
        model.face_texture_coordinate_indices.numpy().ravel()
    ]
    return uv


def _texture_masks(uv: np.ndarray) -> np.ndarray:
    """(masks, V): MakeHuman's texture masks read at the vertices, slightly blurred."""
    from anny.paths import get_anny_root_dir

    folder = Path(get_anny_root_dir()) / "data" / "mpfb2" / "textures"
    masks = []
    for name in MASKS:
        with Image.open(folder / f"mpfb_{name}.jpg") as image:
            size = (512, 512)
            pixels = np.asarray(image.convert("L").resize(size, Image.Resampling.BOX)) / 255
        at = np.clip(np.stack([1 - uv[:, 1], uv[:, 0]]) * 512, 0, 511).astype(int)
        masks.append(pixels[at[0], at[1]])
    return np.stack(masks)


def _landmarks(template: np.ndarray, lips: np.ndarray) -> np.ndarray:
    # The tip's middle, not its foremost vertex, which lies lower: detectors mark the middle.
    foremost = np.flatnonzero(template[:, 1] < template[:, 1].min() + 1e-4)
    nose = int(foremost[template[foremost, 2].argmax()])
    lip = np.flatnonzero(lips > 0.5)
    # Detectors mark the crease beside the lips, a little higher than where their colour ends.
    corner = template[lip[template[lip, 0].argmin()]] + (-0.003, 0, 0.0017)
    right = int(np.linalg.norm(template - corner, axis=1).argmin())
    left = np.linalg.norm(template - template[right] * (-1, 1, 1), axis=1).argmin()
    return np.array([nose, right, left])
