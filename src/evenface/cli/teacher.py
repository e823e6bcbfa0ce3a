"""evenface teacher: look at a teacher, import published weights, embed data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Spec = Annotated[
    str,
    typer.Argument(
        metavar="TEACHER",
        help="sface, study, an ONNX file, a run folder, or weights of a backbone.",
    ),
]
Mean = Annotated[
    float | None, typer.Option("--mean", help="Subtracted from pixels 0-255 (ONNX files).")
]
Std = Annotated[
    float | None,
    typer.Option("--std", min=1e-6, help="Divides pixels after --mean (ONNX files)."),
]
Order = Annotated[
    Literal["RGB", "BGR"] | None,
    typer.Option("--order", help="Channel order that the model expects (ONNX files, weights)."),
]
Backbone = Annotated[str | None, typer.Option("--backbone", help="Name of the backbone (weights).")]


def register(app: typer.Typer) -> None:
    """Add ``evenface teacher``."""
    teacher = typer.Typer(
        help="Teachers: look at one, import published weights, embed data sets.",
        no_args_is_help=True,
    )
    teacher.command("info")(info)
    teacher.command("embed")(embed)
    teacher.command("import")(import_weights)
    app.add_typer(teacher, name="teacher")


def info(
    teacher: Spec,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    backbone: Backbone = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load a teacher and tell what it is."""
    import json

    from evenface.teachers import load_teacher

    loaded = load_teacher(teacher, mean=mean, std=std, order=order, backbone=backbone)
    facts: dict[str, Any] = {
        "name": loaded.name,
        "embedding size": loaded.embedding_size,
        "fingerprint": loaded.fingerprint,
        **loaded.details,
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        typer.echo(f"{key:<{width}}  {value}")


def embed(
    teacher: Spec,
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Data set folder or manifest.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the embedding cache.", file_okay=False)
    ],
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option("--dtype", help="How embeddings are stored.")
    ] = "float32",
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    backbone: Backbone = None,
) -> None:
    """Embed every image of a data set and its mirror image; interrupted runs are continued."""
    from evenface.data.manifest import Manifest
    from evenface.teachers import load_teacher
    from evenface.teachers.cache import cached_embeddings

    manifest = Manifest.read(dataset)
    loaded = load_teacher(teacher, mean=mean, std=std, order=order, backbone=backbone)
    cache = cached_embeddings(loaded, manifest, out, dtype=dtype)
    typer.echo(
        f"{out}: {len(cache):,} images × {len(cache.views)} views "
        f"({', '.join(cache.views)}), {cache.embedding_size}-d {dtype}"
    )


def import_weights(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="A published .pt, .pth, .ckpt, .safetensors.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write, .safetensors.")],
    backbone: Backbone = None,
    order: Order = None,
    centres: Annotated[
        Path | None,
        typer.Option("--centres", help="Write the classifier's class centres there, .safetensors."),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option("--classifier", help="File of the class centres, if not WEIGHTS itself."),
    ] = None,
) -> None:
    """Check published weights and write them with their backbone and channel order.

    The written file is a teacher that needs no further options. arcface_torch, ElasticFace,
    AdaFace and CVLface are known by their keys.
    """
    from evenface.errors import UsageError
    from evenface.teachers import load_teacher
    from evenface.teachers.checkpoint import CheckpointTeacher, save_centres

    for path in filter(None, (out, centres)):
        if path.suffix != ".safetensors":
            raise UsageError(f"{path}: the file's name must end in .safetensors")
    loaded = load_teacher(weights, backbone=backbone, order=order)
    if not isinstance(loaded, CheckpointTeacher):
        raise UsageError(f"{weights}: not weights of a backbone")
    if centres is not None:
        shape = save_centres(classifier or weights, centres, embedding_size=loaded.embedding_size)
        typer.echo(f"{centres}: {shape[0]:,} class centres of {shape[1]} dimensions")
    loaded.save(out)
    typer.echo(f"{out}: {loaded.backbone}, {loaded.embedding_size}-d, {loaded.preprocessing.order}")
