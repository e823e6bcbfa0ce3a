"""From what a user writes (a file or folder) to the protocols in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from evenface.console import warn
from evenface.data.formats.pairs import PICKLE_SUFFIXES
from evenface.data.formats.verification_bcolz import is_carray
from evenface.data.formats.verification_bin import SUFFIX
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate.fhibe import fhibe_protocol
from evenface.evaluate.identification import GALLERY, PROBE, identification_set
from evenface.evaluate.pair_lists import VerificationSet
from evenface.evaluate.pairs import Impostors
from evenface.evaluate.protocol_files import bin_set, bins_of, pairs_set, rfw_of
from evenface.evaluate.protocols import (
    DEFAULT_MAX_PAIRS,
    PROTOCOL_NAME,
    Protocol,
    holds_protocol,
    protocol_from_manifest,
)
from evenface.evaluate.tasks import Task, identification_task, template_task, verification_task
from evenface.evaluate.templates import is_template_set, read_templates

IDENTIFY = "identify:"
FHIBE = "fhibe:"
DRAW = "draw:"
"""Before a data set: draw new pairs, whatever pairs its folder holds."""
PAIRS_SUFFIXES = (".txt", ".csv", ".tsv")
PAIRS_NAMES = ("pairs.txt", "pairs.csv", "pairs.tsv")


@dataclass(frozen=True)
class ProtocolOptions:
    """For protocols that are drawn from a manifest, and for folds where a file has none."""

    group_by: Sequence[str] | None = None
    split: str | None = None
    pairs_per_group: int | None = None
    max_pairs: int = DEFAULT_MAX_PAIRS
    folds: int = 10
    seed: int = 0
    impostors: Impostors = "within"
    simulated: bool = False
    """Whether the images of files without origin are synthetic."""


def tasks_of(spec: str, options: ProtocolOptions | None = None) -> list[Task]:
    """The protocols that ``spec`` names.

    - ``lfw.bin``: a verification set; ``lfw/``: one as a bcolz array, with ``lfw_list.npy`` beside
      it; a folder of such sets: each, and ``<group>_test.bin`` together as one with groups.
    - ``pairs.txt``, ``.csv`` or ``.tsv``, with ``@FOLDER`` for the images if elsewhere; or a folder
      with a file ``pairs.…`` (and ``images/``).
    - a folder with RFW's ``txts/`` and ``images/``, of aligned faces.
    - a folder with IJB's lists (:func:`read_templates`), with ``@FOLDER`` for the images.
    - a data set folder or manifest: the pairs in its ``protocol.parquet`` (as ``evenface data
      verification-set`` writes it), drawn where there is none; ``draw:DATASET``: always drawn;
      ``protocol.parquet@DATASET``: as written.
    - ``fhibe:DATASET``: the pairs of FHIBE's protocol (:mod:`evenface.evaluate.fhibe`).
    - ``identify:DATASET``, of which the splits are "gallery" and "probe", or
      ``identify:GALLERY,PROBES``.

    Raises:
        UsageError: an option that cannot be.
        DataError: nothing there, or nothing of this kind; files that cannot be used.
    """
    options = options or ProtocolOptions()
    if spec.startswith(IDENTIFY):
        return [_identification(spec.removeprefix(IDENTIFY), options)]
    if spec.startswith(FHIBE):
        manifest, protocol = fhibe_protocol(
            spec.removeprefix(FHIBE),
            group_by=options.group_by,
            seed=options.seed,
            folds=options.folds,
        )
        return [_of_manifest(protocol, manifest)]
    if spec.startswith(DRAW):
        return [dataset_task(spec, options)]
    path, images = _split(spec)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    if is_carray(path) or (suffix == SUFFIX and path.is_file()):
        return [verification_task(bin_set(path, folds=options.folds, simulated=options.simulated))]
    if path.is_dir():
        return _in_folder(path, images, options)
    if suffix in (*PAIRS_SUFFIXES, *PICKLE_SUFFIXES):  # the latter are refused with advice
        # Such files are told apart by their folders.
        name = path.resolve().parent.name if path.name in PAIRS_NAMES else None
        return [_pairs(path, images, name, options)]
    if suffix == ".parquet":
        return [_parquet(path, images, options)]
    raise DataError(
        f"{path}: no protocol. Give a .bin file, a pairs file (.txt, .csv, .tsv), a manifest "
        "(.parquet), or a folder; see 'evenface evaluate --help'"
    )


def spec_path(spec: str) -> Path:
    """The file or folder that ``spec`` names first."""
    for prefix in (DRAW, FHIBE, IDENTIFY):
        spec = spec.removeprefix(prefix)
    return _split_at(spec)[0]


def _split(spec: str) -> tuple[Path, Path | None]:
    """The path, and the folder of images behind the last ``@``."""
    path, images = _split_at(spec)
    if images is not None and not images.exists():
        raise DataError(f"{images}: no such folder of images")
    return path, images


def _split_at(spec: str) -> tuple[Path, Path | None]:
    if Path(spec).exists() or "@" not in spec:
        return Path(spec), None
    path, _, images = spec.rpartition("@")
    return Path(path), Path(images)


def _in_folder(folder: Path, images: Path | None, options: ProtocolOptions) -> list[Task]:
    if (folder / MANIFEST_NAME).is_file():
        return [dataset_task(folder, options)]
    if rfw := rfw_of(folder):
        pairs, roots = rfw
        given = pairs_set(
            pairs,
            roots,
            name=folder.resolve().name,
            folds=options.folds,
            seed=options.seed,
            simulated=options.simulated,
        )
        return [verification_task(given)]
    if is_template_set(folder):
        return [template_task(read_templates(folder, images=images, seed=options.seed))]
    if bins := bins_of(folder):
        return [
            verification_task(
                bin_set(files, name=name, folds=options.folds, simulated=options.simulated)
            )
            for name, files in bins.items()
        ]
    if found := [folder / name for name in PAIRS_NAMES if (folder / name).is_file()]:
        below = folder / "images"
        root = images or (below if below.is_dir() else folder)
        return [_pairs(found[0], root, folder.resolve().name, options)]
    raise DataError(
        f"{folder}: no protocol in this folder: no {MANIFEST_NAME}, .bin files, bcolz arrays, "
        f"pairs file ({', '.join(PAIRS_NAMES)}), RFW's txts/ or IJB's lists"
    )


def _pairs(path: Path, images: Path | None, name: str | None, options: ProtocolOptions) -> Task:
    given = pairs_set(
        path,
        images,
        name=name,
        folds=options.folds,
        seed=options.seed,
        simulated=options.simulated,
    )
    return verification_task(given)


def _parquet(path: Path, dataset: Path | None, options: ProtocolOptions) -> Task:
    if not holds_protocol(path):
        return dataset_task(path, options)
    if dataset is None:
        raise UsageError(f"{path}: name the data set of this protocol: {path}@DATASET")
    manifest = Manifest.read(dataset)
    return _of_manifest(_read_protocol(path, manifest, dataset), manifest)


def _read_protocol(path: Path, manifest: Manifest, dataset: Path) -> Protocol:
    protocol = Protocol.read(path)
    if protocol.manifest_fingerprint != manifest.fingerprint:
        raise DataError(
            f"{path}: this protocol was drawn from another manifest than {dataset}. Prepare the "
            f"set again, or draw new pairs with {DRAW}{dataset}"
        )
    return protocol


def kept_pairs(dataset: Path) -> Path | None:
    """The ``protocol.parquet`` beside a data set's ``manifest.parquet``, None where there is none.

    Args:
        dataset: a data set folder, or the manifest in it.
    """
    folder = dataset.parent if dataset.name == MANIFEST_NAME else dataset
    found = folder / PROTOCOL_NAME
    return found if found.is_file() and (folder / MANIFEST_NAME).is_file() else None


def dataset_protocol(dataset: Path, manifest: Manifest) -> Protocol | None:
    """The pairs that a data set's folder holds, None where it holds none.

    Args:
        dataset: a data set folder, or the manifest in it.
        manifest: what was read from there.

    Raises:
        DataError: the pairs are of another manifest.
    """
    path = kept_pairs(dataset)
    return None if path is None else _read_protocol(path, manifest, dataset)


def dataset_task(dataset: str | Path, options: ProtocolOptions, *, name: str | None = None) -> Task:
    """The pairs that a data set's folder holds, or pairs drawn from it where it holds none.

    Args:
        dataset: a data set folder or manifest; after ``draw:`` its pairs are drawn in any case.
        options: for pairs that are drawn.
        name: what results call the protocol; None for its own name, or the folder's.

    Raises:
        UsageError, DataError: see :func:`dataset_pairs`.
    """
    manifest, protocol = dataset_pairs(dataset, options, name=name)
    return _of_manifest(protocol, manifest)


def dataset_pairs(
    dataset: str | Path, options: ProtocolOptions, *, name: str | None = None
) -> tuple[Manifest, Protocol]:
    """The manifest and the pairs of a data set; as :func:`dataset_task`, which wraps them.

    Raises:
        UsageError, DataError: as :func:`protocol_from_manifest` and ``Manifest.read`` do; pairs of
            another manifest.
    """
    path = Path(str(dataset).removeprefix(DRAW))
    if not str(dataset).startswith(DRAW) and (kept := kept_pairs(path)):
        manifest = Manifest.read(path)
        protocol = _read_protocol(kept, manifest, path)
        _say_unused(path, options)
        return manifest, replace(protocol, name=name or protocol.name)
    manifest = Manifest.read(path, split=options.split)
    protocol = protocol_from_manifest(
        manifest,
        group_by=options.group_by,
        folds=options.folds,
        pairs_per_group=options.pairs_per_group,
        max_pairs=options.max_pairs,
        impostors=options.impostors,
        seed=options.seed,
        name=name or path.resolve().name.removesuffix(".parquet"),
    )
    return manifest, protocol


def _say_unused(dataset: Path, options: ProtocolOptions) -> None:
    """Warn of options that published pairs leave without effect."""
    of_drawn = ("group_by", "split", "pairs_per_group", "max_pairs", "folds", "impostors")
    unused = [
        field.name.replace("_", "-")
        for field in fields(options)
        if field.name in of_drawn and getattr(options, field.name) != field.default
    ]
    if unused:
        warn(
            f"{dataset}: holds pairs of its own, for which {', '.join(unused)} mean nothing. To "
            f"draw new pairs, give {DRAW}{dataset}"
        )


def _of_manifest(protocol: Protocol, manifest: Manifest) -> Task:
    order = np.arange(len(manifest), dtype=np.int64)
    return verification_task(VerificationSet(protocol, manifest, order))


def _identification(spec: str, options: ProtocolOptions) -> Task:
    parts = [spec] if Path(spec).exists() else spec.split(",")
    if len(parts) > 2 or not all(parts):
        raise UsageError(f"{IDENTIFY}{spec}: give a data set, or a gallery and probes: A,B")
    manifests = [Manifest.read(part) for part in parts]
    if len(manifests) == 2:
        gallery, probes = manifests
        manifests = [
            Manifest.concat(
                [gallery.with_column("split", GALLERY), probes.with_column("split", PROBE)]
            )
        ]
    name = Path(parts[-1]).resolve().name.removesuffix(".parquet")
    given = identification_set(manifests[0], group_by=options.group_by, name=f"identify-{name}")
    return identification_task(given)
