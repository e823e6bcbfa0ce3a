"""evenface: fair face recognition with little or no real data."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# onnxruntime 1.32 keeps a device id and sends usage data to its maker, unless this is set before
# it is imported; onnxruntime.disable_telemetry_events() comes too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

if TYPE_CHECKING:
    from evenface.evaluate.from_arrays import Evaluations, audit
    from evenface.evaluate.protocols import Protocol
    from evenface.evaluate.results import Evaluation
    from evenface.recogniser import Recogniser

__all__ = [
    "Evaluation",
    "Evaluations",
    "Protocol",
    "Recogniser",
    "__version__",
    "audit",
]

_HOMES = {
    "Evaluation": "evenface.evaluate.results",
    "Evaluations": "evenface.evaluate.from_arrays",
    "Protocol": "evenface.evaluate.protocols",
    "Recogniser": "evenface.recogniser",
    "load_model": "evenface.recogniser",
    "embed": "evenface.recogniser",
    "verify": "evenface.recogniser",
    "audit": "evenface.evaluate.from_arrays",
}
"""Public name → the module that has it. Imported when asked for: ``import evenface`` stays fast."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evenface' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
