#!/usr/bin/env bash
# README's commands as README writes them, in a clone of the last commit and in fresh environments
# that have no development packages:
#
#   base   pip install . : evenface verify, evaluate, doctor
#   quick  make smoke, which installs what make quick installs: a study, export, verify
#   wheel  the built wheel on the newest Python from 3.11 to 3.13 that is found: a study, doctor
#
#   tools/fresh.sh [base|quick|wheel ...]
#
# PIP_OPTIONS holds options of pip. FRESH_PYTHON is the Python of the wheel's environment.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- base quick wheel
for part in "$@"; do
  [[ " base quick wheel " == *" $part "* ]] || {
    echo "fresh environments: no part '$part'; there are: base quick wheel" >&2
    exit 2
  }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH VIRTUAL_ENV MAKEFLAGS VENV
export PIP_DISABLE_PIP_VERSION_CHECK=1

run() { # a command; its failure ends the script and is named
  echo "+ $*"
  "$@" || {
    echo "fresh environments: failed in $PWD: $*" >&2
    exit 1
  }
}

environment() { # ENVIRONMENT PYTHON REQUIREMENT
  run "$2" -m venv "$1"
  # shellcheck disable=SC2086 # several options
  run "$1/bin/python" -m pip install --quiet ${PIP_OPTIONS:-} -c "$work/evenface/constraints.txt" "$3"
}

no_development_packages() { # ENVIRONMENT
  for package in pytest hypothesis mypy ruff; do
    if "$1/bin/python" -c "import $package" 2>/dev/null; then
      echo "fresh environments: $1 has $package, so it is not fresh" >&2
      exit 1
    fi
  done
}

photographs() { # PYTHON of an environment with evenface; writes a.jpg and b.jpg
  run evenface assets get openpeople
  "$1" - <<'PYTHON'
import zipfile
from pathlib import Path

from evenface.assets import asset_path

with zipfile.ZipFile(asset_path("openpeople")) as wheel:
    for name, picture in (("a.jpg", "studio_portrait"), ("b.jpg", "amateur_selfie")):
        Path(name).write_bytes(wheel.read(f"openpeople/data/curated/P001/assets/{picture}.jpg"))
PYTHON
}

check_base() {
  local python
  python=$(python_of 3.11 3.12 3.13)
  environment "$work/base" "$python" "$work/evenface"
  no_development_packages "$work/base"
  mkdir "$work/in-base"
  cd "$work/in-base"
  PATH="$work/base/bin:$PATH"
  photographs "$work/base/bin/python"
  run evenface verify a.jpg b.jpg
  "$work/base/bin/python" - <<'PYTHON'
import random

draw = random.Random(0)
with open("scores.csv", "w", encoding="utf-8") as table:
    table.write("score,genuine,group\n")
    for group in ("a", "b"):
        for genuine in (1, 0):
            for _ in range(300):
                table.write(f"{draw.gauss(genuine, 0.4):.4f},{genuine},{group}\n")
PYTHON
  run evenface evaluate scores.csv --out audit
  run evenface doctor
}

check_quick() {
  cd "$work/evenface"
  run make smoke
  no_development_packages .venv
  local student model
  student=$(find studies/smoke/runs -name run.json -printf '%h\n' | sort | head -n 1)
  PATH="$PWD/.venv/bin:$PATH"
  run test -s studies/smoke/report.html
  run evenface export "$student"
  photographs .venv/bin/python
  model=$(find "$student/export" -name '*.onnx')
  run evenface verify a.jpg b.jpg --model "$model" --threshold 0.5
}

check_wheel() {
  local python wheel
  python=${FRESH_PYTHON:-$(python_of 3.13 3.12 3.11)}
  run "$python" -m venv "$work/build"
  run "$work/build/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" "$work/evenface"
  wheel=$(echo "$work"/dist/evenface-*.whl)
  echo "wheel: $("$python" --version) ($python)"
  environment "$work/wheel" "$python" "${wheel}[train,render,report]"
  no_development_packages "$work/wheel"
  mkdir "$work/in-wheel"
  cd "$work/in-wheel"
  PATH="$work/wheel/bin:$PATH"
  run evenface study run smoke
  run test -s studies/smoke/report.html
  run evenface doctor
}

python_of() { # VERSION... ; prints the first one that there is and works
  local version candidate
  for version in "$@"; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
      if "$candidate" -c "" 2>/dev/null; then
        command -v "$candidate"
        return
      fi
    done
  done
  echo "fresh environments: none of Python $* was found" >&2
  return 1
}

run git clone --quiet . "$work/evenface"
for part in "$@"; do
  began=$SECONDS
  ("check_$part")
  echo "fresh environments: $part passed in $((SECONDS - began)) s"
done
