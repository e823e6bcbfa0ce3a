"""Commands killed at random moments, rerun to their end, and compared with uninterrupted runs.

python benchmarks/kills.py [--kills 200] [--study-kills 30] [--seed 0] [--only import …]
                           [--work DIR]

Each command first runs twice without interruption: what differs between these two runs (dates,
for instance) is left out of the comparison, and so are measured times. Then it is started and
killed (SIGKILL to its whole process group) at random moments, one to three times, and rerun to its
end. The folder must then hold the same files with the same bytes; JSON files are compared value by
value. No run may print a traceback or an internal error. A study is killed --study-kills times on
its way to one end.

Prints a table: command, kills, kills while it ran, equal ends, different ends, reruns that were
refused (where the killed run had written everything). Exits with 1 if any end differs. --seed
repeats the draws, not the moments: those depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OUT = "OUT"
"""Stands for the output folder in a command."""
STUDY = [
    "study", "run", "smoke", "--out", OUT,
    "--set", "teachers=[study]", "--set", "evaluation.real_people=[]",
    "--set", "training_seeds=[0]",
]  # fmt: skip
MEASURED = re.compile(r"\.(seconds|reused|energy\w*|pareto)(\.|$)")
"""JSON values that depend on the clock or on earlier calls: how long parts took, whether an earlier
call finished a stage, the front of accuracy and cost. Two runs may agree in one by chance."""
Snapshot = dict[str, Any]
"""Relative path (and, in JSON files, the path of the value) → bytes or value."""


@dataclass
class Tally:
    """What became of one command's kills."""

    kills: int = 0
    running: int = 0
    ends: int = 0
    refused: int = 0
    different: list[str] = field(default_factory=list)


