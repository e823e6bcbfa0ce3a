"""From what a user writes (a name, a file, a run folder) to a teacher."""

from __future__ import annotations

import importlib
import inspect
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from evenface.errors import DataError, MissingDependencyError, UsageError
from evenface.run_folder import RUN_NAME
from evenface.teachers.base import LoadedTeacher


@dataclass(frozen=True)
class _Kind:
    """A kind of teacher: how it is recognised, and the function that loads it.

    The function takes the name or path and keyword options. It is imported when needed, so that
    one kind's packages are not required by the others.
    """

    description: str
    module: str
    function: str = "load"
    names: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    marker: str | None = None
    extra: str | None = None
    detect: Callable[[str], bool] | None = None
    """Tells from the spec or the file's content; asked before suffixes are."""

    def accepts(self, spec: str) -> bool:
        if self.detect is not None and self.detect(spec):
            return True
        path = Path(spec)
        if self.marker is not None and path.is_dir():
            return (path / self.marker).is_file()
        return spec in self.names or path.suffix.lower() in self.suffixes

    def loader(self) -> Callable[..., LoadedTeacher]:
        """Import the function; MissingDependencyError names the extra that it needs."""
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            package = error.name or ""
            if self.extra is None or package.startswith("evenface"):
                raise
            purpose = f"a teacher from a {self.description}"
            raise MissingDependencyError(package, self.extra, purpose) from error
        return cast(Callable[..., LoadedTeacher], getattr(module, self.function))


def _is_function(spec: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", spec) is not None


def _is_hub(spec: str) -> bool:
    from evenface.teachers.hub import is_hub

    return is_hub(spec)


def _is_torchscript(spec: str) -> bool:
    """TorchScript archives hold code; weights saved by PyTorch do not."""
    path = Path(spec)
    if path.suffix.lower() not in (".pt", ".pth") or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


_KINDS = (
    _Kind("asset", "evenface.teachers.onnx", "load_sface", names=("sface",)),
    _Kind("student of the package", "evenface.teachers.small", names=("small", "small-int8")),
    _Kind("teacher of the package", "evenface.teachers.study", names=("study",), extra="train"),
    _Kind("ONNX file", "evenface.teachers.onnx", "OnnxTeacher", suffixes=(".onnx",)),
    _Kind(
        "TorchScript file",
        "evenface.teachers.torchscript",
        "TorchScriptTeacher",
        suffixes=(".torchscript", ".ts"),
        extra="train",
        detect=_is_torchscript,
    ),
    _Kind("Python function", "evenface.teachers.function", detect=_is_function),
    _Kind("hub folder", "evenface.teachers.hub", detect=_is_hub),
    _Kind("run folder", "evenface.teachers.checkpoint", "load_run", marker=RUN_NAME, extra="train"),
    _Kind(
        "weights file",
        "evenface.teachers.checkpoint",
        suffixes=(".safetensors", ".pt", ".pth", ".ckpt", ".tar"),
        extra="train",
    ),
)


def load_teacher(spec: str | Path | Callable[..., Any], **options: Any) -> LoadedTeacher:
    """Load a teacher.

    Args:
        spec: ``"small"``, ``"small-int8"``, ``"sface"``, ``"study"``, the path of an ONNX or
            TorchScript file, of a run or hub folder, or of weights (.safetensors, or a PyTorch file
            .pt, .pth, .ckpt, .tar); or a function, or ``"module:function"``, from uint8
            (N, 112, 112, 3) to (N, D).
        options: for ONNX and TorchScript files ``mean``, ``std``, ``order``, ``layout`` (see
            :class:`evenface.teachers.onnx.OnnxTeacher`), for weights ``backbone``,
            ``embedding_size``, ``order``, ``device``, for hub folders ``precision``. None counts as
            not given.

    Raises:
        UsageError: nothing is recognised in ``spec``, or an option does not apply to it.
        DataError: the file is missing or is no recogniser of aligned faces.
        MissingAssetError: the asset has not been fetched.
        MissingDependencyError: weights need the extra ``train``.
    """
    if callable(spec):
        from evenface.teachers.function import FunctionTeacher

        return FunctionTeacher(spec, **options)
    spec = str(spec)
    kind = _recognise(spec)
    load = kind.loader()
    given = {name: value for name, value in options.items() if value is not None}
    known = [
        parameter.name
        for parameter in inspect.signature(load).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for name in given:
        if name not in known:
            raise UsageError(
                f"the option '{name}' does not apply to teacher '{spec}' ({kind.description}); "
                f"its options: {', '.join(known)}"
            )
    return load(spec if spec in kind.names else Path(spec), **given)


def teacher_names() -> list[str]:
    """Teachers that are known by name."""
    return [name for kind in _KINDS for name in kind.names]


def _recognise(spec: str) -> _Kind:
    for kind in _KINDS:
        if kind.accepts(spec):
            return kind
    path = Path(spec)
    if path.is_dir():
        raise DataError(f"{path}: this folder holds no {RUN_NAME}, so it is no run")
    names = ", ".join(teacher_names())
    suffixes = ", ".join(suffix for kind in _KINDS for suffix in kind.suffixes)
    raise UsageError(
        f"teacher '{spec}' is not recognised; give a name ({names}), a run folder, a file "
        f"({suffixes}), or module:function"
    )
