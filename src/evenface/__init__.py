"""evenface: fair face recognition with little or no real data."""

from __future__ import annotations

import os
from typing import Any

# onnxruntime 1.32 keeps a device id and sends usage data to its maker, unless this is set before
# it is imported; onnxruntime.disable_telemetry_events() comes too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Recogniser", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that `evenface --help` loads nothing heavy.
    if name == "Recogniser":
        from evenface.recogniser import Recogniser

        return Recogniser
    raise AttributeError(f"module 'evenface' has no attribute {name!r}")
