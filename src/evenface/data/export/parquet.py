"""Export as Parquet with the images in it, as the Hugging Face hub keeps image data sets."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenface.data.export.base import Exporter, Job, columns_of

_COLUMNS = ("identity", "origin", "dataset", "licence", "split", "notes")
_ROW_GROUP = 512


def write(job: Job) -> list[str]:
    """``data/train-00000-of-0000N.parquet`` with the columns ``image``, ``label`` and the others.

    ``image`` is a struct of bytes and path, ``label`` a class whose names are the identities: the
    ``datasets`` library shows both as such.
    """
    manifest = job.manifest
    identities, labels = manifest.identities(), manifest.labels()
    columns = columns_of(manifest, (*_COLUMNS, *manifest.attributes))
    schema = _schema(identities, tuple(columns))
    shards = -(-len(manifest) // job.shard_images)
    folder = job.folder / "data"
    folder.mkdir()
    rows = np.arange(len(manifest))
    with closing(job.encoded(rows)) as images:
        for number in range(shards):
            path = folder / f"train-{number:05d}-of-{shards:05d}.parquet"
            first = number * job.shard_images
            last = min(first + job.shard_images, len(manifest))
            with pq.ParquetWriter(path, schema, compression="zstd") as writer:
                for start in range(first, last, _ROW_GROUP):
                    some = slice(start, min(start + _ROW_GROUP, last))
                    paths = [f"{row:09d}{job.encoding.suffix}" for row in rows[some].tolist()]
                    structs = [
                        {"bytes": image, "path": name}
                        for name, image in zip(paths, islice(images, len(paths)), strict=True)
                    ]
                    content: dict[str, Any] = {"image": structs, "label": labels[some]}
                    content |= {name: column[some] for name, column in columns.items()}
                    writer.write_table(pa.table(content, schema=schema))
    return []


def _schema(identities: list[str], columns: tuple[str, ...]) -> pa.Schema:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", image), ("label", pa.int64()), *((name, pa.string()) for name in columns)]
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": identities},
    }
    features |= {name: {"_type": "Value", "dtype": "string"} for name in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=metadata)


EXPORTER = Exporter(
    "parquet",
    "data/train-00000-of-0000N.parquet with image, label and all columns (Hugging Face)",
    write,
    uses=frozenset({"shard_images"}),
)
