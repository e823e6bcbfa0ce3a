"""Where a training's values go besides its log; see :mod:`evenface.train.sinks.registry`.

Every module is imported.
"""

from importlib import import_module
from pkgutil import iter_modules

from evenface.train.sinks.registry import SINKS, Sink, SinkRun, check_sinks, open_sinks

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["SINKS", "Sink", "SinkRun", "check_sinks", "open_sinks"]
