"""Export as WebDataset: tar shards with ``key.png``, ``key.cls`` and ``key.json``."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import closing
from itertools import islice

import numpy as np

from evenface.data.export.base import Exporter, Job, columns_of

_FIELDS = ("identity", "origin", "dataset", "licence", "split", "notes")


def write(job: Job) -> list[str]:
    """Shards ``shard-000000.tar``, … in the manifest's order.

    ``key.cls`` is the identity's number, ``key.json`` its name and the other columns. Headers hold
    no time and no owner: equal content, equal bytes.
    """
    manifest = job.manifest
    labels = manifest.labels()
    columns = columns_of(manifest, (*_FIELDS, *manifest.attributes))
    rows = np.arange(len(manifest))
    with closing(job.encoded(rows)) as images:
        for number, start in enumerate(range(0, len(rows), job.shard_images)):
            path = job.folder / f"shard-{number:06d}.tar"
            some = range(start, min(start + job.shard_images, len(rows)))
            with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:
                for row, image in zip(some, islice(images, len(some)), strict=True):
                    values = {name: column[row] for name, column in columns.items()}
                    label = {name: value for name, value in values.items() if value}
                    key = f"{row:09d}"
                    _add(shard, f"{key}{job.encoding.suffix}", image)
                    _add(shard, f"{key}.cls", str(labels[row]).encode())
                    _add(shard, f"{key}.json", json.dumps(label, ensure_ascii=False).encode())
    return []


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


EXPORTER = Exporter(
    "webdataset",
    "tar shards with key.png, key.cls and key.json",
    write,
    uses=frozenset({"shard_images"}),
)
