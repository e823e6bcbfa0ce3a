"""A Ray cluster of two nodes on this machine: failures, a lost node, a folder nobody shares."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evenface.errors import MissingDependencyError, UsageError
from evenface.study.executors import Call, create_executor
from evenface.study.stage import Mark, Stage
from evenface.study.stage_log import StageLog
from executor_told import run
from parallel_calls import end, environment, square, wait_politely, write_slowly

ray: Any = pytest.importorskip("ray", reason="Ray is not installed: pip install 'evenface[ray]'")
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    settings = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *_paths()]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args=settings)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()
    signal.signal(signal.SIGTERM, before)


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def test_calls_that_fail_do_not_touch_the_others(cluster, tmp_path):
    places = [tmp_path / how for how in ("raise", "exit")]
    for place in places:
        place.mkdir()
    calls = [Call(p.name, end, (p, p.name)) for p in places]
    once = Call("once", end, (tmp_path, "kill", 1))
    calls += [once, Call("square", square, (3,)), Call("env", environment, ("OMP_NUM_THREADS",))]
    told = run(create_executor("ray"), calls, tmp_path)
    assert told.results == {2: "kill", 3: 9, 4: ["1"]}
    assert told.failures == {
        0: ("on purpose", 2),
        1: ("its process died (killed, or out of memory)", 2),
    }
    assert not list(tmp_path.glob(".shared-*"))
    assert not ray.is_initialized()


def test_a_study_survives_the_loss_of_a_node(cluster, tmp_path):
    """A node of two is removed while both are at work; every stage is built once, and right."""
    node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    cluster.wait_for_nodes()
    stages = [
        Stage(f"w {text}", {"text": text}, f"s/{text}", write_slowly, (text, 0.5))
        for text in "abcdefgh"
    ]
    removed = threading.Event()

    def watch() -> None:
        if not removed.is_set() and len(list(tmp_path.glob("s/*/half-0"))) >= 2:
            cluster.remove_node(node)
            removed.set()

    executor = create_executor("ray")
    executor.every = 0.1
    log = StageLog(tmp_path, executor=executor)
    folders = log.run_together("write", stages, watch=watch).all_finished()
    assert removed.is_set()
    for text, folder in zip("abcdefgh", folders, strict=True):
        assert [(folder / f"half-{h}").read_text() for h in (0, 1)] == [f"{text}0", f"{text}1"]
        assert Mark.read(folder).finished
    begun = [len((folder / "calls").read_text().split()) for folder in folders]
    assert sorted(begun)[:-1] == [1] * 7  # at most the one that was at work there began again


def test_leaving_early_stops_the_tasks_as_ctrl_c_would(cluster, tmp_path):
    executor = create_executor("ray")
    executor.every = 0.1

    def leave() -> None:
        if (tmp_path / "began").exists():
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        executor.run(
            [Call("wait", wait_politely, (tmp_path,))],
            folder=tmp_path,
            finished=lambda *_: None,
            failed=lambda *_: None,
            watch=leave,
        )
    assert (tmp_path / "stopped").exists()
    assert time.monotonic() - begun < 50  # the call itself would last a minute


def test_a_folder_that_is_not_shared_is_told_first(cluster, tmp_path, monkeypatch):
    """The file that all nodes must see is looked for under another path."""
    from evenface.study.executors import ray as module

    class Elsewhere(type(tmp_path)):
        def __reduce__(self):
            return Path, (str(tmp_path / "other" / self.name),)

    token = module._token

    def moved(folder: Path):
        return token(Elsewhere(folder))

    monkeypatch.setattr(module, "_token", moved)
    with pytest.raises(UsageError, match="all nodes must share the study's folder"):
        run(create_executor("ray"), [Call("square", square, (3,))], tmp_path)


@pytest.mark.parametrize("error", [ConnectionError("none\nhere"), ray.exceptions.RpcError("gone")])
def test_without_a_cluster_it_is_said_how_to_start_one(tmp_path, monkeypatch, error):
    def no_cluster(**settings: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray does with a handler of its own
        raise error

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", no_cluster)
    with pytest.raises(UsageError, match=r"no Ray cluster was found \(.*ray start --head"):
        run(create_executor("ray"), [Call("square", square, (3,))], tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_missing_ray_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "evenface\[ray\]"'):
        create_executor("ray")
