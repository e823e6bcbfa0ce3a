"""Template-based 1:1 verification, as IJB-B and IJB-C have it.

A template is several media of one person (stills, or frames of videos). Its embedding is the mean
over its media of the mean over each medium's images, of unit-length embeddings, brought to unit
length (Whitelam et al., *IARPA Janus Benchmark-B Face Dataset*, CVPRW 2017; media are averaged
first so that a long video does not drown the stills, as by Cao et al., *VGGFace2*, FG 2018).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import ArrayLike, NDArray

from evenface.errors import DataError
from evenface.evaluate.embeddings import unit_length
from evenface.evaluate.faces import Faces, FileFaces
from evenface.evaluate.pair_lists import PairList, protocol_from_lists
from evenface.evaluate.pairs import Rows
from evenface.evaluate.protocols import Protocol
from evenface.files import fingerprint
from evenface.seeds import generator

MEDIA_LIST = "*_face_tid_mid.txt"
PAIRS_LIST = "*_template_pair_label.txt"
LANDMARKS = "*_name_5pts_score.txt"
IMAGES = "loose_crop"
ONE_GROUP = "all"
FOLD_PAIRS = 6000
"""Most pairs a group for the 10-fold accuracy."""

# Templates pooled at a time: bounds the memory of the gathered embeddings.
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class TemplateSet:
    """Templates, and a protocol whose rows are templates rather than images."""

    protocol: Protocol
    faces: Faces
    names: tuple[str, ...]
    """(N,) of the images."""
    template: Rows
    """(M,) template of each entry of the media list, 0 … T − 1: a row of the protocol."""
    medium: Rows
    """(M,) medium of each entry, numbered over all templates."""
    image: Rows
    """(M,) image of each entry."""

    def pool(self, embeddings: ArrayLike) -> NDArray[np.float64]:
        """(T, D) unit-length template embeddings of image embeddings (N, D); see the module.

        Raises:
            DataError: another number of embeddings than images, one that is NaN or of zero norm,
                or a template whose images cancel each other.
        """
        values = np.asarray(embeddings)
        if values.ndim != 2 or len(values) != len(self.faces):
            raise DataError(
                f"embeddings of shape {values.shape} for {len(self.faces):,} images of templates"
            )
        order = np.argsort(self.template, kind="stable")
        starts = np.searchsorted(self.template[order], np.arange(self.count + 1))
        parts = []
        for first in range(0, self.count, _BLOCK):
            last = min(first + _BLOCK, self.count)
            block = order[starts[first] : starts[last]]
            rows, inverse = np.unique(self.image[block], return_inverse=True)
            unit = unit_length(values[rows], names=[self.names[row] for row in rows])
            parts.append(pooled(unit[inverse], self.template[block] - first, self.medium[block]))
        return np.concatenate(parts)

    @property
    def count(self) -> int:
        """T, the number of templates."""
        return len(self.protocol.identity)


def pooled(unit: NDArray[np.float64], template: Rows, medium: Rows) -> NDArray[np.float64]:
    """(T, D) unit-length means over media of means over images.

    Args:
        unit: (M, D) unit-length embeddings.
        template: (M,) 0 … T − 1, each of which occurs.
        medium: (M,) of each; media of different templates have different numbers.

    Raises:
        DataError: a mean is of zero norm.
    """
    _, first, medium = np.unique(medium, return_index=True, return_inverse=True)
    of_media = _means(unit, medium)
    return unit_length(_means(of_media, template[first]))


def _means(values: NDArray[np.float64], label: Rows) -> NDArray[np.float64]:
    """Means of the rows of each label 0 … L − 1."""
    order = np.argsort(label, kind="stable")
    sizes = np.bincount(label)
    starts = np.cumsum(sizes) - sizes
    return np.add.reduceat(values[order], starts, axis=0) / sizes[:, None]


def is_template_set(folder: Path) -> bool:
    """Whether a folder holds IJB's lists, itself or in ``meta/``."""
    return bool(_lists(folder, MEDIA_LIST) and _lists(folder, PAIRS_LIST))