class Runner:
    """Runs ``evenface`` in a folder and keeps what it prints."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def start(self, command: Sequence[str], out: Path) -> subprocess.Popen[bytes]:
        """The process of ``command``, in a process group of its own."""
        words = [str(out) if word == OUT else word for word in command]
        with open(self.work / "printed.txt", "wb") as printed:
            return subprocess.Popen(
                [sys.executable, "-m", "evenface", *words],
                cwd=self.work,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self, command: Sequence[str], out: Path) -> tuple[int, float]:
        """Exit code and duration in seconds of a run that nothing interrupts."""
        begun = time.monotonic()
        code = self.start(command, out).wait()
        self.check()
        return code, time.monotonic() - begun

    def kill(self, command: Sequence[str], out: Path, after: float) -> bool:
        """Kill ``command`` ``after`` seconds; whether it was still running."""
        process = self.start(command, out)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        finally:
            self.check()
        return False

    def printed(self) -> str:
        return (self.work / "printed.txt").read_text(errors="replace")

    def check(self) -> None:
        """Raises AssertionError if the last run printed a traceback or an internal error."""
        printed = self.printed()
        for word in ("Traceback", "internal error"):
            assert word not in printed, printed[-3000:]


def snapshot(folder: Path) -> Snapshot:
    """Every file under ``folder``: bytes, or values of JSON files."""
    found: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or name.endswith(".lock"):
            continue
        data = path.read_bytes().replace(str(folder).encode(), b"OUT")
        if path.suffix == ".json":
            values = leaves(json.loads(data))
            found |= {f"{name}:{key}": of for key, of in values if not MEASURED.search(key)}
        else:
            found[name] = data
    return found


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every leaf of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        path = f"{prefix}.{key}"
        if isinstance(item, dict | list) and item:
            yield from leaves(item, path)
        else:
            yield path, item


def differences(first: Snapshot, second: Snapshot) -> set[str]:
    return {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}


def try_command(
    runner: Runner,
    command: Sequence[str],
    kills: int,
    draw: random.Random,
    *,
    least: int,
    most: int,
) -> Tally:
    """Kill ``command`` ``kills`` times, ``least`` to ``most`` times on the way to one end."""
    tally = Tally()
    folders = [runner.work / f"whole-{i}" for i in range(2)]
    seconds = 0.0
    for folder in folders:
        code, seconds = runner.finish(command, folder)
        assert code == 0, runner.printed()[-3000:]
    whole = snapshot(folders[0])
    volatile = differences(whole, snapshot(folders[1]))
    while tally.kills < kills:
        out = runner.work / "killed"
        shutil.rmtree(out, ignore_errors=True)
        on_the_way = min(kills - tally.kills, draw.randint(least, most))
        for _ in range(on_the_way):
            tally.kills += 1
            # A rerun repeats the start (about 3 s) and continues: longer steps where there are few.
            tally.running += runner.kill(command, out, draw.uniform(0, 3 + seconds / on_the_way))
        code, _ = runner.finish(command, out)
        tally.refused += code != 0  # allowed where the killed run had written everything
        wrong = differences(whole, snapshot(out)) - volatile
        tally.ends += not wrong
        if wrong:
            tally.different.append(", ".join(sorted(wrong)[:20]))
    for folder in (*folders, runner.work / "killed"):
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def prepare(runner: Runner) -> dict[str, list[str]]:
    """Inputs under the working folder; name → command."""
    small = ["--identities-per-group", "6", "--images-per-identity", "4"]
    train = ["train", "student-mini", "--out", OUT]
    for setting in ("data=faces", "schedule.steps=30", "batch_size=24", "checkpoint_every=5"):
        train += ["--set", setting]
    steps: list[tuple[list[str], str]] = [
        (["data", "render", OUT, *small], "faces"),
        (["data", "render", OUT, *small, "--look", "camera", "--first-identity", "900"], "tests"),
        (["data", "export", "faces", OUT, "--format", "folder"], "pictures"),
        (train, "run"),
    ]
    for command, name in steps:
        if not (runner.work / name).exists():
            code, _ = runner.finish(command, runner.work / name)
            assert code == 0, runner.printed()[-3000:]
    exports = dict.fromkeys(("recordio", "folder", "webdataset", "parquet"), "faces")
    exports["bin"] = "draw:faces"
    return {
        "render": ["data", "render", OUT, *small, "--groups", "asian", "--workers", "2"],
        "import": ["data", "import", "pictures", OUT],
        **{
            f"export {kind}": ["data", "export", source, OUT, "--format", kind]
            for kind, source in exports.items()
        },
        "mix": ["data", "mix", OUT, "--real", "faces", "--synthetic", "tests"],
        "embed": ["teacher", "embed", "small", "faces", "--out", OUT],
        "train": train,
        "evaluate": ["evaluate", "run", "tests", "--out", OUT],
        "export": ["export", "run", "--out", OUT, "--audit", "draw:tests"],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200, help="of commands, all together")
    parser.add_argument("--study-kills", type=int, default=30, help="of one study run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="names of commands")
    parser.add_argument("--work", type=Path, help="folder of inputs and outputs, kept")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        runner = Runner(work)
        commands = prepare(runner)
        chosen = [
            name
            for name in (*commands, "study")
            if name in (options.only or commands | {"study": STUDY})
        ]
        rest = [name for name in chosen if name != "study"]
        tallies: dict[str, Tally] = {}
        print("| command | kills | while it ran | equal ends | different ends | reruns refused |")
        print("|---|---|---|---|---|---|", flush=True)
        for i, name in enumerate(chosen):
            if name == "study":
                kills = options.study_kills
                tally = try_command(runner, STUDY, kills, draw, least=kills, most=kills)
            else:
                kills = len(range(i, options.kills, len(rest)))
                tally = try_command(runner, commands[name], kills, draw, least=1, most=3)
            tallies[name] = tally
            counts = (tally.kills, tally.running, tally.ends, len(tally.different), tally.refused)
            print(f"| {name} |", " | ".join(map(str, counts)), "|", flush=True)
    for name, tally in tallies.items():
        for wrong in tally.different:
            print(f"{name}: {wrong}")
    return int(any(tally.different for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
