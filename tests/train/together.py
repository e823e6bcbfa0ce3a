"""Several processes on this machine, as torchrun would start them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import evenface

SOURCE = str(Path(evenface.__file__).parents[1])


def start(count: int, *command: str) -> list[subprocess.Popen]:
    """Processes that run ``python COMMAND …``, one a rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([SOURCE, str(Path(__file__).parent)]),
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def finish(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each."""
    results = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=240)
            results.append((process.returncode, out, " ".join(err.split())))
    finally:
        for process in processes:
            process.kill()
    return results


def run(count: int, *command: str) -> list[tuple[int, str, str]]:
    """Start and finish."""
    return finish(start(count, *command))
