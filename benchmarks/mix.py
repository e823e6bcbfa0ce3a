"""Time and memory of a mix over a large manifest, as ratios to a plain loop in the same run.

    python benchmarks/mix.py [--rows 5000000] [--identities 100000] [--cores 2] [--json]

Two data sets, 70 % real and 30 % synthetic of the rows, in four groups, are mixed by identities
and by images, from files to files. Each way runs in a process of its own, on so many cores, and
tells its wall time and peak resident memory. The baseline is what one writes first: a Python loop
over the rows that collects each identity's in a dictionary, draws by the same rule, and writes the
rows out. It must draw the same identities. The stores are sparse files: no image is read.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.mix import MixRecipe, mix_sources, write_mix
from evenface.data.mix.inputs import open_sources
from evenface.data.store import BLOCK_IMAGES, HEADER_NAME, IMAGE_BYTES, IMAGES_NAME
from evenface.files import fingerprint, write_json
from evenface.seeds import derive_seed

GROUPS = ("African", "Asian", "Caucasian", "Indian")
ROLES = ("real", "synthetic")
SEED = 0


def make_sets(root: Path, rows: int, identities: int) -> None:
    """The two data sets, rows in random order."""
    for role, share in zip(ROLES, (0.7, 0.3), strict=True):
        count, people = int(rows * share), int(identities * share)
        rng = np.random.default_rng(len(role))
        owners = np.sort(np.concatenate([np.arange(people), rng.integers(0, people, count)]))
        owners = owners[:count]
        order = rng.permutation(count)
        folder = root / role
        make_store(folder, count, role)
        Manifest.from_columns(
            folder,
            index=np.arange(count)[order],
            identity=np.array([f"{role[0]}.{i:07d}" for i in range(people)], object)[owners][order],
            origin=role,
            dataset=f"benchmark {role}",
            licence="none",
            split="train",
            attributes={"ethnicity": np.array(GROUPS, object)[owners % len(GROUPS)][order]},
        ).write(folder / MANIFEST_NAME)


def make_store(folder: Path, count: int, content: str) -> None:
    """A store whose images are holes."""
    folder.mkdir(parents=True)
    with open(folder / IMAGES_NAME, "wb") as handle:
        handle.truncate(count * IMAGE_BYTES)
    blocks = [fingerprint([content, block]) for block in range(-(-count // BLOCK_IMAGES))]
    head = {"format": "evenface-image-store", "images": count, "blocks": blocks}
    header = {
        "format": "evenface-image-store",
        "version": 1,
        "images": count,
        "fingerprint": fingerprint(head),
        "block_images": BLOCK_IMAGES,
        "block_sha256": blocks,
    }
    write_json(folder / HEADER_NAME, header)


def evenface_mix(root: Path, out: Path, balance: str) -> None:
    """By this package."""
    recipe = MixRecipe.model_validate(
        {"real": root / "real", "synthetic": root / "synthetic", "balance": balance, "seed": SEED}
    )
    sources, excluded = open_sources(recipe)
    write_mix(*mix_sources(sources, recipe, excluded=excluded), out)


def naive_mix(root: Path, out: Path, quotas: dict[str, dict[str, int]]) -> None:
    """A loop over the rows; by identities, with the quotas given."""
    tables = []
    for role in ROLES:
        table = pq.read_table(root / role / MANIFEST_NAME)
        rows_of: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        columns = (table.column(name).to_pylist() for name in ("identity", "ethnicity", "index"))
        for row, (identity, group, _) in enumerate(zip(*columns, strict=True)):
            rows_of[group][identity].append(row)
        chosen: list[int] = []
        for group, people in sorted(rows_of.items()):
            order = sorted(people, key=lambda name: derive_seed(SEED, "mix", role, name))
            for name in sorted(order[: quotas[group][role]]):
                chosen += people[name]
        tables.append(table.take(pa.array(chosen)))
    out.mkdir()
    pq.write_table(pa.concat_tables(tables), out / MANIFEST_NAME, compression="zstd")


def child(way: str, root: Path, out: Path, balance: str) -> None:
    """Run one way in this process and print its figures."""
    start = time.perf_counter()
    if way == "naive":
        naive_mix(root, out, json.loads((root / "quotas.json").read_text()))
    else:
        evenface_mix(root, out, balance)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_gib": peak}))


def measure(way: str, root: Path, out: Path, balance: str, cores: int) -> dict[str, float]:
    """Figures of one way, in a process of its own."""
    command = [sys.executable, __file__, "--child", way, str(root), str(out), balance]
    environment = os.environ | {
        name: str(cores) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS")
    }
    done = subprocess.run(
        ["taskset", "-c", f"0-{cores - 1}", *command] if sys.platform == "linux" else command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Make the sets, run all ways, print figures and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--identities", type=int, default=100_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, root, out, balance = arguments.child
        child(way, Path(root), Path(out), balance)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_sets(root, arguments.rows, arguments.identities)
        results = {
            balance: measure("evenface", root, root / balance, balance, arguments.cores)
            for balance in ("identities", "images")
        }
        report = json.loads((root / "identities" / "mix-report.json").read_text())
        quotas = {
            name: {role: group[role]["asked"] for role in ROLES}
            for name, group in report["groups"].items()
        }
        write_json(root / "quotas.json", quotas)
        results["naive"] = measure("naive", root, root / "naive", "identities", arguments.cores)
        same = [
            set(
                pq.read_table(root / way / MANIFEST_NAME, columns=["identity"])[0]
                .unique()
                .to_pylist()
            )
            for way in ("identities", "naive")
        ]
        if same[0] != same[1]:
            raise SystemExit("the loop draws other identities")
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    naive = results["naive"]
    for balance in ("identities", "images"):
        ours = results[balance]
        print(
            f"mix by {balance} over {arguments.rows:,} rows of {arguments.identities:,} "
            f"identities: {ours['seconds']:.1f} s, peak {ours['peak_gib']:.2f} GiB"
        )
    print(
        f"plain loop, by identities, the same people: {naive['seconds']:.1f} s, peak "
        f"{naive['peak_gib']:.2f} GiB: {naive['seconds'] / results['identities']['seconds']:.1f} "
        f"times the time, {naive['peak_gib'] / results['identities']['peak_gib']:.1f} times the "
        "memory of evenface"
    )


if __name__ == "__main__":
    main()
