"""Run in several processes: trains each ``RECIPE.yaml`` given into the folder RECIPE beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch.distributed as dist

from evenface.train import load_recipe
from evenface.train.loop import train


def main():
    dist.init_process_group("gloo")
    for path in map(Path, sys.argv[1:]):
        train(load_recipe(str(path)), path.with_suffix(""), quiet=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
