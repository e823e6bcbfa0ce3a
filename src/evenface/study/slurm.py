"""A study as jobs of SLURM: teachers, embeddings, an array with one job a run, collect.

See sbatch's manual for what the options mean. A job gets SIGTERM two minutes before its time is up
(``--signal``) or when it is preempted, hands it on, and puts itself back into the queue once its
command has saved and ended.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evenface.errors import EvenfaceError, UsageError
from evenface.files import write_text
from evenface.study.run import SPEC_NAME

FOLDER_NAME = "slurm"
SUBMIT_NAME = "submit.sh"

_LIMITS = {
    "partition": r"[\w.,-]+",
    "memory": r"\d+[KMGT]?",
    "time": r"\d+(-\d+(:\d+){0,2})?|\d+(:\d+){1,2}",
}


@dataclass(frozen=True)
class Resources:
    """What a job asks for; None where SLURM's default is wanted.

    Raises:
        UsageError: a value that sbatch would not understand.
    """

    partition: str | None = None
    gpus: int = 0
    cpus: int = 1
    memory: str | None = None
    time: str | None = None
    max_parallel: int | None = None
    setup: str | None = None
    teacher_gpus: int | None = None
    """Of the job that trains teachers; None: as all others."""
    embed_jobs: int = 0
    """That share the embeddings; 0: the job that prepares does them."""

    def __post_init__(self) -> None:
        for name, form in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not re.fullmatch(form, value):
                raise UsageError(f"--{name} {value!r}: sbatch does not take that")
        if self.setup is not None and "\n" in self.setup:
            raise UsageError("--setup must be one line")

    def directives(self, gpus: int) -> list[str]:
        """Options of sbatch for a job of so many GPUs."""
        options = [("partition", self.partition), ("mem", self.memory), ("time", self.time)]
        chosen = [f"--{name}={value}" for name, value in options if value is not None]
        chosen.append(f"--cpus-per-task={self.cpus}")
        return [*chosen, f"--gpus={gpus}"] if gpus else chosen


def write_scripts(out: Path, name: str, count: int, resources: Resources) -> Path:
    """Write the scripts into ``<out>/slurm`` and return the one that submits them.

    Args:
        out: the study's folder, with its settings recorded.
        name: the study's.
        count: number of runs.
        resources: of every job.
    """
    out = out.resolve()
    folder = out / FOLDER_NAME
    study = ["study", "run", str(out / SPEC_NAME), "--out", str(out)]
    parts = resources.embed_jobs
    steps: dict[str, tuple[str, int]] = {}
    """Name → command, and number of jobs; 0: one job, no array."""
    if parts:
        embed = _command(["study", "embed", str(out), "--parts", str(parts), "--index"])
        steps["teachers"] = _command([*study, "--only", "teachers"]), 0
        steps["embed"] = f"{embed} {_TASK}", parts
    steps["prepare"] = _command([*study, "--only", "prepare"]), 0
    steps["runs"] = f"{_command(['study', 'work', str(out), '--index'])} {_TASK}", count
    steps["collect"] = _command(study), 0
    limit = f"%{resources.max_parallel}" if resources.max_parallel else ""
    trains_teachers = next(iter(steps))
    for step, (command, jobs) in steps.items():
        options = [f"--array=0-{jobs - 1}{limit}"] if jobs else []
        number = "%A_%a" if jobs else "%j"
        given = resources.teacher_gpus if step == trains_teachers else None
        gpus = resources.gpus if given is None else given
        directives = [
            f"--job-name=evenface-{name}-{step}",
            f"--output={folder}/{step}-{number}.log",
            "--open-mode=append",
            f"--chdir={Path.cwd()}",
            "--requeue",
            "--signal=B:TERM@120",
            *resources.directives(gpus),
            *options,
        ]
        write_text(folder / f"{step}.sh", _script(directives, resources.setup, command))
    first = _FIRST_EMBED if parts else _FIRST
    script = _SUBMIT.format(folder=shlex.quote(str(folder)), first=first)
    write_text(folder / SUBMIT_NAME, script)
    return folder / SUBMIT_NAME


def submit(script: Path) -> str:
    """Submit the jobs; what was said about it.

    Raises:
        EvenfaceError: there is no sbatch here, or it refused.
    """
    if shutil.which("sbatch") is None:
        raise EvenfaceError(
            f"sbatch was not found: this is no machine that submits to SLURM. Run there: "
            f"bash {script}"
        )
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EvenfaceError(f"{script}: sbatch refused: {done.stderr.strip()}")
    return done.stdout.strip()


def _command(words: list[str]) -> str:
    return shlex.join([sys.executable, "-m", "evenface", *words])


def _script(directives: list[str], setup: str | None, command: str) -> str:
    head = "\n".join(f"#SBATCH {_quoted(directive)}" for directive in directives)
    return _JOB.format(head=head, setup=f"{setup}\n" if setup else "", command=command)


def _quoted(directive: str) -> str:
    name, _, value = directive.partition("=")
    return f'{name}="{value}"' if re.search(r"\s", value) else directive


# bash runs a trap only between commands; `wait` is one that it interrupts.
_JOB = """\
#!/bin/bash
{head}
{setup}
{command} &
child=$!
stopped=
trap 'stopped=1; kill -TERM "$child" 2>/dev/null' TERM
wait "$child"
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"; code=$?
# 75: a training saved and ended; 130: a study did.
if [ "$code" -eq 75 ] || {{ [ -n "$stopped" ] && [ "$code" -eq 130 ]; }}; then
  scontrol requeue "$SLURM_JOB_ID" && exit 0
fi
exit "$code"
"""


_TASK = '"$SLURM_ARRAY_TASK_ID"'
_FIRST = "prepare=$(sbatch --parsable prepare.sh)"
# What a failed job of the array left is embedded by the job that prepares.
_FIRST_EMBED = """\
teachers=$(sbatch --parsable teachers.sh)
embed=$(sbatch --parsable --dependency=afterok:"$teachers" --kill-on-invalid-dep=yes embed.sh)
prepare=$(sbatch --parsable --dependency=afterok:"$teachers",afterany:"$embed" \\
  --kill-on-invalid-dep=yes prepare.sh)
echo "teachers: job $teachers; embed: job $embed"
""".rstrip()
_SUBMIT = """\
#!/bin/bash
# Submits the study's jobs: the runs once it is prepared, the report once all runs have ended. Runs
# that failed are tried again by the last job; what fails there too is marked in the report.
set -e
cd {folder}
{first}
runs=$(sbatch --parsable --dependency=afterok:"$prepare" --kill-on-invalid-dep=yes runs.sh)
collect=$(sbatch --parsable --dependency=afterok:"$prepare",afterany:"$runs" \\
  --kill-on-invalid-dep=yes collect.sh)
echo "prepare: job $prepare; runs: job $runs; collect: job $collect"
"""