def read_templates(
    folder: Path, *, images: Path | None = None, name: str | None = None, seed: int = 0
) -> TemplateSet:
    """Read a set in the layout in which IJB-B and IJB-C are passed around.

    ``meta/`` (or the folder itself) holds, with columns separated by white space:
    ``…_face_tid_mid.txt``: image, template, medium, and if wanted the template's group;
    ``…_template_pair_label.txt``: template, template, 1 (genuine) or 0;
    ``…_name_5pts_score.txt``, if images are not aligned: image, five points x y, score.
    Images are in ``loose_crop/`` if there is such a folder.

    Pairs across groups are left out; the 10-fold accuracy is of all genuine and as many impostor
    pairs drawn at random, at most 6,000 in all.

    Args:
        folder: see above.
        images: folder of the images; None for ``loose_crop/`` or the folder itself.
        name: what results call the set; None for the folder's name.
        seed: of that drawing.

    Raises:
        DataError: lists that are absent, several, malformed, or that contradict each other; the
            message names file and line.
    """
    media_path, pairs_path = _one(folder, MEDIA_LIST), _one(folder, PAIRS_LIST)
    media = _read(media_path, (3, 4))
    image_name, template_name = media[0], media[1]
    names, first_use, image = np.unique(image_name, return_index=True, return_inverse=True)
    templates, template = np.unique(template_name, return_inverse=True)
    image, template = image.astype(np.int64), template.astype(np.int64)
    keys = template * (len(media[2]) + 1) + np.unique(media[2], return_inverse=True)[1]
    medium = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    group_names, group = _template_groups(media_path, media, template)

    a, b, genuine = _read_pairs(pairs_path, templates)
    within = group[a] == group[b]
    if (genuine & ~within).any():
        line = int((genuine & ~within).argmax()) + 1
        raise DataError(f"{pairs_path}: line {line} is genuine, but its templates' groups differ")
    notes = []
    if not within.all():
        notes.append(f"{int((~within).sum()):,} impostor pairs across groups are left out")
    lists = [
        PairList(label, a[chosen], b[chosen], genuine[chosen])
        for g, label in enumerate(group_names)
        for chosen in [np.flatnonzero(within & (group[a] == g))]
    ]

    root = images or (folder / IMAGES if (folder / IMAGES).is_dir() else folder)
    paths = tuple(root / file for file in names)
    if absent := next((path for path in paths if not path.is_file()), None):
        line = int(first_use[paths.index(absent)]) + 1
        raise DataError(f"{media_path}: line {line}: no file {absent}")
    landmarks = _lists(folder, LANDMARKS)
    faces = FileFaces(paths, _landmarks(landmarks[0], names) if landmarks else None)
    fold_lists = [_balanced(pairs, generator(seed, "templates", pairs.group)) for pairs in lists]
    lists_fingerprint = hashlib.sha256(np.stack([template, medium, image]).astype("<i8").tobytes())
    protocol = protocol_from_lists(
        lists,
        rows=len(templates),
        image_fingerprint=fingerprint([faces.image_fingerprint, lists_fingerprint.hexdigest()]),
        name=name or folder.resolve().name,
        fold_lists=fold_lists,
        seed=seed,
        notes=[
            f"{len(templates):,} templates of {len(image):,} images in "
            f"{int(medium.max()) + 1:,} media: what the figures call an image is a template",
            "10-fold accuracy is of equally many genuine and impostor pairs, drawn at random",
            *notes,
        ],
    )
    return TemplateSet(protocol, faces, tuple(names.tolist()), template, medium, image)


