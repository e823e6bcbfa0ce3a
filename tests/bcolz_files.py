"""Writes verification sets as bcolz arrays, as the sets' authors do with bcolz itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_carray(
    folder: Path, images: Sequence[np.ndarray], genuine: Sequence[bool], *, chunklen: int = 3
) -> None:
    """A folder as bcolz writes it, and the list beside it.

    Args:
        folder: to write; its parents are made too.
        images: each uint8 (112, 112, 3) RGB.
        genuine: one flag per pair.
        chunklen: images in a chunk; the last has the rest.
    """
    from numcodecs import Blosc

    # torchvision's ToTensor and Normalize([0.5] * 3, [0.5] * 3) on OpenCV's BGR.
    bgr = np.stack(images)[..., ::-1].transpose(0, 3, 1, 2)
    scaled = (bgr.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    (folder / "meta").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "__attrs__").write_text("{}\n")
    sizes = {"shape": list(scaled.shape), "nbytes": scaled.nbytes, "cbytes": scaled.nbytes}
    storage = {
        "dtype": "float32",
        "cparams": {"clevel": 5, "shuffle": 1, "cname": "lz4", "quantize": 0},
        "chunklen": chunklen,
        "expectedlen": len(scaled),
        "dflt": 0.0,
    }
    (folder / "meta" / "sizes").write_text(json.dumps(sizes) + "\n")
    (folder / "meta" / "storage").write_text(json.dumps(storage) + "\n")
    blosc = Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE)
    for number, start in enumerate(range(0, len(scaled), chunklen)):
        header = b"blpk" + struct.pack("<B3xq", 1, 1)
        buffer = blosc.encode(np.ascontiguousarray(scaled[start : start + chunklen]))
        (folder / "data" / f"__{number}.blp").write_bytes(header + buffer)
    np.save(folder.with_name(f"{folder.name}_list.npy"), np.array(genuine))
