"""Where the runs of a study are carried out: one file and one registry line an executor."""

from evenface.study.executors.base import Call, Crew, End, Executor
from evenface.study.executors.local import LocalExecutor, default_workers
from evenface.study.executors.registry import EXECUTORS, create_executor

__all__ = [
    "EXECUTORS",
    "Call",
    "Crew",
    "End",
    "Executor",
    "LocalExecutor",
    "create_executor",
    "default_workers",
]