def _balanced(pairs: PairList, rng: np.random.Generator) -> PairList:
    """As many impostor as genuine pairs, at most FOLD_PAIRS in all, in random order."""
    kinds = [np.flatnonzero(pairs.genuine == kind) for kind in (True, False)]
    size = min(FOLD_PAIRS // 2, *map(len, kinds))
    chosen = rng.permutation(np.concatenate([rng.choice(k, size, replace=False) for k in kinds]))
    return PairList(pairs.group, pairs.a[chosen], pairs.b[chosen], pairs.genuine[chosen])


# --- the lists -----------------------------------------------------------------------------------


def _lists(folder: Path, pattern: str) -> list[Path]:
    return sorted([*folder.glob(pattern), *folder.glob(f"meta/{pattern}")])


def _one(folder: Path, pattern: str) -> Path:
    found = _lists(folder, pattern)
    if len(found) != 1:
        listed = ", ".join(map(str, found)) or "none"
        raise DataError(
            f"{folder}: one file {pattern} is expected here or in meta/, found {listed}"
        )
    return found[0]


def _read(path: Path, widths: tuple[int, ...]) -> list[NDArray[np.str_]]:
    """Columns of text, separated by spaces or tabs."""
    text = path.read_bytes().replace(b"\t", b" ").replace(b"\r", b"")
    first = text.split(b"\n", 1)[0].split()
    if len(first) not in widths:
        expected = " or ".join(map(str, widths))
        raise DataError(f"{path}: line 1 has {len(first)} columns, expected {expected}")
    names = [str(number) for number in range(len(first))]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            read_options=pa_csv.ReadOptions(column_names=names),
            parse_options=pa_csv.ParseOptions(delimiter=" ", quote_char=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a list of {len(first)} columns ({error})") from None
    columns = [table.column(name).to_numpy().astype(str) for name in names]
    for column in columns:
        if (empty := column == "").any():
            raise DataError(f"{path}: line {int(empty.argmax()) + 1} has an empty column")
    return columns


def _template_groups(
    path: Path, media: list[NDArray[np.str_]], template: Rows
) -> tuple[list[str], Rows]:
    """Names of the groups, and (T,) the group of each template."""
    count = int(template.max()) + 1
    if len(media) < 4:
        return [ONE_GROUP], np.zeros(count, dtype=np.int64)
    names, code = np.unique(media[3], return_inverse=True)
    group = np.empty(count, dtype=np.int64)
    group[template] = code
    if (other := group[template] != code).any():
        raise DataError(
            f"{path}: line {int(other.argmax()) + 1}: another group than a further line gives the "
            "same template"
        )
    return names.tolist(), group


def _read_pairs(path: Path, templates: NDArray[np.str_]) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    first, second, label = _read(path, (3,))
    ends = []
    for column in (first, second):
        place = np.searchsorted(templates, column).clip(max=len(templates) - 1)
        if (absent := templates[place] != column).any():
            line = int(absent.argmax())
            raise DataError(
                f"{path}: line {line + 1}: template {str(column[line])!r} is not in the media list"
            )
        ends.append(place.astype(np.int64))
    if (odd := ~np.isin(label, ("0", "1"))).any():
        line = int(odd.argmax())
        raise DataError(f"{path}: line {line + 1}: label is {str(label[line])!r}, expected 1 or 0")
    return ends[0], ends[1], label == "1"


def _landmarks(path: Path, names: NDArray[np.str_]) -> NDArray[np.float64]:
    """(N, 5, 2) for the images in their order."""
    columns = _read(path, (11, 12))
    order = np.argsort(columns[0])
    place = order[np.searchsorted(columns[0], names, sorter=order).clip(max=len(order) - 1)]
    if (absent := columns[0][place] != names).any():
        raise DataError(f"{path}: no landmarks of image {str(names[absent.argmax()])!r}")
    try:
        points = np.stack([column[place].astype(np.float64) for column in columns[1:11]], axis=1)
    except ValueError as error:
        raise DataError(f"{path}: a landmark is no number ({error})") from None
    if (bad := ~np.isfinite(points).all(axis=1)).any():
        raise DataError(f"{path}: landmarks of image {str(names[bad.argmax()])!r} are not finite")
    return points.reshape(-1, 5, 2)
