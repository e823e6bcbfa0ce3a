"""evenface: fair face recognition with little or no real data.

``__all__`` lists what is offered from Python; ``docs/python.md`` shows it in use. What needs an
extra: ``train_model`` and ``distill_student`` (``train``), ``run_study`` (``train``, ``report``),
``Evaluation.plot`` and ``Evaluation.report`` (``report``). All else runs in the base install.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from evenface import display as _display
from evenface.version import __version__

for _name, _value in {
    # onnxruntime 1.32 keeps a device id and sends usage data to its maker, unless this is set
    # before it is imported; onnxruntime.disable_telemetry_events() comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports clusters that it starts to its makers
    "DO_NOT_TRACK": "1",  # heeded by libraries that a model function may import (Hugging Face)
}.items():
    os.environ.setdefault(_name, _value)
# OpenVINO tells its makers of every import, under an id that it keeps in the user's home, unless
# this package is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from evenface.data.from_arrays import load_dataset, make_dataset
    from evenface.data.importing import import_dataset
    from evenface.data.manifest import Manifest
    from evenface.data.mix import mix
    from evenface.errors import EvenfaceError
    from evenface.evaluate.from_arrays import Evaluations, audit
    from evenface.evaluate.protocols import Protocol
    from evenface.evaluate.results import Evaluation
    from evenface.recogniser import Recogniser, embed, load_model, verify
    from evenface.study.from_python import plan_study, read_study, run_study
    from evenface.train.from_python import distill_student, train_model

__all__ = [
    "Evaluation",
    "Evaluations",
    "EvenfaceError",
    "Manifest",
    "Protocol",
    "Recogniser",
    "__version__",
    "audit",
    "distill_student",
    "embed",
    "import_dataset",
    "load_dataset",
    "load_model",
    "make_dataset",
    "mix",
    "plan_study",
    "read_study",
    "run_study",
    "train_model",
    "verify",
]

_HOMES = {
    "evenface.data.from_arrays": ("load_dataset", "make_dataset"),
    "evenface.data.importing": ("import_dataset",),
    "evenface.data.manifest": ("Manifest",),
    "evenface.data.mix": ("mix",),
    "evenface.errors": ("EvenfaceError",),
    "evenface.evaluate.from_arrays": ("Evaluations", "audit"),
    "evenface.evaluate.protocols": ("Protocol",),
    "evenface.evaluate.results": ("Evaluation",),
    "evenface.recogniser": ("Recogniser", "embed", "load_model", "verify"),
    "evenface.study.from_python": ("plan_study", "read_study", "run_study"),
    "evenface.train.from_python": ("distill_student", "train_model"),
}
"""Module → its public names, imported when asked for: ``import evenface`` stays fast."""

_display.register(lambda: import_module("evenface.report.from_python"))


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'evenface' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
