"""Export as insightface's RecordIO: ``train.rec``, ``train.idx``, ``property``, ``train.lst``."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np

from evenface.data.export.base import Exporter, Job, file_name, image_numbers, written_name
from evenface.data.formats.insightface import GROUPS_SUFFIX
from evenface.data.formats.lst import write_line
from evenface.data.formats.recordio import MAX_EXACT, RecordWriter, pack
from evenface.data.store import IMAGE_SIZE
from evenface.errors import DataError

_STEM = "train"
_ALIGNED = 1.0


def write(job: Job) -> list[str]:
    """Images ordered by identity, a record for each identity, the record of key 0 last.

    The labels number the identities in the manifest's order. The list keeps identities as folders
    and, behind the label, one column of group numbers for each attribute; ``train.groups.json``
    names them.

    Raises:
        DataError: 2^24 identities or more, which float32 labels cannot tell apart.
    """
    manifest = job.manifest
    identities, labels = manifest.identities(), manifest.labels()
    if len(identities) >= MAX_EXACT:
        raise DataError(f"{len(identities):,} identities; RecordIO's float32 labels end at 2^24")
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    ends = np.cumsum(sizes) + 1  # key 1 is the first image
    with RecordWriter(job.folder, _STEM) as writer, closing(job.encoded(order)) as images:
        for key, (label, image) in enumerate(zip(labels[order].tolist(), images, strict=True), 1):
            writer.write(key, pack((float(label), _ALIGNED), key, image))
        first = len(order) + 1
        for key, (end, size) in enumerate(zip(ends.tolist(), sizes.tolist(), strict=True), first):
            writer.write(key, pack((float(end - size), float(end)), key, b""))
        writer.write(0, pack((float(first), float(first + len(identities))), 0, b""))
    size = f"{len(identities)},{IMAGE_SIZE},{IMAGE_SIZE}\n"
    (job.folder / "property").write_text(size, encoding="ascii")
    folders = [_list_folder(identity) for identity in identities]
    _write_list(job, folders, labels, order)
    remarks = []
    if changed := sum(map(str.__ne__, folders, identities)):
        remarks.append(f"{changed:,} names hold characters that the list cannot, written as %XX")
    if first + len(identities) >= MAX_EXACT:
        remarks.append("more than 2^24 records: float32 rounds their ranges of keys, as usual")
    return remarks


def _list_folder(identity: str) -> str:
    """An identity as the folder of a path in the list: "name" or "group/name"."""
    parts = identity.split("/")
    if len(parts) > 2 or any(part in ("", ".") for part in parts):
        return file_name(identity)
    plain = identity.isprintable() and identity == identity.strip() and not {*identity} & {*"\\%"}
    return identity if plain else "/".join(map(file_name, parts))


def _write_list(job: Job, folders: list[str], labels: np.ndarray, order: np.ndarray) -> None:
    numbers = image_numbers(labels)
    codes, names = [], {}
    for attribute in job.manifest.attributes:
        values = job.manifest.column(attribute)
        known = sorted({value for value in values if value is not None})
        names[written_name(job.manifest, attribute)] = known
        number = {value: code for code, value in enumerate(known)}
        codes.append([number.get(value, -1) for value in values])
    with open(job.folder / f"{_STEM}.lst", "w", encoding="utf-8", newline="\n") as lines:
        for row in order.tolist():
            label = int(labels[row])
            path = f"{folders[label]}/{numbers[row]:06d}{job.encoding.suffix}"
            lines.write(write_line(path, label, [column[row] for column in codes]))
    if names and all(names.values()):
        text = json.dumps({"attributes": names}, indent=2, ensure_ascii=False)
        (job.folder / f"{_STEM}{GROUPS_SUFFIX}").write_text(text + "\n", encoding="utf-8")


EXPORTER = Exporter(
    "recordio",
    "train.rec, train.idx, property and train.lst (insightface)",
    write,
    loses=("origin", "dataset", "licence", "split", "notes"),
)
