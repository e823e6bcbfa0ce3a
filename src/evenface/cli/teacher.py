"""evenface teacher: look at a teacher, import published weights, embed data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from evenface.errors import asking_for

Spec = Annotated[
    str,
    typer.Argument(
        metavar="TEACHER",
        help="sface, study, small, an ONNX file, a run folder, or weights of a backbone.",
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
    Literal["RGB", "BGR", "grey"] | None,
    typer.Option("--order", help="Channels that the model expects (not for runs)."),
]
Layout = Annotated[
    Literal["NCHW", "NHWC"] | None,
    typer.Option(
        "--layout", help="Of the input, where an ONNX or TorchScript file leaves it open."
    ),
]
Fit = Annotated[
    Literal["crop", "resize"] | None,
    typer.Option(
        "--fit",
        help="How faces of 112x112 get the size of an ONNX file's input: crop cuts out the centre "
        "(112x96), resize scales.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        metavar="NAME|INDEX",
        help="The embedding among several outputs of an ONNX file.",
    ),
]
Backbone = Annotated[str | None, typer.Option("--backbone", help="Name of the backbone (weights).")]
Engine = Annotated[
    Literal["onnxruntime", "openvino", "openvino-bf16"] | None,
    typer.Option(
        "--engine",
        help="Runtime for an ONNX file; openvino (extra: openvino) is faster on x86. "
        "[default: onnxruntime]",
    ),
]


def register(app: typer.Typer) -> None:
    """Add ``evenface teacher``."""
    teacher = typer.Typer(
        help="Teachers: look at one, import published weights, embed data sets.",
        no_args_is_help=True,
    )
    teacher.command("info")(info)
    teacher.command("embed")(embed)
    teacher.command("probe")(probe)
    teacher.command("import")(import_weights)
    app.add_typer(teacher, name="teacher")


def info(
    teacher: Spec,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    layout: Layout = None,
    fit: Fit = None,
    output: Output = None,
    backbone: Backbone = None,
    engine: Engine = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a teacher is: network, input, embedding size, fingerprint."""
    import json

    from evenface.teachers import load_teacher

    loaded = load_teacher(
        teacher,
        mean=mean,
        std=std,
        order=order,
        layout=layout,
        fit=fit,
        output=output,
        backbone=backbone,
        engine=engine,
    )
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
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Processes at once. [default: one a GPU where there are several, else one]",
        ),
    ] = None,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    layout: Layout = None,
    fit: Fit = None,
    output: Output = None,
    backbone: Backbone = None,
    engine: Engine = None,
) -> None:
    """Embed every image of a data set and its mirror image; interrupted runs are continued.

    Images are embedded in shards of 512. Rerun the same command to continue; --workers may differ.
    """
    from evenface.data.manifest import Manifest
    from evenface.teachers import load_teacher
    from evenface.teachers.cache import cached_embeddings

    manifest = Manifest.read(dataset)
    options = {
        "mean": mean,
        "std": std,
        "order": order,
        "layout": layout,
        "fit": fit,
        "output": output,
        "backbone": backbone,
        "engine": engine,
    }
    loaded = load_teacher(teacher, **options)
    if workers == 1 or (workers is None and not _several_gpus()):
        cache = cached_embeddings(loaded, manifest, out, dtype=dtype)
    else:
        from evenface.study.embedding import embed_together
        from evenface.study.executors import LocalExecutor

        cache = embed_together(
            teacher,
            manifest,
            out,
            executor=LocalExecutor(workers),
            teacher=loaded,
            options=options,
            dtype=dtype,
        )
    typer.echo(
        f"{out}: {len(cache):,} images × {len(cache.views)} views "
        f"({', '.join(cache.views)}), {cache.embedding_size}-d {dtype}"
    )


def _several_gpus() -> bool:
    """Whether torch is installed and sees more than one GPU."""
    try:
        from evenface.study.executors.local import visible_gpus

        return len(visible_gpus()) > 1
    except ImportError:
        return False


def probe(
    teacher: Spec,
    protocol: Annotated[
        str,
        typer.Argument(
            metavar="PROTOCOL",
            help="Labelled pairs to measure on: a .bin file, a pairs file, a data set; as "
            "'evenface evaluate --protocol' takes them.",
        ),
    ],
    pairs: Annotated[
        int, typer.Option("--pairs", min=10, help="Most genuine, and most impostor, pairs.")
    ] = 200,
    layout: Layout = None,
    fit: Fit = None,
    output: Output = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides which pairs.")] = 0,
) -> None:
    """Measure which pixel scaling and channel order an ONNX or TorchScript file wants.

    A recogniser still works with the wrong one, a little worse. The first line is the best; lines
    that differ little cannot be told apart.
    """
    from rich.table import Table

    from evenface.console import out
    from evenface.evaluate.channel_order import probe_preprocessing, some_pairs
    from evenface.evaluate.protocol_specs import tasks_of

    taken = some_pairs(tasks_of(protocol)[0], limit=pairs, seed=seed)
    options = {"layout": layout, "fit": fit, "output": output}
    table = Table(box=None, pad_edge=False)
    for heading in ("pixels", "order"):
        table.add_column(heading)
    for heading in ("d′", "AUC"):
        table.add_column(heading, justify="right")
    for scale, order, found in probe_preprocessing(teacher, taken, **options):
        table.add_row(scale, order, f"{found.dprime:.3f}", f"{found.auc:.4f}")
    genuine = int(taken.genuine.sum())
    out().print(table)
    out().print(f"{genuine:,} genuine and {len(taken.genuine) - genuine:,} impostor pairs")


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

    with asking_for("train", "importing weights"):
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
