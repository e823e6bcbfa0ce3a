"""Export as a folder of images: ``[<group>/]<identity>/<identity>_<number>.png``."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import numpy as np

from evenface.data.export.base import Exporter, Job, file_name, image_numbers
from evenface.data.manifest import UNKNOWN
from evenface.errors import DataError


def write(job: Job) -> list[str]:
    """One file an image; the number counts the images of an identity from 1.

    Raises:
        DataError: an identity of several groups, which the layout would make several people.
    """
    manifest = job.manifest
    identities, labels = manifest.identities(), manifest.labels()
    groups = manifest.groups(job.group_by) if job.group_by else np.full(len(manifest), "")
    _refuse_crossing(identities, labels, groups)
    names = _folder_names(identities, labels, groups)
    numbers = image_numbers(labels)
    width = max(4, len(str(numbers.max())))
    rows = np.arange(len(manifest))
    with closing(job.encoded(rows)) as images:
        for row, image in zip(rows.tolist(), images, strict=True):
            name, group = names[labels[row]], str(groups[row])
            folder = job.folder / file_name(group) / name if group else job.folder / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}_{numbers[row]:0{width}d}{job.encoding.suffix}").write_bytes(image)
    return _remarks(job, names, groups)


def _folder_names(identities: list[str], labels: np.ndarray, groups: np.ndarray) -> list[str]:
    """The folder of each identity, without its group.

    Import calls people "group/name" where one name occurs in several groups; the folder is called
    by the name then, unless another person of that group is.
    """
    group_of = groups[np.unique(labels, return_index=True)[1]].tolist()
    both = list(zip(group_of, identities, strict=True))
    short = [identity.removeprefix(f"{group}/") for group, identity in both]
    taken = Counter(zip(group_of, short, strict=True))
    return [
        file_name(name if taken[group, name] == 1 else identity)
        for (group, identity), name in zip(both, short, strict=True)
    ]


def _remarks(job: Job, names: list[str], groups: np.ndarray) -> list[str]:
    remarks = []
    if lost := [name for name in job.manifest.attributes if name not in job.group_by]:
        remarks.append(f"the folders have no place for the attributes {', '.join(lost)}")
    if unknown := int((groups == UNKNOWN).sum()):
        remarks.append(f"{unknown:,} images without a group lie in '{UNKNOWN}'")
    if changed := sum("%" in name for name in names):
        remarks.append(f"{changed:,} names hold characters that paths cannot, written as %XX")
    return remarks


def _refuse_crossing(identities: list[str], labels: np.ndarray, groups: np.ndarray) -> None:
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    pairs = np.unique(labels * (codes.max() + 1) + codes)
    owners = pairs // (codes.max() + 1)
    if (twice := owners[1:] == owners[:-1]).any():
        name = identities[owners[int(np.argmax(twice))]]
        raise DataError(
            f"identity {name!r} has images in several groups, which would become several people. "
            "Export without the level of groups: --group-by none"
        )


EXPORTER = Exporter(
    "folder",
    "[<group>/]<identity>/<identity>_<number>.png",
    write,
    loses=("origin", "dataset", "licence", "split", "notes"),
    uses=frozenset({"group_by"}),
    names_attributes=False,
)
